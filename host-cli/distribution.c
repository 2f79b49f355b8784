/* SPDX-License-Identifier: Apache-2.0 */
#include "distribution.h"

#include <errno.h>
#include <stdlib.h>

#define A_DECADE 12
#define SHORTEST 100 /* ns; what is below is in the first bucket */

int distribution_init(struct distribution *d, size_t size)
{
	*d = (struct distribution){.ns = calloc(size, sizeof(*d->ns)), .size = size};
	return d->ns ? 0 : -ENOMEM;
}

void distribution_free(struct distribution *d)
{
	free(d->ns);
	d->ns = NULL;
}

void distribution_add(struct distribution *d, uint64_t ns)
{
	if (d->n < d->size)
		d->ns[d->n++] = ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void distribution_sort(struct distribution *d)
{
	qsort(d->ns, d->n, sizeof(*d->ns), compare);
}

uint64_t distribution_at(const struct distribution *d, unsigned int permille)
{
	size_t rank = (d->n * permille + 999) / 1000;

	return d->ns[rank ? rank - 1 : 0];
}

/* The lower bound of a bucket, as of the series E12 of IEC 60063: 0.1 us, 0.12 us... */
static uint64_t bound(unsigned int i)
{
	static const uint16_t series[A_DECADE] = {100, 120, 150, 180, 220, 270,
						  330, 390, 470, 560, 680, 820};
	uint64_t ns = series[i % A_DECADE];

	for (i /= A_DECADE; i; i--)
		ns *= 10;
	return ns;
}

/* The last bucket ends at 10^15 ns, which is eleven days. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int i = 0;

	while (i + 1 < A_DECADE * 13 && bound(i + 1) <= ns)
		i++;
	return i;
}

size_t distribution_buckets(const struct distribution *d,
			    struct distribution_bucket *buckets, size_t max)
{
	/* How many of 12 are one: what divides 12 comes to whole decades. */
	static const unsigned int steps[] = {1, 2, 3, 4, 6, 12};
	unsigned int first = bucket_of(d->ns[0]), last = bucket_of(d->ns[d->n - 1]);
	const unsigned int *step = steps;
	size_t n, done = 0;

	while (last / *step - first / *step + 1 > max && *step < A_DECADE)
		step++;
	n = last / *step - first / *step + 1;
	for (size_t i = 0; i < n; i++) {
		unsigned int from = (first / *step + (unsigned int)i) * *step;
		size_t before = done;

		buckets[i].from = bound(from);
		buckets[i].to = bound(from + *step);
		while (done < d->n && (d->ns[done] < buckets[i].to || i + 1 == n))
			done++;
		buckets[i].count = done - before;
	}
	return n;
}
