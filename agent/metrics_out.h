/* SPDX-License-Identifier: Apache-2.0 */
/* Writing of metrics: families and samples. */
#ifndef AGENT_METRICS_OUT_H
#define AGENT_METRICS_OUT_H

#include <stdio.h>

#include "metrics.h"

struct metrics_out {
	FILE *to;
	enum metrics_format format;
	const char *suffix; /* "_total" for the samples of a counter, else "" */
	const char *name;   /* of the family */
};

/* Begins a family; the name of a counter is given without "_total". */
void metrics_gauge(struct metrics_out *out, const char *name, const char *help);
void metrics_counter(struct metrics_out *out, const char *name, const char *help);

/*
 * A sample of the family: names and values of its labels in turn, then NULL. Values
 * are escaped.
 */
void metrics_put(struct metrics_out *out, double value, const char *const *labels);
#define metrics_sample(out, value, ...) \
	metrics_put(out, value, (const char *const[]){__VA_ARGS__})

#endif
