/* SPDX-License-Identifier: Apache-2.0 */
/* A distribution as horizontal bars, a line for each bucket. */
#ifndef HOST_CLI_PLOT_H
#define HOST_CLI_PLOT_H

#include <stdbool.h>
#include <stdio.h>

#include "distribution.h"

#define PLOT_COLUMNS_MIN 40
#define PLOT_COLUMNS_MAX 80

struct plot_style {
	unsigned int columns; /* that a line has at most */
	bool blocks;	      /* eighths of a character, of Unicode; else '#' */
};

/*
 * What a stream can show: a terminal's own width, and blocks if it is one of UTF-8;
 * anything else 80 columns of ASCII.
 */
struct plot_style plot_style_of(FILE *to);

/* The longest bar fills the line; what is not empty has a bar, however short. */
void plot_print(FILE *to, const struct plot_style *style,
		const struct distribution_bucket *buckets, size_t n);

#endif
