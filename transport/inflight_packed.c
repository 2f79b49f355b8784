/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are those of a list, out of which each chain takes as many as it has
 * descriptors, and keeps copies of these in them: giving a chain back writes over
 * others in the ring, which a process that dies in between leaves half done. The
 * next one puts the copies where they came from.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "sandbox_calls.h"
#include "vring_inflight.h"

/* qsort() asks how much memory there is. */
SANDBOX_CALLS("sysinfo");

static void in_this_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static struct inflight_packed_desc *entry(struct vring *ring, uint16_t index)
{
	return &ring->inflight->packed.desc[index % ring->num];
}

static void reset(struct vring *ring)
{
	struct inflight_packed *r = &ring->inflight->packed;

	r->version = 0;
	in_this_order();
	for (uint32_t i = 0; i < ring->num; i++)
		r->desc[i] = (struct inflight_packed_desc){.next = (uint16_t)(i + 1)};
	r->features = 0;
	r->desc_num = (uint16_t)ring->num;
	r->free_head = r->old_free_head = 0;
	r->used_idx = r->old_used_idx = ring->packed.used.at;
	r->used_wrap_counter = r->old_used_wrap_counter = ring->packed.used.wrap;
	in_this_order();
	r->version = 1;
	ring->inflight_counter = 0;
}

/* A chain in flight, and when it was taken: as read once. */
struct taken {
	uint64_t counter;
	uint16_t head;
};

static int by_counter(const void *a, const void *b)
{
	const struct taken *first = a, *second = b;

	return first->counter < second->counter ? -1 : first->counter > second->counter;
}

/* Puts a chain's descriptors where they were. False: that cannot be. */
static bool restore(struct vring *ring, uint16_t head, struct vring_place *place,
		    uint32_t *left)
{
	uint16_t at = head, num = entry(ring, head)->num;

	if (!num || num > *left)
		return false;
	*left -= num;
	for (uint16_t i = 0; i < num; i++, at = entry(ring, at)->next) {
		const struct inflight_packed_desc *from = entry(ring, at);
		struct vring_packed_desc *to = &ring->packed.desc[place->at];

		if (!i && !vring_packed_is_available(from->flags, place->wrap))
			return false;
		to->addr = htole64(from->addr);
		to->len = htole32(from->len);
		to->id = htole16(from->id);
		__atomic_store_n(&to->flags, htole16(from->flags), __ATOMIC_RELEASE);
		*place = vring_packed_advance(ring, *place, 1);
	}
	return true;
}

static int restore_all(struct vring *ring, struct error *err)
{
	struct vring_place place = ring->packed.used;
	uint32_t count = 0, left = ring->num;
	struct taken *taken = calloc(ring->num, sizeof(*taken));
	bool good = true;

	if (!taken)
		return error_set(err, -ENOMEM, "no memory for %u chains", ring->num);
	for (uint32_t i = 0; i < ring->num; i++) {
		if (entry(ring, (uint16_t)i)->inflight)
			taken[count++] = (struct taken){
				entry(ring, (uint16_t)i)->counter, (uint16_t)i};
	}
	qsort(taken, count, sizeof(*taken), by_counter);
	for (uint32_t i = 0; good && i < count; i++)
		good = restore(ring, taken[i].head, &place, &left);
	free(taken);
	if (good)
		return 0;
	return error_set(err, -EINVAL,
			 "chains in flight that were not taken and given back in "
			 "order, as this device does");
}

/* What the process before was about to change is done, or had not begun. */
static int take_over(struct vring *ring, struct error *err)
{
	struct inflight_packed *r = &ring->inflight->packed;
	/* The front-end shares it: what was read is what is checked and used. */
	struct vring_place used = {__atomic_load_n(&r->old_used_idx, __ATOMIC_RELAXED),
				   r->old_used_wrap_counter};
	struct vring_place next = {__atomic_load_n(&r->used_idx, __ATOMIC_RELAXED),
				   r->used_wrap_counter};
	uint16_t at, steps = 0;

	if (used.at >= ring->num || next.at >= ring->num)
		return error_set(err, -EINVAL, "it stands at %u of %u entries", used.at,
				 ring->num);
	if ((next.at != used.at || next.wrap != used.wrap) &&
	    !vring_packed_is_available(le16toh(ring->packed.desc[used.at].flags),
				       used.wrap)) {
		used = next;
		r->old_free_head = r->free_head;
	}
	for (at = r->old_free_head; at < ring->num && steps < ring->num; steps++) {
		r->desc[at].inflight = 0;
		at = r->desc[at].next;
	}
	ring->packed.used = ring->packed.next = used;
	return restore_all(ring, err);
}

int inflight_packed_start(struct vring *ring, bool fresh, struct error *err)
{
	const struct inflight_packed *r = &ring->inflight->packed;
	int ret = 0;

	if (!fresh && r->version == 1 && r->desc_num == ring->num)
		ret = take_over(ring, err);
	if (ret == 0)
		reset(ring);
	return ret;
}

uint16_t inflight_packed_take(struct vring *ring, struct vring_place place,
			      uint16_t descs)
{
	struct inflight_packed *r = &ring->inflight->packed;
	uint16_t head = r->old_free_head % ring->num, last = head;
	struct inflight_packed_desc *first = entry(ring, head);

	first->num = 0;
	first->counter = ++ring->inflight_counter;
	in_this_order();
	first->inflight = 1;
	for (uint16_t i = 0; i < descs; i++) {
		const struct vring_packed_desc *from = &ring->packed.desc[place.at];
		struct inflight_packed_desc *to;

		last = r->free_head % ring->num;
		to = entry(ring, last);
		first->num++;
		to->addr = le64toh(from->addr);
		to->len = le32toh(from->len);
		to->flags = le16toh(from->flags);
		to->id = le16toh(from->id);
		r->free_head = to->next;
		place = vring_packed_advance(ring, place, 1);
	}
	first->last = last;
	in_this_order();
	r->old_free_head = r->free_head;
	return head;
}

static void free_chain(struct vring *ring, uint16_t head)
{
	struct inflight_packed *r = &ring->inflight->packed;

	entry(ring, entry(ring, head)->last)->next = r->free_head;
	in_this_order();
	r->free_head = head;
}

void inflight_packed_put_back(struct vring *ring, uint16_t head)
{
	struct inflight_packed *r = &ring->inflight->packed;

	free_chain(ring, head);
	entry(ring, head)->inflight = 0;
	in_this_order();
	r->old_free_head = r->free_head;
	ring->inflight_counter--;
}

void inflight_packed_begin(struct vring *ring, const uint16_t *heads, uint16_t count,
			   struct vring_place used)
{
	struct inflight_packed *r = &ring->inflight->packed;

	for (uint16_t i = 0; i < count; i++)
		free_chain(ring, heads[i]);
	r->used_idx = used.at;
	r->used_wrap_counter = used.wrap;
	in_this_order();
}

void inflight_packed_end(struct vring *ring, const uint16_t *heads, uint16_t count)
{
	struct inflight_packed *r = &ring->inflight->packed;

	in_this_order();
	for (uint16_t i = 0; i < count; i++)
		entry(ring, heads[i])->inflight = 0;
	in_this_order();
	r->old_free_head = r->free_head;
	r->old_used_idx = r->used_idx;
	r->old_used_wrap_counter = r->used_wrap_counter;
}
