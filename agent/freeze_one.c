// SPDX-License-Identifier: Apache-2.0
#include "freeze_one.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"

#define STARTER_FD (AGENT_CHILD_FD + 1)

/* Those of a fault, which to return from is to fault again, and those that do nothing.
 */
static const int left_alone[] = {SIGILL, SIGTRAP, SIGBUS,  SIGFPE, SIGSEGV,
				 SIGSYS, SIGCHLD, SIGCONT, SIGURG, SIGWINCH};

static volatile sig_atomic_t told;

static void on_signal(int number)
{
	(void)number;
	told = 1;
}

static bool is_left_alone(int number)
{
	for (size_t i = 0; i < sizeof(left_alone) / sizeof(*left_alone); i++)
		if (left_alone[i] == number)
			return true;
	return false;
}

void freeze_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* SIGKILL, SIGSTOP and the C library's own are refused. */
	for (int number = 1; number <= SIGRTMAX; number++)
		if (!is_left_alone(number))
			sigaction(number, &action, NULL);
	signal(SIGCHLD, SIG_IGN);
}

bool freeze_told(void)
{
	return told;
}

/* In the process. */

/* True: the word to freeze. Else it is time to let go. */
static bool wait_for_word(deadline_t deadline)
{
	struct pollfd p[2] = {{AGENT_CHILD_FD, POLLIN, 0}, {STARTER_FD, POLLIN, 0}};
	sigset_t none;
	int left, n;
	char byte;

	sigemptyset(&none);
	while (!told && (left = deadline_left_ms(deadline)) > 0) {
		struct timespec ts = {left / 1000, left % 1000 * 1000000l};

		n = ppoll(p, 2, &ts, &none);
		if (n > 0 && p[1].revents && !p[0].revents)
			return recv(STARTER_FD, &byte, 1, MSG_DONTWAIT) == 1;
		if (n > 0 || (n < 0 && errno != EINTR))
			return false;
	}
	return false;
}

static void report(enum freeze_step step, int code)
{
	struct freeze_report r = {step, code};

	/* Whoever has gone need not be told. */
	while (send(STARTER_FD, &r, sizeof(r), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static int thaw(int fd)
{
	/* EINVAL: somebody has thawed it already. */
	return mounts_ioctl(fd, FITHAW, NULL) < 0 && errno != EINVAL ? errno : 0;
}

static void work(const struct mount *mount, deadline_t deadline)
{
	int fd, code;

	/* Nothing of this process is to be fetched from a frozen disk. */
	mlockall(MCL_CURRENT | MCL_FUTURE);
	fd = mounts_open(mount);
	report(FREEZE_ONE_OPENED, fd < 0 ? -fd : 0);
	if (fd < 0 || !wait_for_word(deadline))
		return;
	code = mounts_ioctl(fd, FIFREEZE, NULL) < 0 ? errno : 0;
	report(FREEZE_ONE_FROZEN, code);
	if (code)
		return;
	wait_for_word(deadline);
	report(FREEZE_ONE_THAWED, thaw(fd));
}

int freeze_one_thaw(const struct mount *mount)
{
	cleanup_close int fd = mounts_open(mount);

	return fd < 0 ? -fd : thaw(fd);
}

/* In who starts it. */

/* The pid, which is 0 in the process; *fd is the socket, there as STARTER_FD. */
static pid_t start(int *fd)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (!pid) {
		if (fds[1] != STARTER_FD && dup2(fds[1], STARTER_FD) < 0)
			_exit(errno);
		/* Those to the others: they are to see it when their starter ends. */
		closefrom(STARTER_FD + 1);
		return 0;
	}
	if (pid < 0)
		pid = -errno;
	close(fds[1]);
	if (pid < 0)
		close(fds[0]);
	*fd = fds[0];
	return pid;
}

int freeze_one_start(const struct mount *mount, deadline_t deadline)
{
	int fd;
	pid_t pid = start(&fd);

	if (!pid) {
		work(mount, deadline);
		_exit(0);
	}
	return pid < 0 ? pid : fd;
}

int freeze_one_rescue(const struct mount *mount)
{
	int fd;
	pid_t pid = start(&fd);

	if (!pid) {
		report(FREEZE_ONE_THAWED, freeze_one_thaw(mount));
		_exit(0);
	}
	return pid < 0 ? pid : fd;
}
