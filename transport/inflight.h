/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which chains of each ring are taken and not given back, in memory that the
 * front-end keeps for the next process ("Inflight I/O tracking" of vhost-user). This
 * device gives chains back in the order in which it took them, so that the next one
 * takes all of them anew; yet what is noted is enough for one of another kind.
 *
 * The front-end may write there, too: nothing of it is trusted to be a valid index.
 */
#ifndef TRANSPORT_INFLIGHT_H
#define TRANSPORT_INFLIGHT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

struct inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next; /* of the last batch */
	uint64_t counter;
};

struct inflight_split {
	uint64_t features;
	uint16_t version; /* 0: nothing is in it yet */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_desc desc[];
};

struct inflight_packed_desc {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

struct inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t desc_num;
	uint16_t free_head, old_free_head;
	uint16_t used_idx, old_used_idx;
	uint8_t used_wrap_counter, old_used_wrap_counter;
	uint8_t padding[7];
	struct inflight_packed_desc desc[];
};

/* A ring's part of it; which of the two formats, the ring knows. */
union inflight_ring {
	struct inflight_split split;
	struct inflight_packed packed;
};

struct inflight {
	uint8_t *rings; /* one after the other; NULL: there are none */
	uint64_t size, offset;
	uint16_t count; /* rings */
	uint16_t num;	/* entries that each may have */
	dev_t dev;	/* which file it is */
	ino_t ino;
	void *map;
	size_t map_len;
};

/* A new file for so many rings, which size bytes of it are; or a negative errno. */
int inflight_create(uint16_t count, uint16_t num, uint64_t *size, struct error *err);

/*
 * Maps what inflight_create() once made, in place of the one before. The descriptor
 * stays the caller's. Negative errno: nothing has changed.
 */
int inflight_map(struct inflight *inflight, int fd, uint64_t size, uint64_t offset,
		 uint16_t count, uint16_t num, struct error *err);
void inflight_unmap(struct inflight *inflight);

/* That of a ring; NULL where there is none. */
union inflight_ring *inflight_ring(struct inflight *inflight, unsigned int index);

#endif
