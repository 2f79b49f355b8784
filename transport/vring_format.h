/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vring.c and the two formats, vring_split.c and vring_packed.c, share.
 */
#ifndef TRANSPORT_VRING_FORMAT_H
#define TRANSPORT_VRING_FORMAT_H

#include <endian.h>

#include "vring.h"

static inline uint16_t vring_load16(const uint16_t *p, int order)
{
	return le16toh(__atomic_load_n(p, order));
}

static inline void vring_store16(uint16_t *p, uint16_t value, int order)
{
	__atomic_store_n(p, htole16(value), order);
}

/* Logs a write into the used part (of a packed ring: the device's area). */
static inline void vring_log_used(struct vring *ring, uint64_t offset, uint64_t len)
{
	if (ring->log && ring->log_used)
		dirty_log_mark(ring->log, ring->log_guest + offset, len);
}

/* One part of a ring, which must be in one piece. NULL and an error else. */
void *vring_resolve_part(const struct memory *memory, uint64_t user, uint64_t len,
			 unsigned int align, const char *what, struct error *err);

/* What a walk along one chain has found so far. */
struct vring_walk {
	struct vring *ring;
	struct memory *memory;
	struct vring_chain *chain;
	struct iovec *iov;
	size_t max; /* pieces */
	struct error *err;
};

/* A descriptor of either format, as it was read. */
struct vring_piece {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
};

/* Adds what the descriptor stands for to the chain. Negative errno. */
int vring_walk_add(struct vring_walk *walk, const struct vring_piece *piece);

/* An indirect descriptor's number of entries, or a negative errno. */
int vring_walk_indirect(struct vring_walk *walk, const struct vring_piece *piece);

/* Reads 16 bytes of an indirect table. Negative errno. */
int vring_walk_read(struct vring_walk *walk, uint64_t table, uint32_t index,
		    void *desc);

int vring_split_resolve(struct vring *ring, const struct memory *memory,
			struct error *err);
int vring_split_start(struct vring *ring, bool resume, struct error *err);
void vring_split_suspend(struct vring *ring);
int vring_split_pop(struct vring_walk *walk);
void vring_split_unpop(struct vring *ring, unsigned int count);
void vring_split_push(struct vring *ring, const struct vring_chain *chain,
		      uint32_t len);
/* True when the guest is to be interrupted. */
bool vring_split_commit(struct vring *ring);
bool vring_split_wait(struct vring *ring);
void vring_split_quiet(struct vring *ring);
uint32_t vring_split_position(const struct vring *ring);
/* The head of the chain that the driver made available with that index. */
uint16_t vring_split_avail(const struct vring *ring, uint16_t index);
/* All that the device may have written of the ring. */
void vring_split_log(struct vring *ring);

int vring_packed_resolve(struct vring *ring, const struct memory *memory,
			 struct error *err);
int vring_packed_start(struct vring *ring, bool resume, struct error *err);
void vring_packed_suspend(struct vring *ring);
void vring_packed_stop(struct vring *ring);
int vring_packed_pop(struct vring_walk *walk);
void vring_packed_unpop(struct vring *ring, unsigned int count);
void vring_packed_push(struct vring *ring, const struct vring_chain *chain,
		       uint32_t len);
bool vring_packed_commit(struct vring *ring);
bool vring_packed_wait(struct vring *ring);
void vring_packed_quiet(struct vring *ring);
uint32_t vring_packed_position(const struct vring *ring);
void vring_packed_log(struct vring *ring);
struct vring_place vring_packed_advance(const struct vring *ring,
					struct vring_place place, uint32_t descs);
bool vring_packed_is_available(uint16_t flags, bool wrap);

#endif
