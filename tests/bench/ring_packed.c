/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include "bench.h"

/* Flags of a descriptor: available and used, each for a round of the ring. */
enum {
	AVAIL = 1 << VRING_PACKED_DESC_F_AVAIL,
	USED = 1 << VRING_PACKED_DESC_F_USED,
};

static struct vring_packed_desc *desc_at(const struct ring *ring, uint16_t i)
{
	return (struct vring_packed_desc *)ring->at[0] + i;
}

static struct vring_packed_desc_event *driver_event(const struct ring *ring)
{
	return (struct vring_packed_desc_event *)ring->at[1];
}

static struct vring_packed_desc_event *device_event(const struct ring *ring)
{
	return (struct vring_packed_desc_event *)ring->at[2];
}

static void step(const struct ring *ring, uint16_t *at, bool *wrap, uint16_t by)
{
	*at += by;
	if (*at >= ring->num) {
		*at -= ring->num;
		*wrap = !*wrap;
	}
}

static void put(struct ring *ring, uint16_t id, uint64_t addr, uint32_t len,
		uint16_t flags)
{
	struct vring_packed_desc *desc = desc_at(ring, ring->added);

	flags |= ring->added_wrap ? AVAIL : USED;
	desc->addr = addr;
	desc->len = len;
	desc->id = id;
	/* The batch's first one shows all of them to the device, so it is last. */
	if (!ring->batch) {
		ring->batch = true;
		ring->batch_at = ring->added;
		ring->batch_flags = flags;
		ring->batch_added = 0;
	} else {
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
	}
	ring->batch_added++;
	step(ring, &ring->added, &ring->added_wrap, 1);
}

/* A packed ring's indirect table has the same form, and no NEXT: its length tells. */
static uint64_t fill_indirect(struct ring *ring, uint16_t id,
			      const struct ring_part *part, unsigned int parts,
			      uint16_t flags)
{
	size_t at = (size_t)id * RING_PARTS_MAX;
	struct vring_packed_desc *desc =
		(struct vring_packed_desc *)ring->indirect_at + at;

	for (unsigned int i = 0; i < parts; i++)
		desc[i] = (struct vring_packed_desc){
			.addr = part[i].addr, .len = part[i].len, .flags = flags};
	return ring->indirect_addr + at * sizeof(*desc);
}

void ring_packed_add(struct ring *ring, uint16_t id, const struct ring_part *part,
		     unsigned int parts, bool device_writes)
{
	uint16_t flags = device_writes ? VRING_DESC_F_WRITE : 0;

	if (ring->indirect && parts > 1) {
		uint64_t addr = fill_indirect(ring, id, part, parts, flags);

		ring->lengths[id] = 1;
		put(ring, id, addr, parts * 16, VRING_DESC_F_INDIRECT);
		return;
	}
	ring->lengths[id] = (uint16_t)parts;
	for (unsigned int i = 0; i < parts; i++)
		put(ring, id, part[i].addr, part[i].len,
		    flags | (i + 1 < parts ? VRING_DESC_F_NEXT : 0));
}

/* Whether the step over the batch passes the place where the device wants a kick. */
static bool wants_kick(const struct ring *ring)
{
	const struct vring_packed_desc_event *event = device_event(ring);
	uint16_t flags = __atomic_load_n(&event->flags, __ATOMIC_ACQUIRE);
	uint16_t off_wrap = __atomic_load_n(&event->off_wrap, __ATOMIC_RELAXED);
	uint16_t at = off_wrap & ~(1 << VRING_PACKED_EVENT_F_WRAP_CTR);
	bool wrap = off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if (wrap != ring->added_wrap)
		at -= ring->num;
	return vring_need_event(at, ring->added, ring->added - ring->batch_added);
}

void ring_packed_publish(struct ring *ring)
{
	if (!ring->batch)
		return;
	__atomic_store_n(&desc_at(ring, ring->batch_at)->flags, ring->batch_flags,
			 __ATOMIC_RELEASE);
	ring->batch = false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (wants_kick(ring))
		ring_kick(ring);
}

bool ring_packed_ready(const struct ring *ring)
{
	uint16_t flags =
		__atomic_load_n(&desc_at(ring, ring->taken)->flags, __ATOMIC_ACQUIRE);

	return !!(flags & AVAIL) == ring->taken_wrap &&
	       !!(flags & USED) == ring->taken_wrap;
}

bool ring_packed_take(struct ring *ring, uint16_t *id, uint32_t *len)
{
	const struct vring_packed_desc *desc = desc_at(ring, ring->taken);

	if (!ring_packed_ready(ring))
		return false;
	if (desc->id >= ring->num || !ring->lengths[desc->id])
		die("the back-end gives back buffer %u, which was never offered",
		    desc->id);
	*id = desc->id;
	*len = desc->len;
	step(ring, &ring->taken, &ring->taken_wrap, ring->lengths[desc->id]);
	ring->lengths[*id] = 0;
	return true;
}

void ring_packed_arm(struct ring *ring)
{
	struct vring_packed_desc_event *event = driver_event(ring);

	if (!ring->event_idx) {
		__atomic_store_n(&event->flags, VRING_PACKED_EVENT_FLAG_ENABLE,
				 __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&event->off_wrap,
			 ring->taken | ring->taken_wrap
					       << VRING_PACKED_EVENT_F_WRAP_CTR,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&event->flags, VRING_PACKED_EVENT_FLAG_DESC, __ATOMIC_RELEASE);
}

void ring_packed_disarm(struct ring *ring)
{
	__atomic_store_n(&driver_event(ring)->flags, VRING_PACKED_EVENT_FLAG_DISABLE,
			 __ATOMIC_RELEASE);
}
