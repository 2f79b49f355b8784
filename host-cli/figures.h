/* SPDX-License-Identifier: Apache-2.0 */
/* The samples of a text of metrics that vmctl shows. */
#ifndef HOST_CLI_FIGURES_H
#define HOST_CLI_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

/* The value of the sample with exactly these labels; false: there is none. */
bool figures_get(const char *text, const char *sample, double *value);

/*
 * The sum of the samples of a name that have the label ("mode=\"idle\""), or of all
 * with NULL.
 */
double figures_sum(const char *text, const char *name, const char *label);

/* One after the other: false at the end. *at begins at the text. */
struct figures_sample {
	const char *name, *labels; /* in the text, not ended */
	size_t name_len, labels_len;
	double value;
};
bool figures_next(const char **at, struct figures_sample *sample);

/* The value of a label of a sample, cut to fit; false: it has none such. */
bool figures_label(const struct figures_sample *sample, const char *label, char *to,
		   size_t size);

#endif
