/* SPDX-License-Identifier: Apache-2.0 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "task.h"

enum {
	FAMILY_MAX = 64,
	END_PATIENCE_MS = 10000,
	LIVE_MAX = 4,
	LOG_TAIL = 1024,
};

/* Those that were spawned and have not ended, for an end in disorder. */
static struct backend *live[LIVE_MAX];

static void append(char *to, size_t size, const char *text, size_t len)
{
	size_t used = strlen(to);

	if (used + len >= size)
		die("the command is too long");
	memcpy(to + used, text, len);
	to[used + len] = 0;
}

/* Puts the words for {…} in. */
static void expand(char *to, size_t size, const char *command,
		   const struct backend *backend)
{
	char cid[16];
	const struct {
		const char *word, *value;
	} words[] = {{"{vhost-user}", backend->vhost_user},
		     {"{uds}", backend->uds},
		     {"{cid}", cid}};

	snprintf(cid, sizeof(cid), "%u", options.cid);
	strcpy(to, "exec ");
	while (*command) {
		size_t i, len;

		for (i = 0; i < 3; i++) {
			len = strlen(words[i].word);
			if (!strncmp(command, words[i].word, len))
				break;
		}
		if (i == 3) {
			append(to, size, command++, 1);
		} else {
			append(to, size, words[i].value, strlen(words[i].value));
			command += len;
		}
	}
}

static void run_shell(const struct backend *backend, const char *command)
{
	char log[80];
	int out;

	snprintf(log, sizeof(log), "%s/log", backend->dir);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (out < 0 || dup2(out, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	task_pin(options.cpu[CPU_BACKEND]);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void remove_dir(const char *dir)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command))
		fprintf(stderr, "vsock-ring: cannot remove %s\n", dir);
}

static void print_log(const char *dir)
{
	char path[80], text[LOG_TAIL + 1];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", dir);
	f = fopen(path, "re");
	if (!f)
		return;
	fseek(f, -LOG_TAIL, SEEK_END);
	n = fread(text, 1, LOG_TAIL, f);
	text[n] = 0;
	fclose(f);
	fprintf(stderr, "vsock-ring: the end of the back-end's log:\n%s", text);
}

/* Of the whole program, when something has gone wrong. */
static void clean_up(void)
{
	for (size_t i = 0; i < LIVE_MAX; i++) {
		if (!live[i])
			continue;
		print_log(live[i]->dir);
		kill(live[i]->pid, SIGKILL);
		remove_dir(live[i]->dir);
	}
}

static void list_live(struct backend *old, struct backend *new)
{
	static bool listed;
	size_t i = 0;

	while (i < LIVE_MAX && live[i] != old)
		i++;
	if (i == LIVE_MAX)
		die("there are too many back-ends");
	live[i] = new;
	if (!listed)
		atexit(clean_up);
	listed = true;
}

void backend_spawn(struct backend *backend, const char *command)
{
	char expanded[4096];

	strcpy(backend->dir, "/tmp/vsock-ring-XXXXXX");
	if (!mkdtemp(backend->dir))
		die_errno("cannot make %s", backend->dir);
	snprintf(backend->vhost_user, sizeof(backend->vhost_user), "%s/vhost",
		 backend->dir);
	snprintf(backend->uds, sizeof(backend->uds), "%s/vsock", backend->dir);
	expand(expanded, sizeof(expanded), command, backend);
	fflush(NULL);
	backend->pid = fork();
	if (backend->pid < 0)
		die_errno("cannot fork");
	if (!backend->pid)
		run_shell(backend, expanded);
	list_live(NULL, backend);
}

void backend_use(struct backend *backend)
{
	*backend = (struct backend){.pid = options.pid};
	if (snprintf(backend->vhost_user, sizeof(backend->vhost_user), "%s",
		     options.vhost_user) >= (int)sizeof(backend->vhost_user) ||
	    snprintf(backend->uds, sizeof(backend->uds), "%s", options.uds) >=
		    (int)sizeof(backend->uds))
		die("a socket's path is too long");
}

void backend_found(struct backend *backend, pid_t pid)
{
	if (!backend->pid)
		backend->pid = pid;
}

/* The process and its descendants. */
static size_t family(pid_t pid, pid_t *members, size_t count)
{
	char path[64], line[1024];
	FILE *f;

	if (count == FAMILY_MAX)
		return count;
	members[count++] = pid;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (!f)
		return count;
	if (fgets(line, sizeof(line), f)) {
		char *at = line, *end;

		for (;;) {
			long child = strtol(at, &end, 10);

			if (end == at)
				break;
			at = end;
			count = family((pid_t)child, members, count);
		}
	}
	fclose(f);
	return count;
}

void backend_end(struct backend *backend)
{
	pid_t members[FAMILY_MAX];
	int status, waited = 0;
	size_t count;

	if (!backend->dir[0])
		return;
	count = family(backend->pid, members, 0);
	kill(backend->pid, SIGTERM);
	while (waitpid(backend->pid, &status, WNOHANG) == 0) {
		if (++waited == END_PATIENCE_MS) {
			fprintf(stderr, "vsock-ring: the back-end does not end\n");
			kill(backend->pid, SIGKILL);
		}
		usleep(1000);
	}
	/* A tracer, say, may leave behind what it traced. */
	for (size_t i = 1; i < count; i++)
		kill(members[i], SIGTERM);
	remove_dir(backend->dir);
	list_live(backend, NULL);
}

uint64_t backend_cpu(const struct backend *backend)
{
	pid_t members[FAMILY_MAX];
	size_t count = family(backend->pid, members, 0);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		struct timespec t;
		clockid_t clock;

		if (clock_getcpuclockid(members[i], &clock) == 0 &&
		    clock_gettime(clock, &t) == 0)
			sum += (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	}
	return sum;
}

static uint64_t memory_of(pid_t pid)
{
	char path[64], line[512];
	uint64_t sum = 0, kib;
	bool guest = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strchr("0123456789abcdef", line[0]))
			guest = strstr(line, "memfd:vsock-ring-guest");
		else if (!guest && sscanf(line, "Pss: %lu kB", &kib) == 1)
			sum += kib * 1024;
	}
	fclose(f);
	return sum;
}

uint64_t backend_memory(const struct backend *backend)
{
	pid_t members[FAMILY_MAX];
	size_t count = family(backend->pid, members, 0);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += memory_of(members[i]);
	return sum;
}
