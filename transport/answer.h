/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control socket answers, as text that comes in pieces, so that a long
 * answer needs no more memory than a short one, and no more time at once. Its forms
 * are documented in vsockd(8), and stay.
 */
#ifndef TRANSPORT_ANSWER_H
#define TRANSPORT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"

enum {
	ANSWER_PIECE_MIN = 1024, /* bytes that a piece must have room for */
};

struct piece;

struct answer {
	/* Writes from `at` on; false once all has been said. */
	bool (*say)(struct answer *answer, const struct device *dev,
		    struct piece *piece);
	uint64_t began; /* the daemon's */
	size_t at;	/* how far it has come */
	uint64_t count; /* connections that were told */
	bool done;
};

/* Begins the answer to a request, a line without its end. */
void answer_begin(struct answer *answer, const char *line, size_t len, uint64_t began);

/*
 * Writes the next piece, and returns its length, which may be 0 before the answer is
 * done. Nothing may be asked of it when it is.
 */
size_t answer_next(struct answer *answer, const struct device *dev, char *buf,
		   size_t size);

#endif
