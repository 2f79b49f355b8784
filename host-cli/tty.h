/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a terminal gets and a file or a program does not: colour, and a line that is
 * written over.
 */
#ifndef HOST_CLI_TTY_H
#define HOST_CLI_TTY_H

#include <stdbool.h>
#include <stdio.h>

/* Whether it is a terminal that can take a line back. */
bool tty_is(FILE *stream);

/* How wide it is; 80 where it does not say. */
unsigned int tty_columns(FILE *stream);

/*
 * The sequences for a colour and for its end, or "" where there is no colour: no
 * terminal, or NO_COLOR is set.
 */
const char *tty_red(FILE *stream);
const char *tty_green(FILE *stream);
const char *tty_bold(FILE *stream);
const char *tty_end(FILE *stream);

#endif
