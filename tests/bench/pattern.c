/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

#include <string.h>

#include "bench.h"

enum {
	PERIOD = 65521,
	LONGEST = 1 << 16,
};

static uint8_t table[PERIOD + LONGEST];

void pattern_init(void)
{
	uint64_t state = 0x9e3779b97f4a7c15ULL;

	for (size_t i = 0; i < PERIOD; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		table[i] = (uint8_t)(state >> 56);
	}
	for (size_t i = PERIOD; i < sizeof(table); i++)
		table[i] = table[i - PERIOD];
}

void pattern_fill(void *buf, size_t len, uint64_t at)
{
	memcpy(buf, table + at % PERIOD, len);
}

void pattern_check(const void *buf, size_t len, uint64_t at, const char *where)
{
	const uint8_t *bytes = buf, *wanted = table + at % PERIOD;

	if (!memcmp(bytes, wanted, len))
		return;
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != wanted[i])
			die("%s: byte %llu is 0x%02x, and 0x%02x was sent", where,
			    (unsigned long long)(at + i), bytes[i], wanted[i]);
	}
}

void pattern_check_iov(const struct iovec *iov, size_t len, uint64_t at,
		       const char *where)
{
	for (; len; iov++) {
		size_t part = iov->iov_len < len ? iov->iov_len : len;

		pattern_check(iov->iov_base, part, at, where);
		at += part;
		len -= part;
	}
}
