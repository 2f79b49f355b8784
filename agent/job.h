/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may block, done in a forked child, so that the loop goes on: a write
 * to a CPU's `online` file takes as long as that CPU takes to start, up to 10 s.
 *
 * A process that the kernel holds cannot be killed, and a file system whose server is
 * gone may hold it for ever. So a job whose call is given up is over at once, and has
 * no part in how many run: its process is left alone, and counted until it ends.
 */
#ifndef AGENT_JOB_H
#define AGENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "child.h"
#include "loop.h"

/* What a job waits for: those of its own kind, and for no other. */
enum agent_job_kind {
	AGENT_JOB_QUICK,   /* it asks the kernel for what that knows */
	AGENT_JOB_SLOW,	   /* CPUs, memory, disks, programs: seconds, or more */
	AGENT_JOB_AT_ONCE, /* nothing; whoever starts it bounds how many there are */
	AGENT_JOB_KINDS,
};

/* Children of a kind at a time; other jobs wait for their turn. */
#define AGENT_JOBS_MAX 16
/* Children of a kind that were given up and have not ended; then jobs are refused. */
#define AGENT_JOBS_LEFT_MAX 64

/* Embedded in what the work is about. */
struct agent_job {
	/* To be set before the start. */
	enum agent_job_kind kind;
	/* In the child: writes its output to fd, returns 0 or a negative errno. */
	int (*work)(struct agent_job *job, int fd);
	/* In the agent, once: the job is over, and may be freed. */
	void (*done)(struct agent_job *job);
	void *output; /* where the child's output goes, and its size */
	size_t output_size;

	/* For done(). */
	size_t used;  /* bytes of output */
	int status;   /* 0, work()'s value, or why the child could not do it */
	bool refused; /* there was no child: status is not its own */

	/* The room's own. */
	TAILQ_ENTRY(agent_job) link;
	struct agent_jobs *jobs;
	struct agent_source source; /* its output; fd -1: that has come to its end */
	struct agent_child child;
	bool running; /* else it waits for its turn */
};

TAILQ_HEAD(agent_job_list, agent_job);

struct agent_jobs {
	struct agent_loop *loop;
	struct agent_children *children;
	struct agent_timer timer; /* some may run that waited */
	struct agent_job_lane {
		struct agent_job_list waiting, running;
		unsigned int n_running;
		unsigned int n_left; /* given up, and not ended */
	} lanes[AGENT_JOB_KINDS];
};

/* The loop and the children must outlive the jobs. */
void agent_jobs_init(struct agent_jobs *jobs, struct agent_loop *loop,
		     struct agent_children *children);
/* Cancels all; done() has been called for each job on return. Does not block. */
void agent_jobs_stop(struct agent_jobs *jobs);

/* done() may be called before this returns, with `refused`. */
void agent_job_start(struct agent_jobs *jobs, struct agent_job *job);
/*
 * Ends a job early: its process group is killed, and done() is called before this
 * returns, with -ECANCELED. No other job's is.
 */
void agent_job_cancel(struct agent_job *job);

/* For done(), and a status that is not 0: words that say what it is. */
const char *agent_job_words(const struct agent_job *job);

#endif
