/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in the guest, with this process's standard input, output and error: what
 * exec and shell have in common. vmctl's exit code is the command's, or 128 and its
 * signal; what kept the command from its end has the two codes below.
 */
#ifndef HOST_CLI_COMMAND_H
#define HOST_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vm.h"

#define COMMAND_VARIABLES_MAX 256

struct command {
	char **words; /* none: the user's login shell */
	size_t n_words;
	const char *variables[COMMAND_VARIABLES_MAX]; /* NAME=VALUE */
	size_t n_variables;
	const char *user, *directory; /* NULL: not said */
	bool terminal;
};

/* Of an option, such as option_spec wants; the user stays. */
int command_set_user(void *into, const char *value, struct error *err);

/* Notes a NAME=VALUE, which stays. */
int command_add_variable(struct command *command, const char *text, struct error *err);

/* Runs it to its end. The options' time-out is the command's. */
enum status command_run(const struct command *command, const struct vm *vm,
			struct report *r);

#endif
