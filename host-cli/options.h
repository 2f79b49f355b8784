/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a verb: the options that every verb has, and a table of
 * its own. The tables feed the parsing and --help alike.
 */
#ifndef HOST_CLI_OPTIONS_H
#define HOST_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define OPTIONS_DEFAULT_TIMEOUT_MS 30000

/* What every verb takes. */
struct options {
	bool json;
	bool quiet;
	bool dry_run; /* only where the syntax says that the verb changes something */
	int verbose;
	int64_t timeout_ms;
	char **args; /* what is left: the operands, in argv */
	int nargs;
};

struct option_spec {
	const char *name; /* long name, without the dashes; NULL ends a table */
	const char *arg;  /* the argument's name in --help; NULL: takes none */
	const char *help;
	char letter; /* short name, or 0 */
	/* Stores the value (NULL without argument); fills err when it is wrong. */
	int (*set)(void *into, const char *value, struct error *err);
};

struct options_syntax {
	const char *verb;
	const char *operands;	       /* as --help shows them: "VM", "" */
	const char *about;	       /* one paragraph */
	const struct option_spec *own; /* may be NULL; set with `into` */
	int min_args, max_args;
	const char *timeout_help; /* where it is not for the whole command */
	bool changes;		  /* it has --dry-run */
	bool one_vm;		  /* several VMs at once make no sense */
	/*
	 * What stands behind VM is a command: no option of ours is in it, and what is
	 * no failure of the command's has the codes of such a verb (report.h).
	 */
	bool runs_command;
	bool no_timeout; /* there is none but what is said; timeout_ms is -1 then */
};

/*
 * In place of a command line: the verb prints its syntax for programs, which is
 * "operands", a tab and that member, then a line for each option: its name with the
 * dashes, its letter, its argument's name (empty: takes none) and its help, with tabs
 * between them.
 */
#define OPTIONS_DESCRIBE "--__describe"

/*
 * Parses argv (argv[0] is the verb). Returns 0 to go on; 1 when --help or
 * --version was answered, or the command is for several VMs (fleet.h); -EINVAL
 * when it was wrong and that has been said on stderr. An operand "VM" comes first.
 */
int options_parse(int argc, char **argv, const struct options_syntax *syntax,
		  struct options *common, void *into);

#endif
