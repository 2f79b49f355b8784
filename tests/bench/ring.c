/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <unistd.h>

#include "bench.h"

/* Places in the available and used parts, in 16-bit units. */
enum {
	FLAGS,
	IDX,
	ENTRIES
};

static uint16_t *avail(const struct ring *ring)
{
	return (uint16_t *)ring->at[1];
}

static uint16_t *used(const struct ring *ring)
{
	return (uint16_t *)ring->at[2];
}

static struct vring_used_elem *used_elem(const struct ring *ring, uint16_t i)
{
	return (struct vring_used_elem *)(ring->at[2] + 4) + i % ring->num;
}

/* What each side writes for the other: from where on it wants to be told. */
static uint16_t *used_event(const struct ring *ring)
{
	return avail(ring) + ENTRIES + ring->num;
}

static uint16_t *avail_event(const struct ring *ring)
{
	return (uint16_t *)(ring->at[2] + 4 + ring->num * 8);
}

static uint16_t load(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *p, uint16_t value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

void ring_sizes(const struct ring *ring, uint32_t size[3])
{
	size[0] = ring->num * 16;
	size[1] = ring->packed ? 4 : 6 + ring->num * 2;
	size[2] = ring->packed ? 4 : 6 + ring->num * 8;
}

unsigned int ring_buffers(const struct ring *ring)
{
	return ring->indirect ? ring->num : ring->num / ring->parts;
}

void ring_kick(struct ring *ring)
{
	uint64_t one = 1;

	ring->kicks++;
	if (write(ring->kick, &one, sizeof(one)) != sizeof(one))
		die_errno("cannot kick the back-end");
}

static void fill_chain(struct vring_desc *desc, uint16_t first,
		       const struct ring_part *part, unsigned int parts,
		       bool device_writes)
{
	uint16_t flags = device_writes ? VRING_DESC_F_WRITE : 0;

	for (unsigned int i = 0; i < parts; i++) {
		desc[i].addr = part[i].addr;
		desc[i].len = part[i].len;
		desc[i].flags = flags | (i + 1 < parts ? VRING_DESC_F_NEXT : 0);
		desc[i].next = first + i + 1;
	}
}

static uint64_t fill_indirect(struct ring *ring, uint16_t id,
			      const struct ring_part *part, unsigned int parts,
			      bool device_writes)
{
	size_t at = (size_t)id * RING_PARTS_MAX;
	struct vring_desc *table = (struct vring_desc *)ring->indirect_at + at;

	fill_chain(table, 0, part, parts, device_writes);
	return ring->indirect_addr + at * sizeof(*table);
}

void ring_add(struct ring *ring, uint16_t id, const struct ring_part *part,
	      unsigned int parts, bool device_writes)
{
	struct vring_desc *desc = (struct vring_desc *)ring->at[0];
	uint16_t head = id;

	if (ring->packed) {
		ring_packed_add(ring, id, part, parts, device_writes);
		return;
	}
	if (ring->indirect && parts > 1) {
		desc[head].addr = fill_indirect(ring, id, part, parts, device_writes);
		desc[head].len = parts * 16;
		desc[head].flags = VRING_DESC_F_INDIRECT;
	} else {
		head = ring->indirect ? id : id * ring->parts;
		fill_chain(desc + head, head, part, parts, device_writes);
	}
	avail(ring)[ENTRIES + ring->added % ring->num] = head;
	ring->added++;
}

static bool wants_kick(const struct ring *ring, uint16_t old)
{
	if (ring->event_idx)
		return vring_need_event(load(avail_event(ring)), ring->added, old);
	return !(load(used(ring) + FLAGS) & VRING_USED_F_NO_NOTIFY);
}

void ring_publish(struct ring *ring)
{
	uint16_t old = ring->published;

	if (ring->packed) {
		ring_packed_publish(ring);
		return;
	}
	if (ring->added == old)
		return;
	store(avail(ring) + IDX, ring->added);
	ring->published = ring->added;
	/* The index must be out before the device's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_kick(ring, old))
		ring_kick(ring);
}

bool ring_ready(const struct ring *ring)
{
	if (ring->packed)
		return ring_packed_ready(ring);
	return load(used(ring) + IDX) != ring->taken;
}

bool ring_take(struct ring *ring, uint16_t *id, uint32_t *len)
{
	const struct vring_used_elem *elem;

	if (ring->packed)
		return ring_packed_take(ring, id, len);
	if (!ring_ready(ring))
		return false;
	elem = used_elem(ring, ring->taken);
	if (elem->id >= ring->num || (!ring->indirect && elem->id % ring->parts))
		die("the back-end gives back buffer %u, which was never offered",
		    elem->id);
	*id = (uint16_t)(ring->indirect ? elem->id : elem->id / ring->parts);
	*len = elem->len;
	ring->taken++;
	return true;
}

bool ring_arm(struct ring *ring)
{
	if (ring->packed)
		ring_packed_arm(ring);
	else if (ring->event_idx)
		store(used_event(ring), ring->taken);
	else
		store(avail(ring) + FLAGS, 0);
	/* The wish must be out before the device's index is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_ready(ring);
}

void ring_disarm(struct ring *ring)
{
	/* With event indices, what was asked for once is not asked for again. */
	if (ring->packed)
		ring_packed_disarm(ring);
	else if (!ring->event_idx)
		store(avail(ring) + FLAGS, VRING_AVAIL_F_NO_INTERRUPT);
}
