/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent_verb.h"
#include "step.h"
#include "text.h"
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
	const Vmctl__Agent__V1__GetHostnameResponse *answer;
	ProtobufCMessage *m = NULL;
	char name[256], persistent[256];

	if (agent_verb_ask(vm, "ask", "GetHostname", &request.base,
			   &vmctl__agent__v1__get_hostname_response__descriptor, &m,
			   deadline, r) != STATUS_OK)
		return;
	answer = (const Vmctl__Agent__V1__GetHostnameResponse *)m;
	text_copy(name, sizeof(name), answer->name, strlen(answer->name));
	text_copy(persistent, sizeof(persistent), answer->persistent,
		  strlen(answer->persistent));
	message_free(m);
	report_set(r, "hostname", json_string(name));
	report_set(r, "persistent",
		   *persistent ? json_string(persistent) : json_null());
	if (!r->options->json)
		puts(name);
}

static void set(const struct vm *vm, const char *name, bool persistent,
		deadline_t deadline, struct report *r)
{
	Vmctl__Agent__V1__SetHostnameRequest request =
		VMCTL__AGENT__V1__SET_HOSTNAME_REQUEST__INIT;
	ProtobufCMessage *m = NULL;

	request.name = (char *)name;
	request.persistent = persistent;
	if (agent_verb_ask(vm, "set", "SetHostname", &request.base,
			   &vmctl__agent__v1__set_hostname_response__descriptor, &m,
			   deadline, r) == STATUS_OK)
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
	if (options.nargs > 1 && r.status == STATUS_OK) {
		step_would(&r, "set");
		if (!options.json)
			step_print_would(&r);
	}
	return report_finish(&r);
}
