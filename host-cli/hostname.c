/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ask.h"
#include "step.h"
#include "verbs.h"
#include "vmctl/agent/v1/system.pb-c.h"

static int set_persistent(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	*(bool *)into = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"persistent", NULL, "for the guest's next boot too", 0, set_persistent},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "hostname",
	.operands = "VM [NAME]",
	.about = "Says what the guest's host name is, or sets it.",
	.own = specs,
	.min_args = 1,
	.max_args = 2,
	.changes = true,
};

static void get(const struct vm *vm, deadline_t deadline, struct report *r)
{
	Vmctl__Agent__V1__GetHostnameRequest request =
		VMCTL__AGENT__V1__GET_HOSTNAME_REQUEST__INIT;
	struct ask ask = {
		.method = "GetHostname",
		.request = &request.base,
		.type = &vmctl__agent__v1__get_hostname_response__descriptor,
		.step = "ask",
	};
	const Vmctl__Agent__V1__GetHostnameResponse *answer;
	ProtobufCMessage *m;

	if (ask_agent(&ask, vm, deadline, &m, r) != STATUS_OK)
		return;
	answer = (const Vmctl__Agent__V1__GetHostnameResponse *)m;
	report_set(r, "hostname", json_string(answer->name));
	report_set(r, "persistent",
		   *answer->persistent ? json_string(answer->persistent) : json_null());
	if (!r->options->json)
		puts(answer->name);
	message_free(m);
}

static void set(const struct vm *vm, const char *name, bool persistent,
		deadline_t deadline, struct report *r)
{
	Vmctl__Agent__V1__SetHostnameRequest request =
		VMCTL__AGENT__V1__SET_HOSTNAME_REQUEST__INIT;
	struct ask ask = {
		.method = "SetHostname",
		.request = &request.base,
		.type = &vmctl__agent__v1__set_hostname_response__descriptor,
		.step = "set",
		.changes = true,
	};
	ProtobufCMessage *m;

	request.name = (char *)name;
	request.persistent = persistent;
	ask_agent(&ask, vm, deadline, &m, r);
	message_free(m);
}

int hostname_main(int argc, char **argv)
{
	bool persistent = false;
	struct options options;
	deadline_t deadline;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &persistent);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) != STATUS_OK)
		return report_finish(&r);
	if (options.nargs > 1 && !options.dry_run) {
		set(&vm, options.args[1], persistent, deadline, &r);
		return report_finish(&r);
	}
	get(&vm, deadline, &r);
	if (options.nargs > 1 && r.status == STATUS_OK)
		step_would_only(&r, "set");
	return report_finish(&r);
}
