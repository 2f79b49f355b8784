/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "step.h"
#include "text.h"
#include "verbs.h"
#include "vmctl/agent/v1/system.pb-c.h"

#define NS_PER_S    1000000000ll
#define SECONDS_MAX (INT64_MAX / NS_PER_S - 1000000)

struct clock {
	bool set, sync;
	int64_t to; /* ns since 1970, of --set */
	int64_t guest, offset, round_trip;
	bool asked; /* the three above are known */
	struct report *report;
};

/* "@SECONDS", with a fraction or not. */
static int parse_seconds(const char *text, int64_t *ns)
{
	char whole[24], fraction[10] = "000000000";
	size_t len = strcspn(text, "."), digits = strlen(text + len);
	uint64_t seconds, part;

	if (len >= sizeof(whole) || digits == 1 || digits > 10)
		return -EINVAL;
	memcpy(whole, text, len);
	whole[len] = '\0';
	if (digits)
		memcpy(fraction, text + len + 1, digits - 1);
	if (text_number(whole, 0, INT64_MAX / NS_PER_S - 1, &seconds) ||
	    text_number(fraction, 0, NS_PER_S - 1, &part))
		return -EINVAL;
	*ns = (int64_t)seconds * NS_PER_S + (int64_t)part;
	return 0;
}

static int set_set(void *into, const char *value, struct error *err)
{
	struct clock *c = into;
	struct tm tm = {0};
	const char *end;

	c->set = true;
	if (*value == '@' && !parse_seconds(value + 1, &c->to))
		return 0;
	end = strptime(value, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (*value == '@' || !end || *end || timegm(&tm) < 0)
		return error_set(err, -EINVAL,
				 "--set %s: give @SECONDS since 1970, or UTC as "
				 "2026-01-31T23:59:59Z",
				 value);
	c->to = timegm(&tm) * NS_PER_S;
	return 0;
}

static int set_sync(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct clock *)into)->sync = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"set", "TIME", "set it: @SECONDS, or UTC as 2026-01-31T23:59:59Z", 0, set_set},
	{"sync", NULL, "set it to this host's", 0, set_sync},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "time",
	.operands = "VM",
	.about = "Says what time it is in the guest, and how far that is from this "
		 "host's; or sets it.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.changes = true,
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* A time whose distance from another, and half a round trip, are no overflow. */
static bool makes_sense(const Vmctl__Agent__V1__GetTimeResponse *t)
{
	return t->seconds >= 0 && t->seconds < SECONDS_MAX && t->nanoseconds < NS_PER_S;
}

static int get(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	Vmctl__Agent__V1__GetTimeRequest request =
		VMCTL__AGENT__V1__GET_TIME_REQUEST__INIT;
	Vmctl__Agent__V1__GetTimeResponse *answer;
	int64_t began = now_ns(CLOCK_MONOTONIC);
	ProtobufCMessage *m = NULL;
	struct clock *c = into;
	int ret = guest_rpc_call(rpc, "GetTime", &request.base,
				 &vmctl__agent__v1__get_time_response__descriptor,
				 deadline, &m, err);

	if (ret) {
		error_prefix(err, "the agent's GetTime");
		return ret;
	}
	answer = (Vmctl__Agent__V1__GetTimeResponse *)m;
	c->round_trip = now_ns(CLOCK_MONOTONIC) - began;
	c->asked = makes_sense(answer);
	if (c->asked) {
		c->guest = answer->seconds * NS_PER_S + answer->nanoseconds;
		/* It was read half a round trip ago. */
		c->offset = c->guest + c->round_trip / 2 - now_ns(CLOCK_REALTIME);
	}
	message_free(m);
	return c->asked ? 0 : error_set(err, -EPROTO, "its time makes no sense");
}

static int put(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	Vmctl__Agent__V1__SetTimeRequest request =
		VMCTL__AGENT__V1__SET_TIME_REQUEST__INIT;
	const Vmctl__Agent__V1__SetTimeResponse *answer;
	const struct clock *c = into;
	ProtobufCMessage *m = NULL;
	char why[160];
	/* It arrives half a round trip from now. */
	int64_t to = c->sync ? now_ns(CLOCK_REALTIME) + c->round_trip / 2 : c->to;
	int ret;

	request.seconds = to / NS_PER_S;
	request.nanoseconds = (uint32_t)(to % NS_PER_S);
	ret = guest_rpc_call(rpc, "SetTime", &request.base,
			     &vmctl__agent__v1__set_time_response__descriptor, deadline,
			     &m, err);
	if (ret) {
		error_prefix(err, "the agent's SetTime");
		return ret;
	}
	answer = (const Vmctl__Agent__V1__SetTimeResponse *)m;
	text_copy(why, sizeof(why), answer->rtc_error, strlen(answer->rtc_error));
	if (*why)
		report_warn(c->report, "the guest's hardware clock was not set: %s",
			    why);
	report_set(c->report, "hardware_clock", json_boolean(answer->rtc));
	message_free(m);
	return 0;
}

static void change(struct clock *c, const struct vm *vm, deadline_t deadline,
		   struct report *r)
{
	report_step(r, "set");
	/* And what it is now. */
	if (ask_change(vm, put, c, deadline, r) == STATUS_OK)
		ask_again(vm, get, c, deadline, r);
}

static void run(struct clock *c, const struct vm *vm, struct report *r)
{
	deadline_t deadline = deadline_after_ms(r->options->timeout_ms);

	report_step(r, "ask");
	ask_again(vm, get, c, deadline, r);
	if (r->status != STATUS_OK || !(c->set || c->sync))
		;
	else if (r->options->dry_run)
		step_would(r, "set");
	else
		change(c, vm, deadline, r);
	report_step_end(r);
}

static void print(const struct clock *c, struct report *r)
{
	time_t seconds = c->guest / NS_PER_S;
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	if (r->options->json) {
		report_set(r, "seconds", json_integer(seconds));
		report_set(r, "nanoseconds", json_integer(c->guest % NS_PER_S));
		report_set(r, "offset_s", json_real((double)c->offset / NS_PER_S));
		report_set(r, "round_trip_s",
			   json_real((double)c->round_trip / NS_PER_S));
		return;
	}
	printf("%s: %s.%09lldZ, %.6f s %s this host's (within %.6f s)\n", r->printable,
	       text, (long long)(c->guest % NS_PER_S),
	       (double)(c->offset < 0 ? -c->offset : c->offset) / NS_PER_S,
	       c->offset < 0 ? "behind" : "ahead of",
	       (double)c->round_trip / 2 / NS_PER_S);
	if (r->options->dry_run && (c->set || c->sync))
		step_print_would(r);
}

int time_main(int argc, char **argv)
{
	struct clock c = {0};
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &c);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	c.report = &r;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (c.set && c.sync)
		report_fail(&r, STATUS_USAGE, "give --set or --sync, not both");
	else if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&c, &vm, &r);
	if (c.asked && r.status == STATUS_OK)
		print(&c, &r);
	return report_finish(&r);
}
