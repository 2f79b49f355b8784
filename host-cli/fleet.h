/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command for several VMs (--all, --vm NAMES): a process for each, so many at a
 * time, whose lines are passed on with the VM's name before them.
 */
#ifndef HOST_CLI_FLEET_H
#define HOST_CLI_FLEET_H

#include <stdbool.h>

#include "options.h"

#define FLEET_AT_ONCE 16

/* Before a command line is read: nothing is asked for. */
void fleet_begin(void);
/* What it asks for. In the process of one VM that is settled. */
void fleet_want_all(void);
int fleet_want(const char *names, struct error *err);
bool fleet_wanted(void);

/* Notes the rest of it: the VM's name belongs before argv[first]. */
int fleet_set_line(int argc, char **argv, int first,
		   const struct options_syntax *syntax, const struct options *options,
		   struct error *err);
/* Whether that came about. */
bool fleet_ready(void);

/* Whether this is the process of one VM. */
bool fleet_is_member(void);
/*
 * Where what a command in the guest writes to its standard output or error (1 or 2)
 * goes: there, or in the process of one VM to a pipe of its own, so that it is not
 * taken for what vmctl says.
 */
int fleet_guest_fd(int fd);

/*
 * Runs the verb for each VM and waits for all of them. Returns the highest of their
 * exit codes, or that of a failure once standard output takes nothing any more; 0 when
 * there are no VMs.
 */
int fleet_run(int (*verb)(int argc, char **argv));

#endif
