/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a ring, split or packed, as the features say. Tests write
 * chains into desc as a split ring has them; that of a packed ring is a table
 * aside, out of which they are copied.
 */
#ifndef FAKE_RING_H
#define FAKE_RING_H

#include "fake_front.h"

static inline bool fake_is_packed(struct guest *g)
{
	return g->features & VRING_F_PACKED;
}

static inline uint32_t fake_first_base(struct guest *g)
{
	return fake_is_packed(g) ? 0x80008000 : 0;
}

static inline void fake_ring_clear(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];

	r->num = index ? TX_NUM : RX_NUM;
	r->desc = guest_ptr(g, RING_AT(index));
	r->avail = guest_ptr(g, RING_AT(index) + 0x4000);
	r->used = guest_ptr(g, RING_AT(index) + 0x8000);
	r->next = 0;
	r->seen_used = 0;
	memset(r->desc, 0, 0x10000);
	if (!fake_is_packed(g))
		return;
	memset(&r->packed, 0, sizeof(r->packed));
	r->packed.desc = (void *)r->desc;
	r->packed.driver = (void *)r->avail;
	r->packed.device = (void *)r->used;
	r->packed.next.wrap = r->packed.used.wrap = true;
	r->desc = guest_ptr(g, RING_AT(index) + 0xc000);
}

static inline void fake_kick(struct fake_ring *r)
{
	assert_int_equal(write(r->kick, &(uint64_t){1}, 8), 8);
}

static inline void fake_step(const struct fake_ring *r, struct vring_place *place,
			     unsigned int descs)
{
	for (; descs; descs--) {
		if (++place->at == r->num) {
			place->at = 0;
			place->wrap = !place->wrap;
		}
	}
}

/* In its own table a packed chain has no links, only an order. */
static inline void fake_pack_table(struct guest *g, const struct vring_desc *table)
{
	struct vring_desc *entry = guest_ptr(g, table->addr);

	for (uint32_t i = 0; i < table->len / 16; i++) {
		struct vring_packed_desc packed = {.addr = entry[i].addr,
						   .len = entry[i].len,
						   .flags = entry[i].flags &
							    VRING_DESC_WRITE};

		memcpy(&entry[i], &packed, sizeof(packed));
	}
}

static inline void fake_put_packed(struct guest *g, struct fake_ring *r, uint16_t head)
{
	struct fake_packed *p = &r->packed;
	const struct vring_desc *from = &r->desc[head];
	struct vring_place first = p->next;

	p->descs[head] = 0;
	for (bool more = true; more; from = &r->desc[from->next]) {
		struct vring_packed_desc *to = &p->desc[p->next.at];
		uint16_t flags = p->next.wrap ? VRING_PACKED_AVAIL : VRING_PACKED_USED;

		flags |= from->flags & 7;
		if (from->flags & VRING_DESC_INDIRECT)
			fake_pack_table(g, from);
		to->addr = from->addr;
		to->len = from->len;
		to->id = head;
		/* Those of the first one put last, when all of it is published. */
		if (p->fresh++)
			to->flags = flags;
		else
			p->first = first, p->first_flags = flags;
		fake_step(r, &p->next, 1);
		p->descs[head]++;
		more = from->flags & VRING_DESC_NEXT;
	}
}

/* Puts what begins at descriptor head into the ring; seen with fake_publish(). */
static inline void fake_put(struct guest *g, unsigned int index, uint16_t head)
{
	struct fake_ring *r = &g->ring[index];

	if (fake_is_packed(g))
		fake_put_packed(g, r, head);
	else
		r->avail[2 + r->next % r->num] = head;
	r->next++;
}

static inline void fake_publish_packed(struct fake_ring *r)
{
	struct fake_packed *p = &r->packed;
	struct vring_place place = p->first;
	uint16_t flags, wish;

	if (!p->fresh)
		return;
	__atomic_store_n(&p->desc[place.at].flags, p->first_flags, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&p->device->flags, __ATOMIC_ACQUIRE);
	wish = __atomic_load_n(&p->device->place, __ATOMIC_RELAXED);
	if (flags == VRING_EVENT_ENABLE)
		fake_kick(r);
	for (; p->fresh; p->fresh--, fake_step(r, &place, 1)) {
		if (flags == VRING_EVENT_PLACE &&
		    wish == (place.at | (place.wrap ? 0x8000 : 0)))
			fake_kick(r);
	}
}

/* Makes available what was put since; kicks if the device wants it. */
static inline void fake_publish(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];
	uint16_t old = r->avail[1], event;

	if (fake_is_packed(g)) {
		fake_publish_packed(r);
		return;
	}
	__atomic_store_n(&r->avail[1], r->next, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(g->features & VRING_F_EVENT_IDX)) {
		if (!(__atomic_load_n(&r->used[0], __ATOMIC_RELAXED) & 1))
			fake_kick(r);
		return;
	}
	event = __atomic_load_n(&r->used[2 + 4 * r->num], __ATOMIC_RELAXED);
	if ((uint16_t)(r->next - event - 1) < (uint16_t)(r->next - old))
		fake_kick(r);
}

static inline void fake_offer(struct guest *g, unsigned int index, uint16_t head)
{
	fake_put(g, index, head);
	fake_publish(g, index);
}

static inline bool fake_is_used(const struct fake_ring *r, struct vring_place place)
{
	uint16_t flags =
		__atomic_load_n(&r->packed.desc[place.at].flags, __ATOMIC_ACQUIRE);

	return !!(flags & VRING_PACKED_AVAIL) == place.wrap &&
	       !!(flags & VRING_PACKED_USED) == place.wrap;
}

/* How many chains the device has given back that were not reaped yet. */
static inline unsigned int fake_unseen(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];
	struct vring_place place = r->packed.used;
	unsigned int count = 0;

	if (!fake_is_packed(g))
		return (uint16_t)(__atomic_load_n(&r->used[1], __ATOMIC_ACQUIRE) -
				  r->seen_used);
	for (; count < r->num && fake_is_used(r, place); count++)
		fake_step(r, &place, r->packed.descs[r->packed.desc[place.at].id]);
	return count;
}

/* The next chain given back, if there is one: true, and its id and length. */
static inline bool fake_reap(struct guest *g, unsigned int index, uint32_t *id,
			     uint32_t *len)
{
	struct fake_ring *r = &g->ring[index];

	if (!fake_unseen(g, index))
		return false;
	if (fake_is_packed(g)) {
		struct vring_packed_desc *desc = &r->packed.desc[r->packed.used.at];

		*id = desc->id;
		*len = desc->len;
		assert_true(*id < r->num && r->packed.descs[*id]);
		fake_step(r, &r->packed.used, r->packed.descs[*id]);
	} else {
		struct vring_used_elem *elem =
			(struct vring_used_elem *)(r->used + 2) + r->seen_used % r->num;

		*id = elem->id;
		*len = elem->len;
	}
	r->seen_used++;
	return true;
}

/* Sleeps until the device signals; to be called after fake_reap() found nothing. */
static inline void fake_wait(struct guest *g, unsigned int index)
{
	struct fake_ring *r = &g->ring[index];
	bool event_idx = g->features & VRING_F_EVENT_IDX;
	uint64_t count;

	if (!fake_is_packed(g)) {
		r->avail[2 + r->num] = r->seen_used; /* used_event */
	} else if (event_idx) {
		r->packed.driver->place =
			r->packed.used.at | (r->packed.used.wrap ? 0x8000 : 0);
		__atomic_store_n(&r->packed.driver->flags, VRING_EVENT_PLACE,
				 __ATOMIC_RELEASE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (fake_unseen(g, index))
		return;
	wait_fd(r->call, POLLIN);
	assert_int_equal(read(r->call, &count, 8), 8);
}

#endif
