// SPDX-License-Identifier: Apache-2.0
#include "stream_ids.h"

#include <string.h>

static uint64_t bit(uint32_t n)
{
	return UINT64_C(1) << n % 64;
}

static uint32_t word(uint32_t n)
{
	return n % AGENT_STREAM_WINDOW / 64;
}

bool agent_stream_ids_used(const struct agent_stream_ids *ids, uint32_t id)
{
	uint32_t n = id / 2;

	if (n >= ids->next)
		return false;
	return ids->next - n > AGENT_STREAM_WINDOW || (ids->used[word(n)] & bit(n));
}

bool agent_stream_ids_take(struct agent_stream_ids *ids, uint32_t id)
{
	uint32_t n = id / 2;

	if (agent_stream_ids_used(ids, id))
		return false;
	if (n >= ids->next && n - ids->next >= AGENT_STREAM_WINDOW) {
		memset(ids->used, 0, sizeof(ids->used));
		ids->next = n + 1;
	}
	/* The ids that come into the window are new. */
	for (; ids->next <= n; ids->next++)
		ids->used[word(ids->next)] &= ~bit(ids->next);
	ids->used[word(n)] |= bit(n);
	return true;
}
