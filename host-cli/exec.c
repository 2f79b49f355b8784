/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdio.h>

#include "command.h"
#include "verbs.h"

static int set_env(void *into, const char *value, struct error *err)
{
	return command_add_variable(into, value, err);
}

static int set_dir(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct command *)into)->directory = value;
	return 0;
}

static int set_tty(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct command *)into)->terminal = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"user", "USER", "NAME or UID, with :GROUP (the agent's own)", 0,
	 command_set_user},
	{"env", "NAME=VALUE", "a variable of its environment; more than once", 0,
	 set_env},
	{"dir", "DIR", "where it runs (the user's home)", 0, set_dir},
	{"tty", NULL, "on a terminal", 't', set_tty},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "exec",
	.operands = "VM [--] COMMAND [ARGUMENT ...]",
	.about = "Runs a command in the guest, with standard input, output and error, "
		 "and ends with its\n"
		 "exit code. What keeps it from that has code 125, and 124 if its time "
		 "was up. With\n"
		 "--json the object goes to standard error.",
	.own = specs,
	.min_args = 2,
	.max_args = INT_MAX,
	.timeout_help = "for the command (no limit)",
	.no_timeout = true,
	.runs_command = true,
};

int exec_main(int argc, char **argv)
{
	struct command command = {0};
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &command);

	if (ret)
		return ret > 0 ? STATUS_OK : REPORT_CODE_FAILED;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	r.passes_on = true;
	r.json_to = stderr;
	command.words = options.args + 1;
	command.n_words = (size_t)options.nargs - 1;
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		command_run(&command, &vm, &r);
	return report_finish(&r);
}
