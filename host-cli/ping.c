/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "retry.h"
#include "text.h"
#include "verbs.h"
#include "vm.h"

#define COUNT_MAX 1000000

struct ping {
	uint64_t count;
	uint64_t done;
	double min, max, sum; /* ms */
};

static int set_count(void *into, const char *value, struct error *err)
{
	struct ping *p = into;

	if (text_number(value, 1, COUNT_MAX, &p->count))
		return error_set(err, -EINVAL, "--count %s: give a number from 1 to %d",
				 value, COUNT_MAX);
	return 0;
}

static const struct option_spec specs[] = {
	{"count", "N", "round trips (1)", 0, set_count},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "ping",
	.operands = "VM",
	.about = "Sends a few bytes to the guest's agent and waits for them to come "
		 "back.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void take_time(struct ping *p, double ms)
{
	if (!p->done || ms < p->min)
		p->min = ms;
	if (!p->done || ms > p->max)
		p->max = ms;
	p->sum += ms;
	p->done++;
}

static enum status connect_and_ping(struct ping *p, const struct vm *vm,
				    deadline_t deadline, struct retry *t)
{
	enum status status;
	struct rpc rpc;

	rpc_init(&rpc, -1);
	status = vm_open_agent(vm, &rpc, deadline, t->report);
	while (status == STATUS_OK && p->done < p->count) {
		double began = now_ms();
		struct error err = {0};
		int ret = guest_ping(&rpc, &began, sizeof(began), deadline, &err);

		if (ret) {
			status = vm_fail_agent(ret, &err, t->report);
		} else {
			take_time(p, now_ms() - began);
			retry_answered(t);
		}
	}
	rpc_close(&rpc);
	return status;
}

static void run(struct ping *p, const struct vm *vm, deadline_t deadline,
		struct report *r)
{
	struct retry t;

	retry_begin(&t, deadline, r);
	report_step(r, "ping");
	while (connect_and_ping(p, vm, deadline, &t) != STATUS_OK && retry_again(&t))
		;
	report_step_end(r);
}

int ping_main(int argc, char **argv)
{
	struct ping p = {.count = 1};
	struct options options;
	struct report r;
	struct vm vm;
	deadline_t deadline;
	int ret = options_parse(argc, argv, &syntax, &options, &p);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&p, &vm, deadline, &r);
	if (p.done && options.json)
		report_set(&r, "round_trips",
			   json_pack("{s:I, s:f, s:f, s:f}", "count",
				     (json_int_t)p.done, "min_ms", p.min, "mean_ms",
				     p.sum / (double)p.done, "max_ms", p.max));
	else if (p.done)
		printf("%s: %llu of %llu round trips, min/mean/max "
		       "%.3f/%.3f/%.3f ms\n",
		       r.vm, (unsigned long long)p.done, (unsigned long long)p.count,
		       p.min, p.sum / (double)p.done, p.max);
	return report_finish(&r);
}
