/* SPDX-License-Identifier: Apache-2.0 */
/* shutdown, reboot and suspend. */
#include <stdio.h>

#include "ask.h"
#include "step.h"
#include "verbs.h"
#include "vmctl/agent/v1/power.pb-c.h"

static const char *const ways[] = {
	[VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_SYSTEMD] = "systemd",
	[VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_SHUTDOWN] = "shutdown",
	[VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_INIT] = "init",
	[VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_KERNEL] = "kernel",
};

static const char *way_name(Vmctl__Agent__V1__PowerWay way)
{
	size_t i = (size_t)way;

	return i < sizeof(ways) / sizeof(ways[0]) && ways[i] ? ways[i] : "unknown";
}

static int set_force(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	*(bool *)into = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"force", NULL, "at once: nobody in the guest is asked to end", 0, set_force},
	{NULL, NULL, NULL, 0, NULL},
};

static void run(const struct vm *vm, const char *method, bool force, const char *does,
		struct report *r)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	/* With --dry-run the agent is asked too, which way it would be. */
	struct ask ask = {
		.method = method,
		.request = &request.base,
		.type = &vmctl__agent__v1__power_response__descriptor,
		.step = r->verb,
		.changes = !r->options->dry_run,
	};
	deadline_t deadline = deadline_after_ms(r->options->timeout_ms);
	ProtobufCMessage *m;
	const char *way;

	request.force = force;
	request.dry_run = r->options->dry_run;
	if (ask_agent_raw(&ask, vm, deadline, &m, r) != STATUS_OK)
		return;
	way = way_name(((Vmctl__Agent__V1__PowerResponse *)m)->way);
	report_set(r, "way", json_string(way));
	if (request.dry_run)
		step_would_only(r, r->verb);
	else if (!r->options->json && !r->options->quiet)
		printf("%s: %s (%s)\n", r->printable, does, way);
	message_free(m);
}

static int power_main(int argc, char **argv, const struct options_syntax *syntax,
		      const char *method, const char *does)
{
	struct options options;
	bool force = false;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, syntax, &options, &force);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax->verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&vm, method, force, does, &r);
	return report_finish(&r);
}

int shutdown_main(int argc, char **argv)
{
	static const struct options_syntax syntax = {
		.verb = "shutdown",
		.operands = "VM",
		.about = "Has the guest end its services and switch itself off.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return power_main(argc, argv, &syntax, "Shutdown", "shuts down");
}

int reboot_main(int argc, char **argv)
{
	static const struct options_syntax syntax = {
		.verb = "reboot",
		.operands = "VM",
		.about = "Has the guest end its services and start again.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return power_main(argc, argv, &syntax, "Reboot", "reboots");
}

int suspend_main(int argc, char **argv)
{
	static const struct options_syntax syntax = {
		.verb = "suspend",
		.operands = "VM",
		.about = "Has the guest suspend to its memory.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return power_main(argc, argv, &syntax, "Suspend", "suspends");
}
