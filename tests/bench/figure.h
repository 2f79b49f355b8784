/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was measured, round by round, beside its ceiling and its goal.
 */
#ifndef BENCH_FIGURE_H
#define BENCH_FIGURE_H

#include <stdbool.h>
#include <stdio.h>

enum {
	FIGURE_ROUNDS_MAX = 101,
	FIGURES_MAX = 64,
};

enum goal {
	GOAL_NONE,
	GOAL_OF_CEILING,    /* at least so much of the ceiling */
	GOAL_UP_TO_CEILING, /* at most so many times the ceiling */
	GOAL_OF_PEER,	    /* at least so many times the peer's */
	GOAL_UP_TO_PEER,    /* at most so many times the peer's */
	GOAL_UP_TO,	    /* at most that */
};

struct figure {
	char name[32], unit[12], note[160];
	enum goal goal;
	double goal_value;
	bool peer_estimated;
	unsigned int rounds;
	/* NAN where there is none. */
	double value[FIGURE_ROUNDS_MAX], ceiling[FIGURE_ROUNDS_MAX],
		peer[FIGURE_ROUNDS_MAX];
};

/* A figure to fill; it is reported by figures_print() and figures_save(). */
struct figure *figure_new(const char *name, const char *unit, enum goal goal,
			  double goal_value);
void figure_add(struct figure *f, double value, double ceiling, double peer);

void figures_print(FILE *to);
/* JSON. */
void figures_save(const char *path);

#endif
