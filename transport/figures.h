/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a device, each with its name and its meaning: what it has counted
 * since this process began, and how it stands.
 */
#ifndef TRANSPORT_FIGURES_H
#define TRANSPORT_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"

enum {
	FIGURES_MAX = 64
};

/* Those of one kind follow each other, and differ in their word. */
struct figure {
	const char *name;  /* in lower case, with underscores */
	const char *label; /* what the word is; NULL: there is no word */
	const char *word;
	const char *help; /* one sentence */
	bool counter;	  /* only grows, but for a restart */
	uint64_t value;
};

/* began is the loop_now() when the daemon did. Returns their number. */
size_t figures_read(const struct device *dev, uint64_t began,
		    struct figure out[static FIGURES_MAX]);

#endif
