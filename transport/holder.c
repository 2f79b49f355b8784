/* SPDX-License-Identifier: Apache-2.0 */
#include "holder.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "holder_store.h"
#include "log.h"

enum {
	QUICK_MS = 10000,  /* a worker that lives less than this died quickly */
	QUICK_MAX = 10,	   /* of these in a row are enough */
	PAUSE_MIN_MS = 10, /* between them, doubled each time */
	PAUSE_MAX_MS = 2000,
	EXEC_FAILED = 127,
};

struct holder {
	char path[PATH_MAX]; /* of the program; what is there may change */
	char **argv;
	struct holder_store store;
	int socket, worker_socket;
	int signal_fd;
	sigset_t old_mask;
	pid_t worker; /* 0: none */
	bool ready;   /* this one */
	bool served;  /* some worker was ready */
	bool replace; /* it was told to make room */
	bool end;     /* it was told to end */
	uint64_t started;
	unsigned int quick;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void __attribute__((noreturn)) become_worker(struct holder *h, pid_t holder)
{
	int ret = holder_store_hand_over(&h->store, h->worker_socket);

	/* Without the holder nobody knows of the worker, which would be in the way. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != holder)
		_exit(0);
	sigprocmask(SIG_SETMASK, &h->old_mask, NULL);
	if (ret < 0)
		log_error("cannot hand %zu descriptors to a worker: %s", h->store.count,
			  strerror(-ret));
	else
		execv(h->path, h->argv);
	if (ret == 0)
		log_error("cannot run %s: %s", h->path, strerror(errno));
	_exit(EXEC_FAILED);
}

static int start(struct holder *h, struct error *err)
{
	pid_t holder = getpid(), pid = fork();

	if (pid < 0)
		return error_set(err, -errno, "cannot start a worker: %s",
				 strerror(errno));
	if (pid == 0)
		become_worker(h, holder);
	h->worker = pid;
	h->ready = false;
	h->replace = false;
	h->started = now_ms();
	return 0;
}

static void on_message(struct holder *h, enum holder_news news)
{
	if (news == HOLDER_READY)
		h->ready = h->served = true;
}

/* All that a worker sent, the last words of a dead one included. */
static void read_all(struct holder *h)
{
	enum holder_news news;

	while ((news = holder_store_read(&h->store, h->socket)) != HOLDER_NOTHING &&
	       news != HOLDER_CLOSED)
		on_message(h, news);
}

static void say_death(int status, bool again)
{
	const char *what = again ? "; another one takes its place" : "";

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_error("the worker made a system call that its sandbox forbids and "
			  "was killed%s (--sandbox=log tells which)",
			  what);
	else if (WIFSIGNALED(status))
		log_error("the worker was killed by signal %d (%s)%s", WTERMSIG(status),
			  strsignal(WTERMSIG(status)), what);
	else
		log_error("the worker ended with status %d%s", WEXITSTATUS(status),
			  what);
}

/*
 * Whether another one is to be started, after a pause for one that did not last. A
 * guest that found a way to kill its worker must not get to try it without end; who
 * kills it from outside may.
 */
static bool goes_on(struct holder *h, int status)
{
	bool outside = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && h->ready;
	struct timespec pause;
	unsigned int ms;

	if (outside || now_ms() - h->started >= QUICK_MS)
		h->quick = 0;
	else
		h->quick++;
	if (h->quick > QUICK_MAX) {
		say_death(status, false);
		log_error("%d workers in a row died within %d s: giving up", QUICK_MAX,
			  QUICK_MS / 1000);
		return false;
	}
	say_death(status, true);
	if (!h->quick)
		return true;
	ms = PAUSE_MIN_MS << (h->quick - 1);
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	pause = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	nanosleep(&pause, NULL);
	return true;
}

/* The worker has ended. 1: another one runs; else what holder_run() returns. */
static int on_death(struct holder *h, int status, int *result, struct error *err)
{
	h->worker = 0;
	read_all(h);
	/* A signal to end that it died of came before it could see to it. */
	*result = WIFEXITED(status) ? WEXITSTATUS(status) : !h->end;
	if (h->end || (WIFEXITED(status) && !WEXITSTATUS(status) && !h->replace))
		return 0;
	/* What keeps the first one from beginning keeps all others. */
	if (!h->served) {
		if (WIFSIGNALED(status))
			say_death(status, false);
		return 0;
	}
	if (h->replace)
		log_info("the worker made room; another one takes its place");
	else if (!goes_on(h, status))
		return 0;
	return start(h, err) < 0 ? err->code : 1;
}

static int reap(struct holder *h, int *result, struct error *err)
{
	int status, ret;
	pid_t pid;

	/* Others may be children of who ran this program in its own place. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != h->worker)
			continue;
		ret = on_death(h, status, result, err);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

static int on_signal(struct holder *h, int *result, struct error *err)
{
	struct signalfd_siginfo info;

	if (read(h->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 1;
	switch (info.ssi_signo) {
	case SIGCHLD:
		return reap(h, result, err);
	case SIGHUP:
		log_info("signal %u: the worker is replaced", info.ssi_signo);
		h->replace = true;
		break;
	default:
		h->end = true;
		break;
	}
	kill(h->worker, (int)info.ssi_signo);
	return 1;
}

static int serve(struct holder *h, int *result, struct error *err)
{
	int ret = 1;

	while (ret > 0) {
		struct pollfd p[] = {
			{.fd = h->signal_fd, .events = POLLIN},
			{.fd = h->socket, .events = POLLIN},
		};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return error_set(err, -errno, "cannot wait for the worker: %s",
					 strerror(errno));
		if (p[1].revents)
			read_all(h);
		if (p[0].revents)
			ret = on_signal(h, result, err);
	}
	return ret;
}

static int prepare(struct holder *h, struct error *err)
{
	int sockets[2];
	sigset_t set;
	ssize_t n;

	/* By its path: what is there after an upgrade is the new version. */
	n = readlink("/proc/self/exe", h->path, sizeof(h->path) - 1);
	if (n < 0)
		return error_set(err, -errno, "cannot tell where this program is: %s",
				 strerror(errno));
	h->path[n] = 0;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_set(err, -errno, "cannot make a socket: %s",
				 strerror(errno));
	h->socket = sockets[0];
	h->worker_socket = sockets[1];
	/* Ignored, as it may have come, it would not tell of a death. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &h->old_mask);
	h->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->signal_fd < 0)
		return error_set(err, -errno, "cannot make a signalfd: %s",
				 strerror(errno));
	prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

int holder_run(char **argv, struct error *err)
{
	static struct holder h;
	int result = 0, ret;

	h.argv = argv;
	holder_store_init(&h.store);
	ret = prepare(&h, err);
	if (ret == 0)
		ret = start(&h, err);
	if (ret == 0)
		ret = serve(&h, &result, err);
	return ret < 0 ? ret : result;
}
