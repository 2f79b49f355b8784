/* SPDX-License-Identifier: Apache-2.0 */
/* The split format: virtio 1.2, section 2.7. */
#include <errno.h>
#include <string.h>

#include "vring_inflight.h"

/* Places in the avail and used parts, in 16-bit units. */
enum {
	RING_FLAGS,
	RING_IDX,
	RING_ENTRIES
};

_Static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");
_Static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.8");

/* Both in the part that the other side writes: where it wants to hear from us. */
static uint16_t *used_event(const struct vring *ring)
{
	return ring->split.avail + RING_ENTRIES + ring->num;
}

static uint16_t *avail_event(const struct vring *ring)
{
	return (uint16_t *)(ring->split.used_ring + ring->num);
}

int vring_split_resolve(struct vring *ring, const struct memory *memory,
			struct error *err)
{
	void *desc, *avail, *used;

	desc = vring_resolve_part(memory, ring->desc_user, 16ULL * ring->num, 16,
				  "descriptor table", err);
	if (!desc)
		return -EFAULT;
	avail = vring_resolve_part(memory, ring->avail_user, 6 + 2ULL * ring->num, 2,
				   "available ring", err);
	if (!avail)
		return -EFAULT;
	used = vring_resolve_part(memory, ring->used_user, 6 + 8ULL * ring->num, 4,
				  "used ring", err);
	if (!used)
		return -EFAULT;
	ring->split.desc = desc;
	ring->split.avail = avail;
	ring->split.used = used;
	ring->split.used_ring = (struct vring_used_elem *)((char *)used + 4);
	return 0;
}

int vring_split_start(struct vring *ring, bool resume, struct error *err)
{
	struct vring_split *s = &ring->split;

	if (ring->num & (ring->num - 1))
		return error_set(err, -EINVAL,
				 "a split ring of %u entries, which is no power of two",
				 ring->num);
	/* Without its memory it stands still, and where is known. */
	s->next_used = s->used ? vring_load16(s->used + RING_IDX, __ATOMIC_RELAXED)
			       : (uint16_t)ring->base;
	s->next_avail = resume ? s->next_used : (uint16_t)ring->base;
	if (ring->inflight) {
		int ret = inflight_split_start(ring, resume, err);

		if (ret < 0)
			return ret;
	}
	s->seen_avail = s->next_avail;
	s->told_used = s->next_used;
	return 0;
}

void vring_split_suspend(struct vring *ring)
{
	ring->split.desc = NULL;
	ring->split.avail = NULL;
	ring->split.used = NULL;
	ring->split.used_ring = NULL;
}

uint32_t vring_split_position(const struct vring *ring)
{
	return ring->split.next_avail;
}

/* Descriptors in the table, or in the indirect one. */
struct table {
	bool indirect;
	uint64_t guest; /* of an indirect one */
	uint32_t entries;
	unsigned int seen;
};

static int load_desc(struct vring_walk *w, struct table *t, uint16_t index,
		     struct vring_piece *piece, uint16_t *next)
{
	struct vring_desc raw;
	int ret;

	if (index >= t->entries)
		return error_set(w->err, -EINVAL, "descriptor %u of a table of %u",
				 index, t->entries);
	if (++t->seen > VRING_CHAIN_MAX || (!t->indirect && t->seen > w->ring->num))
		return error_set(w->err, -ELOOP, "a descriptor chain without an end");
	if (t->indirect) {
		ret = vring_walk_read(w, t->guest, index, &raw);
		if (ret < 0)
			return ret;
	} else {
		memcpy(&raw, (const void *)(w->ring->split.desc + index), sizeof(raw));
	}
	/* What was copied is what counts, whatever the guest writes there now. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	piece->addr = le64toh(raw.addr);
	piece->len = le32toh(raw.len);
	piece->flags = le16toh(raw.flags);
	*next = le16toh(raw.next);
	return 0;
}

static int walk_chain(struct vring_walk *w, uint16_t head)
{
	struct table t = {.entries = w->ring->num};
	struct vring_piece piece = {0};
	uint16_t index = head;
	int ret;

	for (;;) {
		ret = load_desc(w, &t, index, &piece, &index);
		if (ret < 0)
			return ret;
		if (piece.flags & VRING_DESC_INDIRECT) {
			if (t.indirect)
				return error_set(
					w->err, -EINVAL,
					"an indirect descriptor within an indirect "
					"table");
			ret = vring_walk_indirect(w, &piece);
			if (ret < 0)
				return ret;
			t.indirect = true;
			t.guest = piece.addr;
			t.entries = ret;
			index = 0;
			continue;
		}
		ret = vring_walk_add(w, &piece);
		if (ret < 0)
			return ret;
		if (!(piece.flags & VRING_DESC_NEXT))
			return 0;
	}
}

/* Looks whether there is a chain; reads the guest's index only when it must. */
static int look(struct vring *ring, struct error *err)
{
	struct vring_split *s = &ring->split;
	uint16_t ready;

	if (s->next_avail != s->seen_avail)
		return 1;
	/* Pairs with the guest's barrier between filling an entry and the index. */
	s->seen_avail = vring_load16(s->avail + RING_IDX, __ATOMIC_ACQUIRE);
	ready = s->seen_avail - s->next_avail;
	if (ready > ring->num)
		return error_set(
			err, -EINVAL,
			"the available index went from %u to %u in a ring of %u",
			s->next_avail, s->seen_avail, ring->num);
	return ready != 0;
}

uint16_t vring_split_avail(const struct vring *ring, uint16_t index)
{
	return vring_load16(ring->split.avail + RING_ENTRIES + index % ring->num,
			    __ATOMIC_RELAXED);
}

int vring_split_pop(struct vring_walk *w)
{
	struct vring_split *s = &w->ring->split;
	int ret = look(w->ring, w->err);

	if (ret <= 0)
		return ret;
	*w->chain = (struct vring_chain){.iov = w->iov};
	w->chain->head = vring_split_avail(w->ring, s->next_avail);
	ret = walk_chain(w, w->chain->head);
	if (ret < 0)
		return ret;
	if (w->ring->inflight)
		inflight_split_take(w->ring, w->chain->head);
	s->next_avail++;
	return 1;
}

void vring_split_unpop(struct vring *ring, unsigned int count)
{
	for (; ring->inflight && count; count--)
		inflight_split_put_back(
			ring, vring_split_avail(ring, --ring->split.next_avail));
	ring->split.next_avail -= count;
}

void vring_split_push(struct vring *ring, const struct vring_chain *chain, uint32_t len)
{
	struct vring_split *s = &ring->split;
	struct vring_used_elem *elem = &s->used_ring[s->next_used % ring->num];

	elem->id = htole32(chain->head);
	elem->len = htole32(len);
	vring_log_used(ring, 4 + 8 * (s->next_used % ring->num), sizeof(*elem));
	s->next_used++;
	if (ring->inflight)
		inflight_split_give_back(ring, chain->head);
}

/* Whether the guest wants an interrupt for the step from told_used to next_used. */
static bool wants_interrupt(struct vring *ring)
{
	struct vring_split *s = &ring->split;
	uint16_t now = s->next_used, event;

	if (!ring->event_idx)
		return !(vring_load16(s->avail + RING_FLAGS, __ATOMIC_RELAXED) &
			 VRING_AVAIL_NO_INTERRUPT);
	event = vring_load16(used_event(ring), __ATOMIC_RELAXED);
	if (!ring->signalled)
		return true;
	return (uint16_t)(now - event - 1) < (uint16_t)(now - s->signalled_at);
}

bool vring_split_commit(struct vring *ring)
{
	struct vring_split *s = &ring->split;
	bool wanted;

	if (s->told_used == s->next_used)
		return false;
	vring_store16(s->used + RING_IDX, s->next_used, __ATOMIC_RELEASE);
	vring_log_used(ring, 2, 2);
	if (ring->inflight)
		inflight_split_publish(ring, s->next_used - s->told_used);
	s->told_used = s->next_used;
	/* The index must be out before the guest's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wanted = wants_interrupt(ring);
	/* Also when it is not: a step of 2^16 entries would look like none. */
	s->signalled_at = s->next_used;
	return wanted;
}

bool vring_split_wait(struct vring *ring)
{
	struct vring_split *s = &ring->split;

	if (ring->event_idx) {
		vring_store16(avail_event(ring), s->next_avail, __ATOMIC_RELAXED);
		vring_log_used(ring, 4 + 8ULL * ring->num, 2);
	} else {
		vring_store16(s->used + RING_FLAGS, 0, __ATOMIC_RELAXED);
		vring_log_used(ring, 0, 2);
	}
	/* The wish must be out before the guest's index is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_load16(s->avail + RING_IDX, __ATOMIC_ACQUIRE) != s->next_avail;
}

void vring_split_quiet(struct vring *ring)
{
	if (ring->event_idx)
		return;
	vring_store16(ring->split.used + RING_FLAGS, VRING_USED_NO_NOTIFY,
		      __ATOMIC_RELAXED);
	vring_log_used(ring, 0, 2);
}

void vring_split_log(struct vring *ring)
{
	vring_log_used(ring, 0, 6 + 8ULL * ring->num);
}
