/* SPDX-License-Identifier: Apache-2.0 */
#include "bucket.h"

enum {
	SECOND = 1000, /* ms */
	ONE = 1000,    /* thousandths */
	REST = 10,     /* ms; a shorter one is not worth waking up for */
};

void bucket_init(struct bucket *bucket, uint64_t rate, uint64_t burst, uint64_t now)
{
	*bucket = (struct bucket){.rate = rate, .burst = burst ? burst : 1, .at = now};
	bucket->level = (int64_t)(bucket->burst * ONE);
}

bool bucket_ready(struct bucket *bucket, uint64_t now)
{
	uint64_t past = now - bucket->at;
	int64_t full = (int64_t)(bucket->burst * ONE);

	if (!bucket->rate)
		return true;
	/* A debt may be paid back for longer than that. */
	while (past && bucket->level < full) {
		uint64_t step = past < SECOND ? past : SECOND;

		bucket->level += (int64_t)(bucket->rate * step);
		past -= step;
	}
	if (bucket->level > full)
		bucket->level = full;
	bucket->at = now;
	return bucket->level >= ONE;
}

void bucket_take(struct bucket *bucket, uint64_t tokens)
{
	if (bucket->rate)
		bucket->level -= (int64_t)(tokens * ONE);
}

int bucket_wait(const struct bucket *bucket)
{
	uint64_t missing, ms;

	if (!bucket->rate || bucket->level >= ONE)
		return 0;
	missing = (uint64_t)(ONE - bucket->level);
	ms = missing / bucket->rate + 1;
	if (ms > SECOND)
		return SECOND;
	return ms < REST ? REST : (int)ms;
}
