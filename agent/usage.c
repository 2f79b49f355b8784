// SPDX-License-Identifier: Apache-2.0
#include "usage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "io.h"

#define LIMIT_MS   2000 /* a file system */
#define ASKING_MAX 128	/* processes at a time, with those that hang */
#define PID_BITS   22	/* what the kernel has pids of */

/* A process that asks, and what it asks just now. */
struct asking {
	_Atomic uint64_t who; /* as of who_is(); 0: free */
	_Atomic uint64_t mount;
	_Atomic deadline_t until; /* from then on it hangs */
};

struct answer {
	size_t index; /* of the mount */
	struct usage usage;
};

/* Shared by the agent and all of its processes, which outlive one another. */
static struct asking *table;

void usage_start(void)
{
	void *p;

	if (table)
		return;
	p = mmap(NULL, ASKING_MAX * sizeof(*table), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Without it nothing is remembered, and that is all. */
	table = p == MAP_FAILED ? NULL : p;
}

/*
 * A pid and when its process began, so that another one with the pid is told from it.
 * 0: there is none (any more).
 */
static uint64_t who_is(pid_t pid)
{
	unsigned long long began;
	char path[64], text[1024], *p, state;
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')'); /* its name may have anything in it */
	if (!p || sscanf(p,
			 ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			 "%*s %*s %*s %*s %*s %llu",
			 &state, &began) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : began << PID_BITS | (unsigned int)pid;
}

static bool is_there(uint64_t who)
{
	return who && who_is((pid_t)(who & ((1u << PID_BITS) - 1))) == who;
}

static bool hangs(struct asking *a)
{
	return a->who && !deadline_left_ms(a->until) && is_there(a->who);
}

unsigned int usage_hung(void)
{
	unsigned int n = 0;

	for (size_t i = 0; table && i < ASKING_MAX; i++)
		n += hangs(&table[i]);
	return n;
}

static bool mount_hangs(const struct mount *m)
{
	for (size_t i = 0; table && i < ASKING_MAX; i++)
		if (table[i].mount == m->id && hangs(&table[i]))
			return true;
	return false;
}

/* A place for this process, which it keeps until it ends. NULL: there is none. */
static struct asking *claim(void)
{
	uint64_t me = who_is(getpid()), other;

	for (size_t i = 0; me && i < ASKING_MAX; i++) {
		other = table[i].who;
		if (is_there(other))
			continue;
		if (atomic_compare_exchange_strong(&table[i].who, &other, me))
			return &table[i];
	}
	return NULL;
}

static bool is_asked(const struct mount *m, bool all)
{
	return (all || m->real || !strcmp(m->type, "tmpfs")) &&
	       strcmp(m->type, "autofs") != 0;
}

static int usage_of(const struct mount *m, struct statvfs *stat)
{
	cleanup_close int fd = mounts_open(m);

	if (fd < 0)
		return fd;
	return fstatvfs(fd, stat) < 0 ? -errno : 0;
}

/* In the process that may hang. */
__attribute__((noreturn)) static void ask(const struct mounts *mounts, bool all,
					  size_t from, int fd)
{
	struct asking *place = table ? claim() : NULL;
	struct answer a;

	for (size_t i = from; i < mounts->n; i++) {
		const struct mount *m = &mounts->mount[i];

		if (!is_asked(m, all))
			continue;
		a = (struct answer){.index = i};
		if (place) {
			/* In this order: another's look is not to find it late. */
			place->until = deadline_after_ms(LIMIT_MS);
			place->mount = m->id;
		}
		/* Without a place so many hang already that one more is too many. */
		if (table && (!place || mount_hangs(m)))
			a.usage.error = -ETIMEDOUT;
		else
			a.usage.error = usage_of(m, &a.usage.stat);
		if (write(fd, &a, sizeof(a)) != sizeof(a))
			break;
	}
	if (place)
		place->who = 0;
	_exit(0);
}

/* Returns the end of the pipe that the answers come by, or a negative errno. */
static int spawn(const struct mounts *mounts, bool all, size_t from, pid_t *pid)
{
	pid_t parent = getpid();
	int fds[2], ret;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	*pid = fork();
	ret = *pid < 0 ? -errno : fds[0];
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(ESRCH);
		agent_child_keep(fds[1]);
		ask(mounts, all, from, AGENT_CHILD_FD);
	}
	close(fds[1]);
	if (ret < 0)
		close(fds[0]);
	return ret;
}

static size_t next_asked(const struct mounts *mounts, bool all, size_t at)
{
	while (at < mounts->n && !is_asked(&mounts->mount[at], all))
		at++;
	return at;
}

static int take_answer(int fd, struct answer *a)
{
	struct pollfd answers = {.fd = fd, .events = POLLIN};

	/* Short ones are whole in a pipe. */
	if (poll(&answers, 1, LIMIT_MS) <= 0)
		return -ETIMEDOUT;
	return read(fd, a, sizeof(*a)) == sizeof(*a) ? 0 : -EIO;
}

/* As far as one process gets. Returns where another one is to go on. */
static size_t read_some(const struct mounts *mounts, bool all, size_t at,
			struct usage *list)
{
	struct answer a;
	pid_t pid = 0;
	cleanup_close int fd = spawn(mounts, all, at, &pid);
	int ret = fd < 0 ? fd : 0;

	while (!ret && at < mounts->n) {
		ret = take_answer(fd, &a);
		if (ret)
			break;
		list[a.index] = a.usage;
		at = next_asked(mounts, all, a.index + 1);
	}
	if (fd >= 0 && ret)
		kill(pid, SIGKILL);
	/* One that hangs is not waited for: it is init's, once this process ends. */
	if (fd >= 0)
		waitpid(pid, NULL, ret ? WNOHANG : 0);
	if (at == mounts->n)
		return at;
	list[at].error = ret;
	return next_asked(mounts, all, at + 1);
}

void usage_read(const struct mounts *mounts, bool all, struct usage *list)
{
	size_t at = next_asked(mounts, all, 0);

	memset(list, 0, mounts->n * sizeof(*list));
	while (at < mounts->n)
		at = read_some(mounts, all, at, list);
}
