/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue from the driver's side, split (virtio 1.2, 2.7) or packed (2.8).
 * Nothing is visible to the device before ring_publish(), so a batch costs one
 * update and at most one kick.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	RING_PARTS_MAX = 4, /* descriptors of one buffer */
};

struct ring_part {
	uint64_t addr; /* guest physical */
	uint32_t len;
};

struct ring {
	unsigned int num;
	unsigned int parts; /* a buffer's descriptors, at most */
	bool event_idx, packed, indirect;
	int kick, call;

	/* Where its three parts are: for us and for the guest. */
	uint8_t *at[3];
	uint64_t addr[3];
	void *indirect_at; /* RING_PARTS_MAX for each buffer */
	uint64_t indirect_addr;

	uint16_t added;	    /* the available index, or the place in a packed ring */
	uint16_t published; /* as the device knows it */
	uint16_t taken;	    /* the used index, or the place in a packed ring */
	uint64_t kicks, interrupts_asked;

	/* Of a packed ring. */
	bool added_wrap, taken_wrap;
	uint16_t batch_at, batch_flags; /* the batch's first descriptor, held back */
	bool batch;
	uint16_t batch_added; /* descriptors in it */
	uint16_t *lengths;    /* descriptors that each buffer takes */
};

/* Bytes that each of the three parts and the indirect tables need. */
void ring_sizes(const struct ring *ring, uint32_t size[3]);

/* How many buffers there can be: each has a number below it, its id. */
unsigned int ring_buffers(const struct ring *ring);

/* Offers a buffer, to be read or to be written by the device. */
void ring_add(struct ring *ring, uint16_t id, const struct ring_part *part,
	      unsigned int parts, bool device_writes);

/* Shows the device what was added, and kicks it if it asked for that. */
void ring_publish(struct ring *ring);

/* Takes the next buffer that the device is done with. */
bool ring_take(struct ring *ring, uint16_t *id, uint32_t *len);

/* Whether the device is done with one more. */
bool ring_ready(const struct ring *ring);

/* Asks for an interrupt at the next one. True when it is there already. */
bool ring_arm(struct ring *ring);

/* Asks for none. */
void ring_disarm(struct ring *ring);

/* Of a packed ring; called by those above. */
void ring_packed_add(struct ring *ring, uint16_t id, const struct ring_part *part,
		     unsigned int parts, bool device_writes);
void ring_packed_publish(struct ring *ring);
bool ring_packed_take(struct ring *ring, uint16_t *id, uint32_t *len);
bool ring_packed_ready(const struct ring *ring);
void ring_packed_arm(struct ring *ring);
void ring_packed_disarm(struct ring *ring);
void ring_kick(struct ring *ring);

#endif
