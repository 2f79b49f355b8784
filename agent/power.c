// SPDX-License-Identifier: Apache-2.0
#include "power.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "agent.h"
#include "log.h"
#include "sysfile.h"
#include "vmctl/agent/v1/power.pb-c.h"

#define DELAY_MS     200   /* for the answer to reach the host */
#define SYNC_MS	     30000 /* for what is in the caches to reach the disks */
#define WORDS_MAX    512
#define PROGRAMS_MAX 16 /* at a time, with those whose callers have gone */

typedef Vmctl__Agent__V1__PowerRequest Request;
typedef Vmctl__Agent__V1__PowerResponse Response;
typedef Vmctl__Agent__V1__PowerWay Way;

#define SYSTEMD	 VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_SYSTEMD
#define SHUTDOWN VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_SHUTDOWN
#define INIT	 VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_INIT
#define KERNEL	 VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_KERNEL

/* What each method is to each of those who may do it. */
struct action {
	const char *method;
	const char *systemctl; /* its verb */
	const char *shutdown;  /* an option; NULL: it cannot */
	int signal;	       /* for PID 1; 0: none */
	int reboot;	       /* reboot(2)'s command */
	bool sleeps;	       /* by /sys/power/state, not by reboot(2) */
};

static const struct action actions[] = {
	{"Shutdown", "poweroff", "-h", SIGUSR2, RB_POWER_OFF, false},
	{"Reboot", "reboot", "-r", SIGTERM, RB_AUTOBOOT, false},
	{"Suspend", "suspend", NULL, 0, 0, true},
};

struct power {
	const struct action *action;
	Way way;
	const char *root;
	struct agent *agent;
	struct agent_call *call; /* NULL: answered, or given up */
	struct agent_job job;
	struct agent_timer timer;
	char words[WORDS_MAX]; /* of the program that was run */
};

/* The one that waits for its moment, which outlives its call. */
static struct power *pending;
static unsigned int n_programs;

struct power_kernel power_kernel = {
	.sync = sync,
	.sync_ms = SYNC_MS,
	.reboot = reboot,
};

static const struct action *action_of(const struct agent_call *call)
{
	const struct action *a = actions;

	while (strcmp(a->method, call->method->name) != 0)
		a++;
	return a;
}

static bool can_run(const char *root, const char *program)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, program);
	return !access(path, X_OK);
}

static const char *systemctl_of(const char *root)
{
	return can_run(root, "/usr/bin/systemctl") ? "/usr/bin/systemctl"
						   : "/bin/systemctl";
}

/* systemd's own shutdown is systemctl, which can do nothing where systemd does not run.
 */
static bool has_shutdown(const char *root)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/sbin/shutdown", root);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = '\0';
	return can_run(root, "/sbin/shutdown") && !strstr(target, "systemctl");
}

/* Whether a mask of /proc/1/status has the signal. */
static bool mask_has(const char *text, const char *name, int signal)
{
	const char *line = strstr(text, name);

	return line && strtoull(line + strlen(name), NULL, 16) >> (signal - 1) & 1;
}

/* Without a handler the kernel drops what is for PID 1; busybox's init waits for it
 * with the signals blocked. */
static bool init_waits_for(const char *root, int signal)
{
	char text[SYSFILE_MAX];

	return signal &&
	       sysfile_read(root, "/proc/1/status", text, sizeof(text), NULL) > 0 &&
	       (mask_has(text, "SigCgt:", signal) || mask_has(text, "SigBlk:", signal));
}

static Way way_of(const char *root, const struct action *a, bool force)
{
	if (force)
		return KERNEL;
	if (sysfile_exists(root, "/run/systemd/system") &&
	    can_run(root, systemctl_of(root)))
		return SYSTEMD;
	if (a->shutdown && has_shutdown(root))
		return SHUTDOWN;
	return init_waits_for(root, a->signal) ? INIT : KERNEL;
}

/* What the job's process does. */

__attribute__((noreturn)) static void run_program(const struct power *p, int fd)
{
	char path[PATH_MAX];
	const char *systemd[] = {"systemctl", "--no-block", p->action->systemctl, NULL};
	const char *other[] = {"shutdown", p->action->shutdown, "now", NULL};

	snprintf(path, sizeof(path), "%s%s", p->root,
		 p->way == SYSTEMD ? systemctl_of(p->root) : "/sbin/shutdown");
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	closefrom(STDERR_FILENO + 1);
	signal(SIGPIPE, SIG_DFL);
	clearenv();
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execv(path, (char **)(p->way == SYSTEMD ? systemd : other));
	dprintf(STDERR_FILENO, "%s: %s", path, strerror(errno));
	_exit(127);
}

static int fall_asleep(const char *root)
{
	int ret = sysfile_write(root, "/sys/power/state", "mem", NULL);

	return ret == -EINVAL ? sysfile_write(root, "/sys/power/state", "freeze", NULL)
			      : ret;
}

/* It cannot be killed while a disk or a server hangs: then it is done without. */
static void sync_for_a_while(void)
{
	pid_t pid = fork();
	struct pollfd exited = {.events = POLLIN};

	if (!pid) {
		power_kernel.sync();
		_exit(0);
	}
	if (pid < 0)
		return;
	exited.fd = pidfd_open(pid, 0);
	if (poll(&exited, 1, (int)power_kernel.sync_ms) <= 0)
		kill(pid, SIGKILL);
}

static int work(struct agent_job *job, int fd)
{
	const struct power *p = agent_container(job, struct power, job);

	if (p->way == SYSTEMD || p->way == SHUTDOWN)
		run_program(p, fd);
	if (p->action->sleeps)
		return fall_asleep(p->root);
	/* A tree of a test is not what would be turned off. */
	if (*p->root && power_kernel.reboot == reboot)
		return -EPERM;
	if (p->way == INIT)
		return kill(1, p->action->signal) < 0 ? -errno : 0;
	sync_for_a_while();
	return power_kernel.reboot(p->action->reboot) < 0 ? -errno : 0;
}

static void reply(struct agent_call *call, Way way)
{
	Response response = VMCTL__AGENT__V1__POWER_RESPONSE__INIT;

	response.way = way;
	agent_call_reply(call, &response.base);
}

static void job_done(struct agent_job *job)
{
	struct power *p = agent_container(job, struct power, job);
	const char *method = p->action->method;

	p->words[job->used < WORDS_MAX ? job->used : WORDS_MAX - 1] = '\0';
	if (job->status)
		agent_log(AGENT_LOG_ERROR, "%s failed: %s", method,
			  *p->words ? p->words : agent_job_words(job));
	if (p->call && job->refused)
		agent_call_fail(p->call, TTRPC_RESOURCE_EXHAUSTED,
				"no process for it: %s", agent_job_words(job));
	else if (p->call && job->status)
		agent_call_fail(p->call, TTRPC_INTERNAL, "%s: %s",
				p->way == SYSTEMD ? "systemctl" : "shutdown",
				*p->words ? p->words : "it failed, without a word");
	else if (p->call)
		reply(p->call, p->way);
	if (pending == p)
		pending = NULL;
	else
		n_programs--;
	free(p);
}

static void timer_fired(struct agent_timer *timer)
{
	struct power *p = agent_container(timer, struct power, timer);

	agent_job_start(&p->agent->jobs, &p->job);
}

/* Whether it can be done at all, if that is known. */
static int check(const struct power *p, struct error *err)
{
	char states[256];
	int ret = 0;

	if (p->way != KERNEL || !p->action->sleeps)
		return 0;
	ret = sysfile_read(p->root, "/sys/power/state", states, sizeof(states), err);
	if (ret >= 0 && (strstr(states, "mem") || strstr(states, "freeze")))
		return 0;
	return error_set(err, -EOPNOTSUPP, "the guest's kernel cannot suspend");
}

/* They say whether they can, and then take their time. */
static void start_program(struct power *p, struct agent_call *call)
{
	if (n_programs >= PROGRAMS_MAX) {
		free(p);
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"%u programs that were to do such a thing have not "
				"ended; with force the kernel does it",
				n_programs);
		return;
	}
	p->call = call;
	call->work = p;
	n_programs++;
	agent_job_start(&p->agent->jobs, &p->job);
}

static void power(struct agent_call *call, const ProtobufCMessage *message)
{
	const Request *request = (const Request *)message;
	struct power *p = calloc(1, sizeof(*p));
	struct error err;

	if (!p) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	p->agent = call->agent;
	p->root = call->agent->options->root;
	p->action = action_of(call);
	p->way = way_of(p->root, p->action, request->force);
	/* Nothing that hangs in the guest holds this up. */
	p->job = (struct agent_job){.kind = AGENT_JOB_AT_ONCE,
				    .work = work,
				    .done = job_done,
				    .output = p->words,
				    .output_size = sizeof(p->words)};
	p->timer.fire = timer_fired;
	if (check(p, &err) < 0) {
		free(p);
		agent_call_fail_error(call, &err);
	} else if (request->dry_run) {
		reply(call, p->way);
		free(p);
	} else if (p->way == SYSTEMD || p->way == SHUTDOWN) {
		start_program(p, call);
	} else if (pending) {
		free(p);
		agent_call_fail(call, TTRPC_FAILED_PRECONDITION,
				"the guest is on its way already");
	} else {
		pending = p;
		reply(call, p->way);
		agent_loop_arm(&p->agent->loop, &p->timer, deadline_after_ms(DELAY_MS));
	}
}

/* The program goes on: what it has begun cannot be taken back. */
static void power_cancel(struct agent_call *call)
{
	struct power *p = call->work;

	p->call = NULL;
}

static void stop(struct agent *agent)
{
	/* One whose job runs is ended with the jobs. */
	if (!pending || !pending->timer.armed)
		return;
	agent_loop_disarm(&agent->loop, &pending->timer);
	free(pending);
	pending = NULL;
}

#define POWER_METHOD(text)                                                 \
	{                                                                  \
		.name = text, .changes = true,                             \
		.request = &vmctl__agent__v1__power_request__descriptor,   \
		.request_max = 64,                                         \
		.response = &vmctl__agent__v1__power_response__descriptor, \
		.handle = power, .cancel = power_cancel,                   \
	}

static const struct agent_method methods[] = {
	POWER_METHOD("Shutdown"),
	POWER_METHOD("Reboot"),
	POWER_METHOD("Suspend"),
};

const struct agent_service power_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
	.stop = stop,
};
