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

#include "names.h"
#include "report.h"
#include "status.h"
#include "text.h"

#define PIECE_MAX (64u << 10) /* of a line; what is longer goes in pieces */

/*
 * What the process of one VM writes to: the streams of the guest's command, which may
 * say whatever it likes, and apart from them what vmctl itself says.
 */
enum {
	GUEST_OUT,
	GUEST_ERR,
	OWN_OUT,
	OWN_ERR,
	STREAMS
};

/* One of them, up to a newline. */
struct stream {
	int fd; /* -1: it is closed */
	FILE *to;
	bool guests;
	char *line; /* PIECE_MAX, and a newline */
	size_t len;
	bool begun; /* pieces of the line have been passed on */
};

struct member {
	pid_t pid;	     /* 0: not started, or gone */
	char printable[256]; /* the VM's name, as its reports have it */
	struct stream stream[STREAMS];
};

static struct {
	bool all, named;
	bool member; /* this is the process of one VM */
	struct names names;
	bool json, quiet;
	int failure; /* the code of one that is not a VM's */
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

int fleet_set_line(int argc, char **argv, int first,
		   const struct options_syntax *syntax, const struct options *options,
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
	fleet.failure = syntax->runs_command ? REPORT_CODE_FAILED : STATUS_FAILURE;
	return 0;
}

bool fleet_ready(void)
{
	return fleet.argv && !fleet.member;
}

bool fleet_is_member(void)
{
	return fleet.member;
}

/* Of a stream, in the process of one VM: from 1 on, vmctl's own first. */
static int number_of(int stream)
{
	return STDOUT_FILENO + (stream + STREAMS - OWN_OUT) % STREAMS;
}

int fleet_guest_fd(int fd)
{
	if (!fleet.member)
		return fd;
	return number_of(fd == STDOUT_FILENO ? GUEST_OUT : GUEST_ERR);
}

/* In the process of one VM: never returns. */
static void be_member(const char *name, int (*verb)(int argc, char **argv),
		      const int theirs[STREAMS])
{
	int null = open("/dev/null", O_RDONLY), code, i;

	dup2(null, STDIN_FILENO);
	/* Those pipes have higher numbers, and rising ones: none is overwritten. */
	for (i = 0; i < STREAMS; i++)
		dup2(theirs[i], number_of(i));
	closefrom(STDOUT_FILENO + STREAMS);
	fleet.member = true;
	fleet.argv[fleet.place] = (char *)name;
	code = verb(fleet.argc, fleet.argv);
	fflush(stdout);
	_exit(code);
}

static void close_stream(struct stream *s)
{
	free(s->line);
	s->line = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

/* Of each pipe one end is the member's own, and its process's the other. */
static int open_streams(struct member *m, int theirs[STREAMS])
{
	int i, ends[2];

	for (i = 0; i < STREAMS; i++) {
		m->stream[i] = (struct stream){
			.fd = -1,
			.to = i == GUEST_OUT || i == OWN_OUT ? stdout : stderr,
			.guests = i == GUEST_OUT || i == GUEST_ERR,
		};
		theirs[i] = -1;
	}
	for (i = 0; i < STREAMS; i++) {
		m->stream[i].line = malloc(PIECE_MAX + 1);
		if (!m->stream[i].line || pipe2(ends, O_CLOEXEC))
			return -errno;
		m->stream[i].fd = ends[0];
		theirs[i] = ends[1];
	}
	return 0;
}

static int start(struct member *m, const char *name, int (*verb)(int argc, char **argv),
		 const sigset_t *mask)
{
	int theirs[STREAMS], i, ret = open_streams(m, theirs);

	fflush(stdout);
	fflush(stderr);
	text_copy(m->printable, sizeof(m->printable), name, strlen(name));
	m->pid = ret ? 0 : fork();
	if (!ret && !m->pid) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		be_member(name, verb, theirs);
	}
	if (m->pid < 0) {
		ret = -errno;
		m->pid = 0;
	}
	for (i = 0; i < STREAMS; i++) {
		if (theirs[i] >= 0)
			close(theirs[i]);
		if (ret)
			close_stream(&m->stream[i]);
	}
	return ret;
}

struct run {
	struct member *member;
	size_t started, running;
	int worst, signals;
	bool stopping; /* a signal came, or what is below: no more are started */
	bool lost;     /* standard output takes nothing any more */
	/* A long line of vmctl's own, such as an object, goes on: the others wait. */
	const struct stream *going_on;
};

static void note(struct run *run, int code)
{
	if (code > run->worst)
		run->worst = code;
}

static void signal_all(struct run *run, int number)
{
	size_t i;

	run->stopping = true;
	for (i = 0; i < run->started; i++)
		if (run->member[i].pid)
			kill(run->member[i].pid, number);
}

/*
 * Whether the line says by itself which VM it is about, or must stay as it is. What a
 * guest's command writes says nothing: it could name another VM.
 */
static bool is_named(const struct stream *s, const char *name)
{
	const char *line = s->line;
	size_t left = s->len, len = strlen(name);

	if (s->guests)
		return false;
	if (fleet.json && (s->to == stdout || *line == '{'))
		return true;
	if (s->to == stderr && left > 7 && !memcmp(line, "vmctl: ", 7)) {
		line += 7;
		left -= 7;
	}
	return left > len && !memcmp(line, name, len) && line[len] == ':';
}

/* A line, or a piece of one. */
static void pass(struct run *run, struct stream *s, const char *name, bool ends)
{
	/* What is not one object may as well be lines of its own. */
	if (!ends && s->guests) {
		s->line[s->len++] = '\n';
		ends = true;
	}
	if (!run->lost || s->to != stdout) {
		if (!s->begun && !is_named(s, name))
			fprintf(s->to, "%s: ", name);
		fwrite(s->line, 1, s->len, s->to);
	}
	s->len = 0;
	s->begun = !ends;
	run->going_on = ends ? NULL : s;
}

static void end_stream(struct run *run, struct stream *s, const char *name)
{
	if (s->len || s->begun) {
		s->line[s->len++] = '\n';
		pass(run, s, name, true);
	}
	close_stream(s);
}

/* Nobody can be told what comes of it: what runs is ended. */
static void check_output(struct run *run)
{
	if (run->lost || (!fflush(stdout) && !ferror(stdout)))
		return;
	perror("vmctl: writing to standard output");
	run->lost = true;
	signal_all(run, SIGTERM);
}

static void take_stream(struct run *run, struct stream *s, const char *name)
{
	char some[16384];
	ssize_t i, n;

	if (run->going_on && run->going_on != s)
		return;
	n = read(s->fd, some, sizeof(some));
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0)
		end_stream(run, s, name);
	for (i = 0; i < n; i++) {
		if (s->len == PIECE_MAX && some[i] != '\n')
			pass(run, s, name, false);
		s->line[s->len++] = some[i];
		if (some[i] == '\n')
			pass(run, s, name, true);
	}
	check_output(run);
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

static void start_some(struct run *run, int (*verb)(int argc, char **argv),
		       const sigset_t *mask)
{
	while (!run->stopping && run->running < FLEET_AT_ONCE &&
	       run->started < fleet.names.count) {
		const char *name = fleet.names.name[run->started];
		int ret = start(&run->member[run->started], name, verb, mask);

		if (ret) {
			fprintf(stderr, "vmctl: %s: starting a process for it: %s\n",
				run->member[run->started].printable, strerror(-ret));
			note(run, fleet.failure);
		}
		run->running += !ret;
		run->started++;
	}
}

static void pass_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signals, &info, sizeof(info)) != sizeof(info))
		return;
	note(run, STATUS_INTERRUPTED);
	signal_all(run, (int)info.ssi_signo);
}

/* p: what its streams have. */
static void take_member(struct run *run, struct member *m, const struct pollfd *p)
{
	bool open = false;
	int i;

	for (i = 0; i < STREAMS; i++) {
		/* What vmctl says of a command comes behind what that has written. */
		bool waits = i >= OWN_OUT && p[i - OWN_OUT].revents;

		if (p[i].revents && !waits)
			take_stream(run, &m->stream[i], m->printable);
		open |= m->stream[i].fd >= 0;
	}
	if (open)
		return;
	note(run, reap(m));
	run->running--;
}

/* Waits for something of those that run, and takes it. */
static void take_some(struct run *run)
{
	struct pollfd p[STREAMS * FLEET_AT_ONCE + 1] = {
		{.fd = run->signals, .events = POLLIN}};
	struct member *which[FLEET_AT_ONCE];
	size_t i, j, n = 0;

	for (i = 0; i < run->started && n < FLEET_AT_ONCE; i++) {
		struct member *m = &run->member[i];

		for (j = 0; m->pid && j < STREAMS; j++) {
			const struct stream *s = &m->stream[j];
			bool waits = run->going_on && run->going_on != s;

			p[1 + STREAMS * n + j] =
				(struct pollfd){waits ? -1 : s->fd, POLLIN, 0};
		}
		if (m->pid)
			which[n++] = m;
	}
	if (poll(p, 1 + STREAMS * n, -1) < 0)
		return;
	if (p[0].revents)
		pass_signal(run);
	for (i = 0; i < n; i++)
		take_member(run, which[i], p + 1 + STREAMS * i);
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
		run.worst = fleet.failure;
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
	return run.lost ? fleet.failure : run.worst;
}

int fleet_run(int (*verb)(int argc, char **argv))
{
	struct error err = {0};
	int code = STATUS_OK;

	if (fleet.all && names_read(&fleet.names, &err)) {
		fprintf(stderr, "vmctl: %s\n", err.text);
		code = fleet.failure;
	} else if (fleet.names.count) {
		code = run_all(verb);
	} else if (!fleet.quiet) {
		fputs("vmctl: --all: the registry has no VMs\n", stderr);
	}
	forget();
	return code;
}
