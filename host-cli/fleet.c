/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "names.h"
#include "status.h"
#include "text.h"

/* What a process writes to one of its two streams, up to a newline. */
struct stream {
	int fd; /* -1: it is closed */
	FILE *to;
	char *line;
	size_t len, size;
};

struct member {
	pid_t pid; /* 0: not started, or gone */
	struct stream out, err;
};

static struct {
	bool all, named;
	bool member; /* this is the process of one VM */
	struct names names;
	bool json, quiet;
	char **argv; /* with a place for the name */
	int argc, place;
} fleet;

static void forget(void)
{
	names_free(&fleet.names);
	free(fleet.argv);
	memset(&fleet, 0, sizeof(fleet));
}

void fleet_begin(void)
{
	if (!fleet.member)
		forget();
}

void fleet_want_all(void)
{
	fleet.all = true;
}

static int add_name(const char *name, size_t len, struct error *err)
{
	struct names *n = &fleet.names;
	char **more;
	size_t i;

	for (i = 0; i < n->count; i++)
		if (strlen(n->name[i]) == len && !memcmp(n->name[i], name, len))
			return error_set(err, -EINVAL, "--vm: %s is given twice",
					 n->name[i]);
	more = realloc(n->name, (n->count + 1) * sizeof(*n->name));
	if (!more)
		return error_set(err, -ENOMEM, "no memory for names");
	n->name = more;
	n->name[n->count] = strndup(name, len);
	if (!n->name[n->count])
		return error_set(err, -ENOMEM, "no memory for names");
	n->count++;
	return 0;
}

int fleet_want(const char *names, struct error *err)
{
	int ret = 0;

	if (fleet.member)
		return 0;
	fleet.named = true;
	while (!ret) {
		size_t len = strcspn(names, ",");

		if (!len)
			return error_set(err, -EINVAL,
					 "--vm: give names with commas between them, "
					 "such as vm1,vm2");
		ret = add_name(names, len, err);
		names += len;
		if (!*names++)
			break;
	}
	return ret;
}

bool fleet_wanted(void)
{
	return !fleet.member && (fleet.all || fleet.named);
}

int fleet_set_line(int argc, char **argv, int first, const struct options *options,
		   struct error *err)
{
	if (fleet.all && fleet.named)
		return error_set(err, -EINVAL, "--all and --vm: one of them");
	fleet.argv = calloc((size_t)argc + 2, sizeof(*fleet.argv));
	if (!fleet.argv)
		return error_set(err, -ENOMEM, "no memory for the command line");
	memcpy(fleet.argv, argv, (size_t)first * sizeof(*argv));
	memcpy(fleet.argv + first + 1, argv + first,
	       (size_t)(argc - first) * sizeof(*argv));
	fleet.argc = argc + 1;
	fleet.place = first;
	fleet.json = options->json;
	fleet.quiet = options->quiet;
	return 0;
}

bool fleet_ready(void)
{
	return fleet.argv && !fleet.member;
}

/* In the process of one VM: never returns. */
static void be_member(const char *name, int (*verb)(int argc, char **argv), int out,
		      int err)
{
	int null = open("/dev/null", O_RDONLY), code;

	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	fleet.member = true;
	fleet.argv[fleet.place] = (char *)name;
	code = verb(fleet.argc, fleet.argv);
	fflush(stdout);
	_exit(code);
}

static int start(struct member *m, const char *name, int (*verb)(int argc, char **argv),
		 const sigset_t *mask)
{
	int out[2], err[2], ret = 0;

	if (pipe2(out, O_CLOEXEC))
		return -errno;
	if (pipe2(err, O_CLOEXEC)) {
		close(out[0]);
		close(out[1]);
		return -errno;
	}
	fflush(stdout);
	fflush(stderr);
	m->pid = fork();
	if (!m->pid) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		be_member(name, verb, out[1], err[1]);
	}
	if (m->pid < 0)
		ret = -errno;
	close(out[1]);
	close(err[1]);
	if (ret) {
		m->pid = 0;
		close(out[0]);
		close(err[0]);
		return ret;
	}
	m->out = (struct stream){.fd = out[0], .to = stdout};
	m->err = (struct stream){.fd = err[0], .to = stderr};
	return 0;
}

/* Whether the line says by itself which VM it is about, or must stay as it is. */
static bool is_named(const struct stream *s, const char *name)
{
	size_t len = strlen(name);

	if (s->to == stdout && fleet.json)
		return true;
	if (s->to == stderr && s->len > 7 && !memcmp(s->line, "vmctl: ", 7))
		return true;
	return s->len > len && !memcmp(s->line, name, len) && s->line[len] == ':';
}

static void pass_line(struct stream *s, const char *name)
{
	char printable[256];

	if (!is_named(s, name)) {
		text_copy(printable, sizeof(printable), name, strlen(name));
		fprintf(s->to, "%s: ", printable);
	}
	fwrite(s->line, 1, s->len, s->to);
	s->len = 0;
}

static void end_stream(struct stream *s, const char *name)
{
	if (s->len) {
		s->line[s->len++] = '\n';
		pass_line(s, name);
	}
	free(s->line);
	s->line = NULL;
	close(s->fd);
	s->fd = -1;
}

/* Room for one byte more than that. */
static bool make_room(struct stream *s, size_t len)
{
	size_t size = s->size ? s->size : 4096;
	char *more;

	while (size <= len)
		size *= 2;
	if (size == s->size)
		return true;
	more = realloc(s->line, size);
	if (!more)
		return false;
	s->line = more;
	s->size = size;
	return true;
}

static void take_stream(struct stream *s, const char *name)
{
	char some[16384];
	ssize_t i, n = read(s->fd, some, sizeof(some));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0 || !make_room(s, s->len + (size_t)n)) {
		end_stream(s, name);
		return;
	}
	for (i = 0; i < n; i++) {
		s->line[s->len++] = some[i];
		if (some[i] == '\n')
			pass_line(s, name);
	}
	fflush(s->to);
}

/* Its exit code, as the shell has it. */
static int reap(struct member *m)
{
	int status = 0;

	while (waitpid(m->pid, &status, 0) < 0 && errno == EINTR)
		;
	m->pid = 0;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	/* Those that vmctl is ended with. */
	switch (WTERMSIG(status)) {
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
		return STATUS_INTERRUPTED;
	default:
		return 128 + WTERMSIG(status);
	}
}

struct run {
	struct member *member;
	size_t started, running;
	int worst, signals;
	bool stopping; /* a signal came: no more are started */
};

static void note(struct run *run, int code)
{
	if (code > run->worst)
		run->worst = code;
}

static void start_some(struct run *run, int (*verb)(int argc, char **argv),
		       const sigset_t *mask)
{
	while (!run->stopping && run->running < FLEET_AT_ONCE &&
	       run->started < fleet.names.count) {
		const char *name = fleet.names.name[run->started];
		int ret = start(&run->member[run->started], name, verb, mask);

		if (ret) {
			fprintf(stderr, "vmctl: %s: starting a process for it: %s\n",
				name, strerror(-ret));
			note(run, STATUS_FAILURE);
		}
		run->running += !ret;
		run->started++;
	}
}

static void pass_signal(struct run *run)
{
	struct signalfd_siginfo info;
	size_t i;

	if (read(run->signals, &info, sizeof(info)) != sizeof(info))
		return;
	run->stopping = true;
	note(run, STATUS_INTERRUPTED);
	for (i = 0; i < run->started; i++)
		if (run->member[i].pid)
			kill(run->member[i].pid, (int)info.ssi_signo);
}

/* Waits for something of those that run, and takes it. */
static void take_some(struct run *run)
{
	struct pollfd p[2 * FLEET_AT_ONCE + 1] = {
		{.fd = run->signals, .events = POLLIN}};
	size_t which[FLEET_AT_ONCE], i, n = 0;

	for (i = 0; i < run->started && n < FLEET_AT_ONCE; i++) {
		if (!run->member[i].pid)
			continue;
		p[1 + 2 * n] = (struct pollfd){run->member[i].out.fd, POLLIN, 0};
		p[2 + 2 * n] = (struct pollfd){run->member[i].err.fd, POLLIN, 0};
		which[n++] = i;
	}
	if (poll(p, 1 + 2 * n, -1) < 0)
		return;
	if (p[0].revents)
		pass_signal(run);
	for (i = 0; i < n; i++) {
		struct member *m = &run->member[which[i]];
		const char *name = fleet.names.name[which[i]];

		if (p[1 + 2 * i].revents)
			take_stream(&m->out, name);
		if (p[2 + 2 * i].revents)
			take_stream(&m->err, name);
		if (m->out.fd >= 0 || m->err.fd >= 0)
			continue;
		note(run, reap(m));
		run->running--;
	}
}

static int run_all(int (*verb)(int argc, char **argv))
{
	struct run run = {0};
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &old);
	run.signals = signalfd(-1, &set, SFD_CLOEXEC);
	run.member = calloc(fleet.names.count, sizeof(*run.member));
	if (run.signals < 0 || !run.member) {
		fprintf(stderr, "vmctl: %s\n", strerror(errno));
		run.worst = STATUS_FAILURE;
	} else {
		do {
			start_some(&run, verb, &old);
			if (run.running)
				take_some(&run);
		} while (run.running ||
			 (!run.stopping && run.started < fleet.names.count));
	}
	free(run.member);
	if (run.signals >= 0)
		close(run.signals);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return run.worst;
}

int fleet_run(int (*verb)(int argc, char **argv))
{
	struct error err = {0};
	int code = STATUS_OK;

	if (fleet.all && names_read(&fleet.names, &err)) {
		fprintf(stderr, "vmctl: %s\n", err.text);
		code = STATUS_FAILURE;
	} else if (fleet.names.count) {
		code = run_all(verb);
	} else if (!fleet.quiet) {
		fputs("vmctl: --all: the registry has no VMs\n", stderr);
	}
	forget();
	return code;
}
