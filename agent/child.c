// SPDX-License-Identifier: Apache-2.0
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that was dropped, until it has ended. */
struct agent_orphan {
	TAILQ_ENTRY(agent_orphan) link;
	struct agent_children *children;
	struct agent_source source;
	pid_t pid;
	unsigned int *left; /* NULL: nothing counts it */
};

void agent_children_init(struct agent_children *children, struct agent_loop *loop)
{
	children->loop = loop;
	TAILQ_INIT(&children->orphans);
	children->n_orphans = 0;
}

/* Never blocks: it is called for a process that has ended, or need not have. */
static int reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) < 0 && errno == EINTR)
		;
	return status;
}

static void close_source(struct agent_children *children, struct agent_source *source)
{
	agent_loop_remove(children->loop, source);
	close(source->fd);
}

static void free_orphan(struct agent_orphan *orphan)
{
	reap(orphan->pid);
	close_source(orphan->children, &orphan->source);
	TAILQ_REMOVE(&orphan->children->orphans, orphan, link);
	orphan->children->n_orphans--;
	if (orphan->left)
		--*orphan->left;
	free(orphan);
}

void agent_children_stop(struct agent_children *children)
{
	struct agent_orphan *orphan;

	while ((orphan = TAILQ_FIRST(&children->orphans)))
		free_orphan(orphan);
}

static void child_ready(struct agent_source *source, uint32_t events)
{
	struct agent_child *child = agent_container(source, struct agent_child, source);

	(void)events;
	close_source(child->children, source);
	/* Not reaped yet: the group's number is nobody else's. */
	if (child->sweep)
		kill(-child->pid, SIGKILL);
	child->exited(child, reap(child->pid));
}

static void orphan_ready(struct agent_source *source, uint32_t events)
{
	(void)events;
	free_orphan(agent_container(source, struct agent_orphan, source));
}

int agent_child_watch(struct agent_children *children, struct agent_child *child)
{
	int ret;

	child->children = children;
	child->source.ready = child_ready;
	child->source.fd = pidfd_open(child->pid, 0);
	if (child->source.fd < 0)
		return -errno;
	ret = agent_loop_add(children->loop, &child->source, EPOLLIN);
	if (ret < 0)
		close(child->source.fd);
	return ret;
}

int agent_child_signal(struct agent_child *child, int signal)
{
	/* It is no zombie of ours yet: the pid is nobody else's. */
	if (!kill(-child->pid, signal))
		return 0;
	return kill(child->pid, signal) < 0 ? -errno : 0;
}

void agent_child_drop(struct agent_child *child)
{
	agent_child_signal(child, SIGKILL);
	agent_child_leave(child);
}

void agent_child_leave(struct agent_child *child)
{
	struct agent_orphan *orphan = malloc(sizeof(*orphan));
	struct agent_children *children = child->children;

	agent_loop_remove(children->loop, &child->source);
	if (orphan) {
		orphan->children = children;
		orphan->pid = child->pid;
		orphan->left = child->left;
		orphan->source = (struct agent_source){
			.fd = child->source.fd,
			.ready = orphan_ready,
		};
		if (!agent_loop_add(children->loop, &orphan->source, EPOLLIN)) {
			TAILQ_INSERT_TAIL(&children->orphans, orphan, link);
			children->n_orphans++;
			if (orphan->left)
				++*orphan->left;
			return;
		}
		free(orphan);
	}
	/* No memory to wait with: a zombie may stay, until the agent ends. */
	close(child->source.fd);
	reap(child->pid);
}

static void not_expected(struct agent_child *child, int status)
{
	(void)child;
	(void)status;
}

void agent_children_leave(struct agent_children *children, pid_t pid)
{
	agent_children_leave_counted(children, pid, NULL);
}

void agent_children_leave_counted(struct agent_children *children, pid_t pid,
				  unsigned int *left)
{
	struct agent_child child = {.pid = pid, .left = left, .exited = not_expected};

	if (agent_child_watch(children, &child) < 0)
		reap(pid);
	else
		agent_child_leave(&child);
}

void agent_child_keep(int fd)
{
	if (fd != AGENT_CHILD_FD && dup2(fd, AGENT_CHILD_FD) < 0)
		_exit(errno);
	fcntl(AGENT_CHILD_FD, F_SETFD, FD_CLOEXEC);
	closefrom(AGENT_CHILD_FD + 1);
}

void agent_child_unblock(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
