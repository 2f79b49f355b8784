// SPDX-License-Identifier: Apache-2.0
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "sysfile.h"
#include "vmctl/agent/v1/system.pb-c.h"

#define NANOSECONDS_MAX 999999999u

typedef Vmctl__Agent__V1__SetTimeRequest SetRequest;

/* What the job has found out. */
struct result {
	int clock;
	int rtc; /* -ENOENT: there is none */
};

/* A clock that is being set: that of hardware may take its time. */
struct setting {
	struct agent_job job;
	struct agent_call *call; /* NULL: given up */
	const char *root;
	struct timespec time;
	deadline_t asked; /* when: it is not to be late by the job's own time */
	struct result result;
};

static void get_time(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__GetTimeResponse response =
		VMCTL__AGENT__V1__GET_TIME_RESPONSE__INIT;
	struct timespec now;

	(void)message;
	clock_gettime(CLOCK_REALTIME, &now);
	response.seconds = now.tv_sec;
	response.nanoseconds = now.tv_nsec;
	agent_call_reply(call, &response.base);
}

static int set_rtc(const char *root)
{
	cleanup_close int fd = sysfile_open(root, "/dev/rtc0", O_RDONLY, NULL);
	time_t now = time(NULL);
	struct rtc_time rtc;
	struct tm tm;

	if (fd < 0)
		return fd;
	if (!gmtime_r(&now, &tm))
		return -EOVERFLOW;
	rtc = (struct rtc_time){.tm_sec = tm.tm_sec,
				.tm_min = tm.tm_min,
				.tm_hour = tm.tm_hour,
				.tm_mday = tm.tm_mday,
				.tm_mon = tm.tm_mon,
				.tm_year = tm.tm_year};
	return ioctl(fd, RTC_SET_TIME, &rtc) < 0 ? -errno : 0;
}

static struct timespec corrected(const struct setting *s)
{
	uint64_t late = deadline_after_ms(0) - s->asked;
	struct timespec t = s->time;

	t.tv_sec += (time_t)(late / (NANOSECONDS_MAX + 1));
	t.tv_nsec += (long)(late % (NANOSECONDS_MAX + 1));
	if (t.tv_nsec > (long)NANOSECONDS_MAX) {
		t.tv_nsec -= NANOSECONDS_MAX + 1;
		t.tv_sec++;
	}
	return t;
}

static int work(struct agent_job *job, int fd)
{
	struct setting *s = agent_container(job, struct setting, job);
	struct timespec time = corrected(s);
	struct result result = {0};

	/* A tree of a test has no clock of its own. */
	if (*s->root)
		result.clock = -EPERM;
	else if (clock_settime(CLOCK_REALTIME, &time) < 0)
		result.clock = -errno;
	if (!result.clock)
		result.rtc = set_rtc(s->root);
	return write(fd, &result, sizeof(result)) == sizeof(result) ? 0 : -EPIPE;
}

static void reply(struct setting *s)
{
	Vmctl__Agent__V1__SetTimeResponse response =
		VMCTL__AGENT__V1__SET_TIME_RESPONSE__INIT;
	struct error err;

	if (s->job.status || s->job.used != sizeof(s->result)) {
		agent_call_fail(s->call,
				s->job.refused ? TTRPC_RESOURCE_EXHAUSTED
					       : TTRPC_INTERNAL,
				"the process that sets the clock %s: %s",
				s->job.refused ? "was not started" : "ended early",
				agent_job_words(&s->job));
		return;
	}
	if (s->result.clock) {
		error_set(&err, s->result.clock, "setting the clock: %s",
			  strerror(-s->result.clock));
		agent_call_fail_error(s->call, &err);
		return;
	}
	response.rtc = !s->result.rtc;
	if (s->result.rtc && s->result.rtc != -ENOENT)
		response.rtc_error = strerror(-s->result.rtc);
	agent_call_reply(s->call, &response.base);
}

static void job_done(struct agent_job *job)
{
	struct setting *s = agent_container(job, struct setting, job);

	if (s->call)
		reply(s);
	free(s);
}

static void set_time(struct agent_call *call, const ProtobufCMessage *message)
{
	const SetRequest *request = (const SetRequest *)message;
	struct setting *s;

	if (request->seconds < 0 || request->nanoseconds > NANOSECONDS_MAX) {
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"no time: %lld seconds and %u nanoseconds",
				(long long)request->seconds, request->nanoseconds);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	s->call = call;
	s->root = call->agent->options->root;
	s->time.tv_sec = request->seconds;
	s->time.tv_nsec = request->nanoseconds;
	s->asked = deadline_after_ms(0);
	s->job = (struct agent_job){.work = work,
				    .done = job_done,
				    .output = &s->result,
				    .output_size = sizeof(s->result)};
	call->work = s;
	agent_job_start(&call->agent->jobs, &s->job);
}

static void set_time_cancel(struct agent_call *call)
{
	struct setting *s = call->work;

	s->call = NULL;
	agent_job_cancel(&s->job);
}

static const struct agent_method methods[] = {
	{
		.name = "GetTime",
		.request = &vmctl__agent__v1__get_time_request__descriptor,
		.request_max = 64,
		.response = &vmctl__agent__v1__get_time_response__descriptor,
		.handle = get_time,
	},
	{
		.name = "SetTime",
		.changes = true,
		.request = &vmctl__agent__v1__set_time_request__descriptor,
		.request_max = 64,
		.response = &vmctl__agent__v1__set_time_response__descriptor,
		.handle = set_time,
		.cancel = set_time_cancel,
	},
};

const struct agent_service clock_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
