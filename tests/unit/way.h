/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way of a connection: bytes of which each end knows what they have to be, and
 * where messages among them end. CHECK() is the includer's.
 */
#ifndef WAY_H
#define WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	WAY_PERIOD = 65521, /* a prime: what is in the wrong place looks it */
	WAY_MESSAGES = 256, /* on their way at once */
};

struct way {
	uint32_t seed;
	uint64_t sent, received;
	uint64_t part_sent, part_received; /* of the message that has no end yet */
	uint64_t message[WAY_MESSAGES];	   /* lengths of those on their way */
	size_t first, messages;
};

static inline const uint8_t *way_bytes(const struct way *way, uint64_t at)
{
	static uint8_t pattern[WAY_PERIOD];
	static bool made;

	if (!made)
		for (uint32_t i = 0, value = 1; i < WAY_PERIOD; i++) {
			value = value * 1664525 + 1013904223;
			pattern[i] = (uint8_t)(value >> 24);
		}
	made = true;
	return pattern + (at + way->seed * 7919ULL) % WAY_PERIOD;
}

static inline void way_begin(struct way *way, uint32_t seed)
{
	*way = (struct way){.seed = seed};
}

/* How many bytes are in one piece from there on, of len. */
static inline size_t way_piece(const struct way *way, uint64_t at, size_t len)
{
	size_t piece = WAY_PERIOD - (at + way->seed * 7919ULL) % WAY_PERIOD;

	return piece < len ? piece : len;
}

/* The next len bytes to be sent. */
static inline void way_fill(const struct way *way, uint8_t *buf, size_t len)
{
	for (size_t done = 0, n; done < len; done += n) {
		n = way_piece(way, way->sent + done, len - done);
		memcpy(buf + done, way_bytes(way, way->sent + done), n);
	}
}

/* The next len bytes to be received are these. */
static inline void way_check(const struct way *way, const uint8_t *buf, size_t len)
{
	CHECK(way->received + len <= way->sent);
	for (size_t done = 0, n; done < len; done += n) {
		n = way_piece(way, way->received + done, len - done);
		CHECK(memcmp(buf + done, way_bytes(way, way->received + done), n) == 0);
	}
}

/* end: they end a message. False when there are too many messages. */
static inline bool way_sent(struct way *way, size_t len, bool end)
{
	way->sent += len;
	way->part_sent += len;
	if (!end)
		return true;
	if (way->messages == WAY_MESSAGES)
		return false;
	way->message[(way->first + way->messages++) % WAY_MESSAGES] = way->part_sent;
	way->part_sent = 0;
	return true;
}

static inline void way_received(struct way *way, size_t len, bool end)
{
	way->received += len;
	way->part_received += len;
	if (!end)
		return;
	CHECK(way->messages && way->message[way->first] == way->part_received);
	way->first = (way->first + 1) % WAY_MESSAGES;
	way->messages--;
	way->part_received = 0;
}

/* Whether the next message has no bytes. */
static inline bool way_expects_empty(const struct way *way)
{
	return way->messages && !way->message[way->first];
}

/* Whether all has arrived, but for a message without an end. */
static inline bool way_is_done(const struct way *way)
{
	if (way->messages)
		return false;
	return way->received == way->sent ||
	       way->received + way->part_sent == way->sent;
}

#endif
