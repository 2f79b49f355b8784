// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

static const unsigned int running_max[AGENT_JOB_KINDS] = {
	[AGENT_JOB_QUICK] = AGENT_JOBS_MAX,
	[AGENT_JOB_SLOW] = AGENT_JOBS_MAX,
	[AGENT_JOB_AT_ONCE] = UINT_MAX,
};

static struct agent_job_lane *lane_of(const struct agent_job *job)
{
	return &job->jobs->lanes[job->kind];
}

static void child(struct agent_job *job, int fd, pid_t parent)
{
	agent_child_unblock();
	/* A group of its own: what it has started is killed with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ESRCH);
	agent_child_keep(fd);
	_exit(-job->work(job, AGENT_CHILD_FD));
}

static void close_output(struct agent_job *job)
{
	if (job->source.fd < 0)
		return;
	agent_loop_remove(job->jobs->loop, &job->source);
	close(job->source.fd);
	job->source.fd = -1;
}

/* One read. False: there is no more now, or for ever: then it is closed. */
static bool take_output(struct agent_job *job)
{
	size_t space = job->output_size - job->used;
	char excess;
	ssize_t n;

	n = space ? read(job->source.fd, (char *)job->output + job->used, space)
		  : read(job->source.fd, &excess, 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n > 0 && space) {
		job->used += n;
		return true;
	}
	if (n)
		job->status = n < 0 ? -errno : -EOVERFLOW;
	close_output(job);
	return false;
}

static void output_ready(struct agent_source *source, uint32_t events)
{
	struct agent_job *job = agent_container(source, struct agent_job, source);

	(void)events;
	take_output(job);
	/* The end of its output is not its own: that comes by itself. */
	if (job->status)
		agent_child_signal(&job->child, SIGKILL);
}

static void leave_lane(struct agent_job *job)
{
	close_output(job);
	TAILQ_REMOVE(&lane_of(job)->running, job, link);
	lane_of(job)->n_running--;
}

static void run_waiting(struct agent_jobs *jobs);

static void child_exited(struct agent_child *child, int status)
{
	struct agent_job *job = agent_container(child, struct agent_job, child);
	struct agent_jobs *jobs = job->jobs;

	/* To its end, or as far as it is there: others may have the pipe too. */
	while (job->source.fd >= 0 && take_output(job))
		;
	leave_lane(job);
	/* The exit status is an errno: both fit into a byte. */
	if (!job->status)
		job->status = WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
	job->done(job);
	run_waiting(jobs);
}

/* A process without a place in the loop cannot be waited for. */
static int watch(struct agent_job *job)
{
	struct agent_jobs *jobs = job->jobs;
	int ret;

	job->child.exited = child_exited;
	job->child.left = &lane_of(job)->n_left;
	ret = agent_loop_add(jobs->loop, &job->source, EPOLLIN);
	if (ret)
		return ret;
	ret = agent_child_watch(jobs->children, &job->child);
	if (ret)
		agent_loop_remove(jobs->loop, &job->source);
	return ret;
}

static int spawn(struct agent_job *job)
{
	cleanup_close int ours = -1, theirs = -1;
	pid_t parent = getpid(), pid;
	int fds[2], ret;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (!pid)
		child(job, theirs, parent);
	if (pid < 0)
		return -errno;
	job->source = (struct agent_source){.fd = ours, .ready = output_ready};
	job->child = (struct agent_child){.pid = pid};
	ret = watch(job);
	if (!ret) {
		steal_fd(&ours);
		return 0;
	}
	kill(pid, SIGKILL);
	/* Descriptors may be what there are too few of. */
	close(steal_fd(&theirs));
	close(steal_fd(&ours));
	agent_children_leave_counted(job->jobs->children, pid, &lane_of(job)->n_left);
	return ret;
}

static bool has_slot(const struct agent_job_lane *lane, enum agent_job_kind kind)
{
	return lane->n_running < running_max[kind];
}

static void run(struct agent_job *job)
{
	struct agent_job_lane *lane = lane_of(job);

	job->status = lane->n_left < AGENT_JOBS_LEFT_MAX ? spawn(job) : -EUSERS;
	if (job->status) {
		job->refused = true;
		job->done(job);
		return;
	}
	job->running = true;
	TAILQ_INSERT_TAIL(&lane->running, job, link);
	lane->n_running++;
}

static void run_waiting(struct agent_jobs *jobs)
{
	struct agent_job_lane *lane;
	struct agent_job *job;

	for (int kind = 0; kind < AGENT_JOB_KINDS; kind++) {
		lane = &jobs->lanes[kind];
		while (has_slot(lane, kind) && (job = TAILQ_FIRST(&lane->waiting))) {
			TAILQ_REMOVE(&lane->waiting, job, link);
			run(job);
		}
	}
}

static void timer_fired(struct agent_timer *timer)
{
	run_waiting(agent_container(timer, struct agent_jobs, timer));
}

void agent_jobs_init(struct agent_jobs *jobs, struct agent_loop *loop,
		     struct agent_children *children)
{
	*jobs = (struct agent_jobs){
		.loop = loop,
		.children = children,
		.timer.fire = timer_fired,
	};
	for (int kind = 0; kind < AGENT_JOB_KINDS; kind++) {
		TAILQ_INIT(&jobs->lanes[kind].waiting);
		TAILQ_INIT(&jobs->lanes[kind].running);
	}
}

void agent_job_start(struct agent_jobs *jobs, struct agent_job *job)
{
	struct agent_job_lane *lane = &jobs->lanes[job->kind];

	job->jobs = jobs;
	job->source.fd = -1;
	job->running = job->refused = false;
	job->used = 0;
	job->status = 0;
	/* Others that wait are before it, and not to be run within its call. */
	if (TAILQ_EMPTY(&lane->waiting) && has_slot(lane, job->kind))
		run(job);
	else
		TAILQ_INSERT_TAIL(&lane->waiting, job, link);
}

void agent_job_cancel(struct agent_job *job)
{
	struct agent_job_lane *lane = lane_of(job);
	struct agent_jobs *jobs = job->jobs;

	if (job->running) {
		leave_lane(job);
		agent_child_drop(&job->child);
		if (lane->n_left == AGENT_JOBS_LEFT_MAX)
			agent_log(AGENT_LOG_WARNING,
				  "%u processes of calls that were given up have not "
				  "ended: does a file system or a device hang?",
				  lane->n_left);
		/* Not at once: that could end the calls of others. */
		agent_loop_arm(jobs->loop, &jobs->timer, deadline_after_ms(0));
	} else {
		TAILQ_REMOVE(&lane->waiting, job, link);
	}
	job->status = -ECANCELED;
	job->done(job);
}

void agent_jobs_stop(struct agent_jobs *jobs)
{
	struct agent_job *job;

	for (int kind = 0; kind < AGENT_JOB_KINDS; kind++) {
		while ((job = TAILQ_FIRST(&jobs->lanes[kind].waiting)))
			agent_job_cancel(job);
		/* One that the kernel holds is left to init. */
		while ((job = TAILQ_FIRST(&jobs->lanes[kind].running)))
			agent_job_cancel(job);
	}
	agent_loop_disarm(jobs->loop, &jobs->timer);
}

const char *agent_job_words(const struct agent_job *job)
{
	if (job->refused && job->status == -EUSERS)
		return "too many processes of earlier calls have not ended: does a "
		       "file system or a device hang?";
	return strerror(-job->status);
}
