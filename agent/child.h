/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that the agent has started and whose end a service waits for in the
 * loop, through pidfd_open(2). Work of the agent's own goes into a job (job.h).
 */
#ifndef AGENT_CHILD_H
#define AGENT_CHILD_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "loop.h"

struct agent_children {
	struct agent_loop *loop;
	TAILQ_HEAD(agent_orphans, agent_orphan) orphans;
	unsigned int n_orphans; /* dropped or left, and not ended yet */
};

/* Embedded in what the process is about. */
struct agent_child {
	/* To be set before the watch. */
	pid_t pid;
	/* When it ends, what is left of its process group is killed. At any time. */
	bool sweep;
	/* Counts it from its drop or leave until it has ended; NULL: nothing does. */
	unsigned int *left;
	/*
	 * Once: the process has ended and is no zombie any more; status is that of
	 * waitpid(2). The child may be freed.
	 */
	void (*exited)(struct agent_child *child, int status);

	/* The room's own. */
	struct agent_children *children;
	struct agent_source source;
};

void agent_children_init(struct agent_children *children, struct agent_loop *loop);
/* Each child must have ended or been dropped by then. Does not block. */
void agent_children_stop(struct agent_children *children);

/*
 * Watches a process that the caller forked and nobody else waits for. Negative
 * errno, and the process is still the caller's.
 */
int agent_child_watch(struct agent_children *children, struct agent_child *child);

/*
 * Sends a signal to the process and all others of its process group, which it must
 * lead, else to it alone. 0 or a negative errno.
 */
int agent_child_signal(struct agent_child *child, int signal);

/*
 * For a call's cancel(): kills likewise, with SIGKILL, and sees to it that no zombie
 * stays. exited() is not called any more, and the child may be freed at once.
 */
void agent_child_drop(struct agent_child *child);
/* The same without the signal, for a process that ends by itself. */
void agent_child_leave(struct agent_child *child);
/* Likewise for one that is not watched; left as in struct agent_child. */
void agent_children_leave(struct agent_children *children, pid_t pid);
void agent_children_leave_counted(struct agent_children *children, pid_t pid,
				  unsigned int *left);

/*
 * What follows is for a process of the agent's own, after the fork. The one descriptor
 * that it needs becomes AGENT_CHILD_FD, which no program that it runs inherits, and
 * none of the agent's other ones stays open: a connection that the agent closes while
 * this process blocks must be closed for its peer too. An errno is the exit status
 * where that fails.
 */
#define AGENT_CHILD_FD 3
void agent_child_keep(int fd);
/* Signals, which the agent's loop reads, do again what they do. */
void agent_child_unblock(void);

#endif
