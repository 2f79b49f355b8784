/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket: so much a second on average, and a burst at once. What is taken
 * may be more than there is; then nothing more may be taken until that has come.
 */
#ifndef TRANSPORT_BUCKET_H
#define TRANSPORT_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint64_t rate;	/* a second; 0: no limit */
	uint64_t burst; /* no more than a second's worth, but at least one */
	int64_t level;	/* in thousandths */
	uint64_t at;	/* ms; when level was true */
};

/* A full one. */
void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now);

/* Whether there is one token at least. */
bool bucket_ready(struct bucket *bucket, uint64_t now);
void bucket_take(struct bucket *bucket, uint64_t tokens);

/* When there will be some, if there are none now: milliseconds from now on. */
int bucket_wait(const struct bucket *bucket);

#endif
