// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"

void agent_jobs_init(struct agent_jobs *jobs, struct agent_loop *loop)
{
	jobs->loop = loop;
	TAILQ_INIT(&jobs->waiting);
	TAILQ_INIT(&jobs->running);
	jobs->n_running = 0;
}

static void child(struct agent_job *job, int fd, pid_t parent)
{
	agent_child_unblock();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(ESRCH);
	agent_child_keep(fd);
	_exit(-job->work(job, AGENT_CHILD_FD));
}

/* The exit status is an errno: both fit into a byte. */
static int exit_status(pid_t pid, int flags)
{
	int status;
	pid_t ret;

	do {
		ret = waitpid(pid, &status, flags);
	} while (ret < 0 && errno == EINTR);
	if (ret != pid)
		return ret ? -errno : -ECANCELED;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void end(struct agent_job *job, int wait_flags)
{
	struct agent_jobs *jobs = job->jobs;
	int status;

	agent_loop_remove(jobs->loop, &job->source);
	close(job->source.fd);
	TAILQ_REMOVE(&jobs->running, job, link);
	jobs->n_running--;
	/* The pipe's end of file comes with the child's own: this wait is short. */
	status = exit_status(job->pid, wait_flags);
	if (!job->status)
		job->status = status;
	job->done(job);
}

static void run_waiting(struct agent_jobs *jobs);

static void job_ready(struct agent_source *source, uint32_t events)
{
	struct agent_job *job = agent_container(source, struct agent_job, source);
	struct agent_jobs *jobs = job->jobs;
	size_t space = job->output_size - job->used;
	char excess;
	ssize_t n;

	(void)events;
	n = space ? read(source->fd, (char *)job->output + job->used, space)
		  : read(source->fd, &excess, 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && space) {
		job->used += n;
		return;
	}
	if (n) {
		job->status = n < 0 ? -errno : -EOVERFLOW;
		kill(job->pid, SIGKILL);
	}
	end(job, 0);
	run_waiting(jobs);
}

static int spawn(struct agent_jobs *jobs, struct agent_job *job)
{
	cleanup_close int ours = -1, theirs = -1;
	pid_t parent = getpid();
	int fds[2], ret;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	job->source = (struct agent_source){.fd = ours, .ready = job_ready};
	ret = agent_loop_add(jobs->loop, &job->source, EPOLLIN);
	if (ret < 0)
		return ret;
	job->pid = fork();
	if (!job->pid)
		child(job, theirs, parent);
	if (job->pid < 0) {
		ret = -errno;
		agent_loop_remove(jobs->loop, &job->source);
		return ret;
	}
	steal_fd(&ours);
	return 0;
}

static void run_waiting(struct agent_jobs *jobs)
{
	struct agent_job *job;

	while (jobs->n_running < AGENT_JOBS_MAX &&
	       (job = TAILQ_FIRST(&jobs->waiting))) {
		TAILQ_REMOVE(&jobs->waiting, job, link);
		job->status = spawn(jobs, job);
		if (job->status < 0) {
			job->done(job);
			continue;
		}
		TAILQ_INSERT_TAIL(&jobs->running, job, link);
		jobs->n_running++;
	}
}

void agent_job_start(struct agent_jobs *jobs, struct agent_job *job)
{
	job->jobs = jobs;
	job->pid = 0;
	job->used = 0;
	job->status = 0;
	TAILQ_INSERT_TAIL(&jobs->waiting, job, link);
	run_waiting(jobs);
}

void agent_job_cancel(struct agent_job *job)
{
	if (job->pid) {
		kill(job->pid, SIGKILL);
		return;
	}
	TAILQ_REMOVE(&job->jobs->waiting, job, link);
	job->status = -ECANCELED;
	job->done(job);
}

void agent_jobs_stop(struct agent_jobs *jobs)
{
	struct agent_job *job;

	while ((job = TAILQ_FIRST(&jobs->waiting)))
		agent_job_cancel(job);
	while ((job = TAILQ_FIRST(&jobs->running))) {
		agent_job_cancel(job);
		/* One that the kernel holds is left to init. */
		end(job, WNOHANG);
	}
}
