/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "verbs.h"

static const struct option_spec specs[] = {
	{"user", "USER", "NAME or UID, with :GROUP (the agent's own)", 0,
	 command_set_user},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "shell",
	.operands = "VM",
	.about = "A login shell in the guest, on this terminal, and its exit code as "
		 "by exec. ^] three\n"
		 "times within a second leaves it. With --json the object goes to "
		 "standard error.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.timeout_help = "for the shell (no limit)",
	.no_timeout = true,
	.one_vm = true,
};

int shell_main(int argc, char **argv)
{
	struct command command = {.terminal = true};
	const char *term = getenv("TERM");
	struct error err = {0};
	struct options options;
	char variable[80];
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &command);

	if (ret)
		return ret > 0 ? STATUS_OK : REPORT_CODE_FAILED;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	r.passes_on = true;
	r.json_to = stderr;
	snprintf(variable, sizeof(variable), "TERM=%s", term ? term : "dumb");
	command_add_variable(&command, variable, &err);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		command_run(&command, &vm, &r);
	return report_finish(&r);
}
