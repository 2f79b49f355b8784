/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a command that changes a VM.
 */
#ifndef HOST_CLI_STEP_H
#define HOST_CLI_STEP_H

#include <stdbool.h>

#include "report.h"

/*
 * Begins the named step. Until the first step that changes something a signal ends
 * the command, as it does any other. After it they stay held back for good: a
 * command ends soon after its last step, and the report on what was done is worth
 * waiting for. Fails (STATUS_INTERRUPTED) when a signal waits.
 */
enum status step_begin(struct report *r, const char *name, bool changes);

/* With --dry-run: one of the things that would be done. */
void step_would(struct report *r, const char *what);
/* Prints them all, as a line of text. */
void step_print_would(const struct report *r);
/* Both, for a command that would do this one thing. */
void step_would_only(struct report *r, const char *what);

#endif
