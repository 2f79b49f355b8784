/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may block, done in a forked child, so that the loop goes on: a write
 * to a CPU's `online` file takes as long as that CPU takes to start, up to 10 s.
 */
#ifndef AGENT_JOB_H
#define AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "loop.h"

/* Children at a time; other jobs wait for their turn. */
#define AGENT_JOBS_MAX 16

/* Embedded in what the work is about. */
struct agent_job {
	/* To be set before the start. */
	/* In the child: writes its output to fd, returns 0 or a negative errno. */
	int (*work)(struct agent_job *job, int fd);
	/* In the agent, once: the job is over, and may be freed. */
	void (*done)(struct agent_job *job);
	void *output; /* where the child's output goes, and its size */
	size_t output_size;

	/* For done(). */
	size_t used; /* bytes of output */
	int status;  /* 0, work()'s value, or why the child could not do it */

	/* The room's own. */
	TAILQ_ENTRY(agent_job) link;
	struct agent_jobs *jobs;
	struct agent_source source;
	pid_t pid; /* 0: waits for its turn */
};

struct agent_jobs {
	struct agent_loop *loop;
	TAILQ_HEAD(agent_job_list, agent_job) waiting, running;
	unsigned int n_running;
};

void agent_jobs_init(struct agent_jobs *jobs, struct agent_loop *loop);
/* Cancels all; done() has been called for each job on return. Does not block. */
void agent_jobs_stop(struct agent_jobs *jobs);

/* done() may be called before this returns. */
void agent_job_start(struct agent_jobs *jobs, struct agent_job *job);
/*
 * Ends a job early: done() is called at once if it has not begun, and otherwise
 * as soon as the child is gone, which is not before the kernel has finished what
 * it is doing for it.
 */
void agent_job_cancel(struct agent_job *job);

#endif
