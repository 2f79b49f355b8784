/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long things took, each of them kept: what is said about them is what was
 * measured, and no estimate.
 */
#ifndef HOST_CLI_DISTRIBUTION_H
#define HOST_CLI_DISTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

struct distribution {
	uint64_t *ns;
	size_t n, size;
};

/* Room for so many; -ENOMEM. To be freed in any case. */
int distribution_init(struct distribution *d, size_t size);
void distribution_free(struct distribution *d);

/* Adds one; there must be room. */
void distribution_add(struct distribution *d, uint64_t ns);
/* To be called after the last, and before what follows. */
void distribution_sort(struct distribution *d);

/*
 * The least time that so many of a thousand took no longer than: 0 is the shortest,
 * 500 the median, 1000 the longest. There must be one at least.
 */
uint64_t distribution_at(const struct distribution *d, unsigned int permille);

/* Those that took from `from` to below `to` ns. */
struct distribution_bucket {
	uint64_t from, to, count;
};

#define DISTRIBUTION_BUCKETS_MAX 160

/*
 * Counts them in buckets on a logarithmic scale, whose bounds are numbers of two digits
 * and the same for all distributions: 12 a decade (1, 1.2, 1.5, ...), or so many less
 * that all fit into `max` of them (16 at least). Those between the shortest and the
 * longest are there even if empty. Returns how many there are.
 */
size_t distribution_buckets(const struct distribution *d,
			    struct distribution_bucket *buckets, size_t max);

#endif
