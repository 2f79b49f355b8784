/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the stores is what counts: who dies leaves what it has stored so
 * far, and only that.
 */
#include <errno.h>
#include <stdbool.h>

#include "vring_inflight.h"

static void in_this_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Ends what the earlier process did not get to behind its last batch. */
static void end_batch(struct inflight_split *r, uint32_t num, uint16_t count)
{
	uint16_t at = r->last_batch_head;

	for (uint32_t i = 0; i < count && at < num; i++) {
		r->desc[at].inflight = 0;
		at = r->desc[at].next;
	}
}

/* Whether the chains in flight are those that follow the used index. */
static bool is_in_order(const struct inflight_split *r, const struct vring *ring)
{
	uint32_t total = 0, follow = 0;
	uint64_t counter = 0;

	for (uint32_t i = 0; i < ring->num; i++)
		total += !!r->desc[i].inflight;
	for (uint16_t i = 0; follow < total; i++, follow++) {
		uint16_t head =
			vring_split_avail(ring, (uint16_t)(ring->split.next_used + i));

		if (head >= ring->num || !r->desc[head].inflight ||
		    (i && r->desc[head].counter <= counter))
			return false;
		counter = r->desc[head].counter;
	}
	return true;
}

int inflight_split_start(struct vring *ring, bool fresh, struct error *err)
{
	struct inflight_split *r = &ring->inflight->split;
	uint16_t used = ring->split.next_used;

	if (!fresh && r->version == 1 && r->desc_num == ring->num) {
		end_batch(r, ring->num, used - r->used_idx);
		if (!is_in_order(r, ring))
			return error_set(err, -EINVAL,
					 "chains in flight that were not taken and "
					 "given back in order, as this device does");
		ring->split.next_avail = used;
	}
	r->version = 0;
	in_this_order();
	for (uint32_t i = 0; i < ring->num; i++)
		r->desc[i] = (struct inflight_split_desc){.inflight = 0};
	r->features = 0;
	r->desc_num = (uint16_t)ring->num;
	r->last_batch_head = 0;
	r->used_idx = used;
	in_this_order();
	r->version = 1;
	ring->inflight_counter = 0;
	return 0;
}

void inflight_split_take(struct vring *ring, uint16_t head)
{
	struct inflight_split_desc *desc = &ring->inflight->split.desc[head];

	desc->counter = ++ring->inflight_counter;
	in_this_order();
	desc->inflight = 1;
}

void inflight_split_put_back(struct vring *ring, uint16_t head)
{
	if (head < ring->num)
		ring->inflight->split.desc[head].inflight = 0;
	ring->inflight_counter--;
}

void inflight_split_give_back(struct vring *ring, uint16_t head)
{
	struct inflight_split *r = &ring->inflight->split;

	r->desc[head].next = r->last_batch_head;
	in_this_order();
	r->last_batch_head = head;
}

void inflight_split_publish(struct vring *ring, uint16_t count)
{
	struct inflight_split *r = &ring->inflight->split;

	in_this_order();
	end_batch(r, ring->num, count);
	in_this_order();
	r->used_idx = ring->split.next_used;
}
