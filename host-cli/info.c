/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ask.h"
#include "verbs.h"

static const struct options_syntax syntax = {
	.verb = "info",
	.operands = "VM",
	.about = "Asks the guest's agent what the guest is and has.",
	.min_args = 1,
	.max_args = 1,
};

static int ask(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	return guest_info(rpc, into, deadline, err);
}

static enum status run(struct guest_info *info, const struct vm *vm,
		       deadline_t deadline, struct report *r)
{
	report_step(r, "agent");
	ask_again(vm, ask, info, deadline, r);
	report_step_end(r);
	return r->status;
}

static void print_text(const struct guest_info *i)
{
	char possible[128], present[128], online[128];

	printf("hostname          %s\n", i->hostname);
	printf("kernel            %s\n", i->kernel);
	printf("uptime            %.1f s\n", (double)i->uptime_ns / 1e9);
	printf("CPUs possible     %s\n",
	       cpumask_format(&i->cpus.possible, possible, sizeof(possible)));
	printf("CPUs present      %s\n",
	       cpumask_format(&i->cpus.present, present, sizeof(present)));
	printf("CPUs online       %s\n",
	       cpumask_format(&i->cpus.online, online, sizeof(online)));
	printf("memory            %.0f MiB\n", (double)i->memory_total / 1048576);
	printf("memory available  %.0f MiB\n", (double)i->memory_available / 1048576);
	printf("agent             %s\n", i->agent_version);
	printf("upcall module     %s\n",
	       *i->module_version ? i->module_version : "not loaded");
}

static void print_json(const struct guest_info *i, struct report *r)
{
	report_set(r, "hostname", json_string(i->hostname));
	report_set(r, "kernel", json_string(i->kernel));
	report_set(r, "uptime_s", json_real((double)i->uptime_ns / 1e9));
	report_set(r, "cpus",
		   json_pack("{s:o, s:o, s:o}", "possible",
			     cpumask_json(&i->cpus.possible), "present",
			     cpumask_json(&i->cpus.present), "online",
			     cpumask_json(&i->cpus.online)));
	report_set(r, "memory_total_bytes", json_integer((json_int_t)i->memory_total));
	report_set(r, "memory_available_bytes",
		   json_integer((json_int_t)i->memory_available));
	report_set(r, "agent_version", json_string(i->agent_version));
	report_set(r, "module_version",
		   *i->module_version ? json_string(i->module_version) : json_null());
}

int info_main(int argc, char **argv)
{
	struct guest_info info;
	struct options options;
	struct report r;
	struct vm vm;
	deadline_t deadline;
	int ret = options_parse(argc, argv, &syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK &&
	    run(&info, &vm, deadline, &r) == STATUS_OK) {
		if (options.json)
			print_json(&info, &r);
		else
			print_text(&info);
	}
	return report_finish(&r);
}
