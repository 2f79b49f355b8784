/* SPDX-License-Identifier: Apache-2.0 */
#include "tty.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS 80

bool tty_is(FILE *stream)
{
	const char *term = getenv("TERM");

	return isatty(fileno(stream)) && term && *term && strcmp(term, "dumb");
}

unsigned int tty_columns(FILE *stream)
{
	struct winsize size;

	if (ioctl(fileno(stream), TIOCGWINSZ, &size) || !size.ws_col)
		return COLUMNS;
	return size.ws_col;
}

/* https://no-color.org: set and not empty. */
static const char *coloured(FILE *stream, const char *sequence)
{
	const char *no_color = getenv("NO_COLOR");

	return tty_is(stream) && !(no_color && *no_color) ? sequence : "";
}

const char *tty_red(FILE *stream)
{
	return coloured(stream, "\033[31m");
}

const char *tty_green(FILE *stream)
{
	return coloured(stream, "\033[32m");
}

const char *tty_bold(FILE *stream)
{
	return coloured(stream, "\033[1m");
}

const char *tty_end(FILE *stream)
{
	return coloured(stream, "\033[0m");
}
