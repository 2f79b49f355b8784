/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed format: virtio 1.2, section 2.8.
 *
 * Chains that are given back are kept in the record until the commit, since the
 * used descriptors are written over the available ones: those must still be
 * there for whoever takes them anew after this process was killed. The commit
 * notes in the record that it is under way, writes the first descriptor's flags
 * last, for the guest looks there, and notes that it is done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vring_inflight.h"

enum {
	PLACE_AT = 0x7fff,
	PLACE_WRAP = 0x8000,
	EVENT_FLAGS = 3,
	NOTHING_TOLD = 0xffff, /* no value of flags */
};

/* Both sides' wrap counters are 1 in the beginning. */
#define FIRST_BASE (PLACE_WRAP | (uint32_t)PLACE_WRAP << 16)

_Static_assert(sizeof(struct vring_packed_desc) == 16, "virtio 1.2, 2.8.13");
_Static_assert(sizeof(struct vring_event) == 4, "virtio 1.2, 2.8.14");

static uint16_t place_encode(struct vring_place place)
{
	return place.at | (place.wrap ? PLACE_WRAP : 0);
}

static struct vring_place place_decode(uint16_t value)
{
	return (struct vring_place){value & PLACE_AT, value & PLACE_WRAP};
}

struct vring_place vring_packed_advance(const struct vring *ring,
					struct vring_place place, uint32_t descs)
{
	uint32_t at = place.at + descs;

	if (at >= ring->num)
		return (struct vring_place){(uint16_t)(at - ring->num), !place.wrap};
	return (struct vring_place){(uint16_t)at, place.wrap};
}

static struct vring_place go_back(const struct vring *ring, struct vring_place place,
				  uint32_t descs)
{
	if (place.at >= descs)
		return (struct vring_place){(uint16_t)(place.at - descs), place.wrap};
	return (struct vring_place){(uint16_t)(place.at + ring->num - descs),
				    !place.wrap};
}

bool vring_packed_is_available(uint16_t flags, bool wrap)
{
	return !!(flags & VRING_PACKED_AVAIL) == wrap &&
	       !!(flags & VRING_PACKED_USED) != wrap;
}

int vring_packed_resolve(struct vring *ring, const struct memory *memory,
			 struct error *err)
{
	void *desc, *driver, *device;

	desc = vring_resolve_part(memory, ring->desc_user, 16ULL * ring->num, 16,
				  "descriptor ring", err);
	if (!desc)
		return -EFAULT;
	driver =
		vring_resolve_part(memory, ring->avail_user, sizeof(struct vring_event),
				   4, "driver's area", err);
	if (!driver)
		return -EFAULT;
	device = vring_resolve_part(memory, ring->used_user, sizeof(struct vring_event),
				    4, "device's area", err);
	if (!device)
		return -EFAULT;
	ring->packed.desc = desc;
	ring->packed.driver = driver;
	ring->packed.device = device;
	ring->packed.told_flags = NOTHING_TOLD;
	return 0;
}

void vring_packed_suspend(struct vring *ring)
{
	ring->packed.desc = NULL;
	ring->packed.driver = NULL;
	ring->packed.device = NULL;
}

static int find_base(struct vring *ring, struct error *err)
{
	uint32_t base = ring->has_base ? ring->base : FIRST_BASE;

	ring->packed.next = ring->packed.used = place_decode(base & 0xffff);
	if (base >> 16 != (base & 0xffff))
		return error_set(err, -EINVAL,
				 "a packed ring that is to start at 0x%x, with chains "
				 "that somebody else has taken",
				 base);
	if (ring->packed.next.at >= ring->num)
		return error_set(err, -EINVAL,
				 "a packed ring of %u entries is to start at %u",
				 ring->num, ring->packed.next.at);
	return 0;
}

static void write_desc(struct vring *ring, struct vring_place place, uint32_t i,
		       int order)
{
	struct vring_packed_desc *desc = &ring->packed.desc[place.at];
	uint32_t len = ring->packed.record->entry[i].len;
	uint16_t flags = place.wrap ? VRING_PACKED_AVAIL | VRING_PACKED_USED : 0;

	if (len)
		flags |= VRING_DESC_WRITE;
	desc->id = htole16(ring->packed.record->entry[i].id);
	desc->len = htole32(len);
	vring_store16(&desc->flags, flags, order);
	if (ring->log && ring->log_used)
		dirty_log_mark_host(ring->log, desc, sizeof(*desc));
}

static void note(struct vring_record *record, struct vring_place used, uint32_t batch)
{
	__atomic_store_n(&record->state, place_encode(used) | batch << 16,
			 __ATOMIC_RELEASE);
	/* A kill keeps what was stored, and only that: in this very order. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static uint32_t batch_descs(const struct vring *ring)
{
	uint32_t descs = 0;

	for (uint32_t i = 0; i < ring->packed.batch; i++)
		descs += ring->packed.record->entry[i].descs;
	return descs;
}

/* Writes the used descriptors of a batch: all of it, or nothing for the guest. */
static void publish(struct vring *ring, union inflight_ring *inflight)
{
	struct vring_packed *p = &ring->packed;
	struct vring_place place = p->used;
	uint32_t descs = batch_descs(ring);

	if (!p->batch)
		return;
	note(p->record, p->used, p->batch);
	if (inflight)
		inflight_packed_begin(ring, p->batch_entry, p->batch,
				      vring_packed_advance(ring, place, descs));
	for (uint32_t i = 0; i < p->batch; i++) {
		if (i)
			write_desc(ring, place, i, __ATOMIC_RELAXED);
		place = vring_packed_advance(ring, place, p->record->entry[i].descs);
	}
	write_desc(ring, p->used, 0, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	p->used = place;
	if (inflight)
		inflight_packed_end(ring, p->batch_entry, p->batch);
	note(p->record, p->used, 0);
	p->since += descs;
	p->descs_taken -= descs < p->descs_taken ? descs : p->descs_taken;
	p->batch = 0;
}

/* Where the process that left the record had got to. */
static int take_over(struct vring *ring, struct error *err)
{
	struct vring_packed *p = &ring->packed;
	uint32_t batch = p->record->state >> 16, descs;

	p->used = place_decode(p->record->state & 0xffff);
	if (p->used.at >= ring->num || batch > VRING_BATCH_MAX)
		return error_set(err, -EINVAL,
				 "the record of a packed ring of %u entries says 0x%x",
				 ring->num, p->record->state);
	/* Without its memory it stands still, with nothing to be published. */
	if (!p->desc) {
		p->next = p->used;
		return 0;
	}
	p->batch = (uint16_t)batch;
	descs = batch_descs(ring);
	if (descs > ring->num)
		return error_set(
			err, -EINVAL,
			"the record of a packed ring of %u entries has a batch "
			"of %u",
			ring->num, descs);
	if (batch && !vring_packed_is_available(
			     vring_load16(&p->desc[p->used.at].flags, __ATOMIC_ACQUIRE),
			     p->used.wrap)) {
		/* The guest has it already. */
		p->used = vring_packed_advance(ring, p->used, descs);
		p->batch = 0;
	}
	publish(ring, NULL);
	p->next = p->used;
	return 0;
}

int vring_packed_start(struct vring *ring, bool resume, struct error *err)
{
	struct vring_packed *p = &ring->packed;
	int ret;

	p->first_taken = p->chains_taken = 0;
	p->descs_taken = 0;
	p->batch = 0;
	p->since = 0;
	p->taken = calloc(ring->num, 2 * sizeof(*p->taken));
	p->entry = p->taken ? p->taken + ring->num : NULL;
	p->own = ring->record ? NULL : calloc(1, sizeof(*p->own));
	p->record = ring->record ? ring->record : p->own;
	if (!p->taken || !p->record)
		return error_set(err, -ENOMEM, "no memory for a ring of %u entries",
				 ring->num);
	ret = resume ? take_over(ring, err) : find_base(ring, err);
	if (ret == 0 && ring->inflight)
		ret = inflight_packed_start(ring, resume, err);
	if (ret == 0)
		note(p->record, p->used, 0);
	return ret;
}

void vring_packed_stop(struct vring *ring)
{
	free(ring->packed.taken);
	free(ring->packed.own);
	ring->packed.taken = ring->packed.entry = NULL;
	ring->packed.own = ring->packed.record = NULL;
}

uint32_t vring_packed_position(const struct vring *ring)
{
	return place_encode(ring->packed.next) |
	       (uint32_t)place_encode(ring->packed.used) << 16;
}

static void decode(const struct vring_packed_desc *raw, struct vring_piece *piece)
{
	/* What was copied is what counts, whatever the guest writes there now. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	piece->addr = le64toh(raw->addr);
	piece->len = le32toh(raw->len);
	piece->flags = le16toh(raw->flags);
}

/* All entries of the table, one after the other: there are no links in it. */
static int walk_table(struct vring_walk *w, const struct vring_piece *table)
{
	int entries = vring_walk_indirect(w, table);

	if (entries > VRING_CHAIN_MAX)
		return error_set(w->err, -EINVAL, "an indirect table of %u bytes",
				 table->len);
	for (int i = 0; i < entries; i++) {
		struct vring_packed_desc raw;
		struct vring_piece piece;
		int ret = vring_walk_read(w, table->addr, i, &raw);

		if (ret < 0)
			return ret;
		decode(&raw, &piece);
		if (piece.flags & VRING_DESC_INDIRECT)
			return error_set(
				w->err, -EINVAL,
				"an indirect descriptor within an indirect table");
		ret = vring_walk_add(w, &piece);
		if (ret < 0)
			return ret;
	}
	return entries < 0 ? entries : 0;
}

/* The number of the chain's descriptors in the ring, or a negative errno. */
static int walk_chain(struct vring_walk *w, uint16_t first_flags)
{
	struct vring_packed *p = &w->ring->packed;
	struct vring_place place = p->next;

	for (uint32_t seen = 1;; seen++) {
		struct vring_packed_desc raw;
		struct vring_piece piece;
		int ret;

		/* Those that are taken already may look like new ones. */
		if (seen > VRING_CHAIN_MAX || p->descs_taken + seen > w->ring->num)
			return error_set(w->err, -ELOOP,
					 "a descriptor chain without an end");
		memcpy(&raw, &p->desc[place.at], sizeof(raw));
		if (seen == 1)
			raw.flags = htole16(first_flags);
		decode(&raw, &piece);
		if (piece.flags & VRING_DESC_INDIRECT) {
			if (seen > 1)
				return error_set(
					w->err, -EINVAL,
					"an indirect descriptor that follows another");
			ret = walk_table(w, &piece);
		} else {
			ret = vring_walk_add(w, &piece);
		}
		if (ret < 0)
			return ret;
		place = vring_packed_advance(w->ring, place, 1);
		if (piece.flags & VRING_DESC_NEXT)
			continue;
		w->chain->head = le16toh(raw.id);
		return (int)seen;
	}
}

int vring_packed_pop(struct vring_walk *w)
{
	struct vring_packed *p = &w->ring->packed;
	/* Pairs with the guest's barrier between the descriptors and these flags. */
	uint16_t flags = vring_load16(&p->desc[p->next.at].flags, __ATOMIC_ACQUIRE);
	uint32_t last;
	int descs;

	if (!vring_packed_is_available(flags, p->next.wrap))
		return 0;
	*w->chain = (struct vring_chain){.iov = w->iov};
	descs = walk_chain(w, flags);
	if (descs < 0)
		return descs;
	last = ((uint32_t)p->first_taken + p->chains_taken) % w->ring->num;
	p->taken[last] = (uint16_t)descs;
	if (w->ring->inflight)
		p->entry[last] =
			inflight_packed_take(w->ring, p->next, (uint16_t)descs);
	p->chains_taken++;
	p->descs_taken += descs;
	p->next = vring_packed_advance(w->ring, p->next, descs);
	return 1;
}

void vring_packed_unpop(struct vring *ring, unsigned int count)
{
	struct vring_packed *p = &ring->packed;

	for (; count && p->chains_taken; count--) {
		uint32_t last =
			((uint32_t)p->first_taken + --p->chains_taken) % ring->num;

		p->descs_taken -= p->taken[last];
		p->next = go_back(ring, p->next, p->taken[last]);
		if (ring->inflight)
			inflight_packed_put_back(ring, p->entry[last]);
	}
}

void vring_packed_push(struct vring *ring, const struct vring_chain *chain,
		       uint32_t len)
{
	struct vring_packed *p = &ring->packed;
	uint16_t descs = p->taken[p->first_taken];

	if (p->batch == VRING_BATCH_MAX)
		publish(ring, ring->inflight);
	p->record->entry[p->batch].len = len;
	p->record->entry[p->batch].id = chain->head;
	p->record->entry[p->batch].descs = descs;
	p->batch_entry[p->batch++] = p->entry[p->first_taken];
	p->first_taken = (p->first_taken + 1u) % ring->num;
	p->chains_taken--;
}

/* Whether the guest wants an interrupt for the last `since` descriptors. */
static bool wants_interrupt(const struct vring *ring)
{
	const struct vring_packed *p = &ring->packed;
	uint16_t flags =
		vring_load16(&p->driver->flags, __ATOMIC_ACQUIRE) & EVENT_FLAGS;
	struct vring_place wish;
	int64_t now = p->used.at, event;

	if (flags == VRING_EVENT_DISABLE)
		return false;
	if (flags != VRING_EVENT_PLACE || !ring->event_idx || !ring->signalled)
		return true;
	wish = place_decode(vring_load16(&p->driver->place, __ATOMIC_RELAXED));
	/* On one line, on which now is where it is in this lap. */
	event = wish.at - (wish.wrap == p->used.wrap ? 0 : (int64_t)ring->num);
	return event >= now - (int64_t)p->since && event < now;
}

bool vring_packed_commit(struct vring *ring)
{
	struct vring_packed *p = &ring->packed;
	bool wanted;

	publish(ring, ring->inflight);
	if (!p->since)
		return false;
	/* The descriptors must be out before the guest's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wanted = wants_interrupt(ring);
	p->since = 0;
	return wanted;
}

static void tell(struct vring *ring, uint16_t flags)
{
	struct vring_packed *p = &ring->packed;

	if (p->told_flags == flags)
		return;
	vring_store16(&p->device->flags, flags, __ATOMIC_RELEASE);
	vring_log_used(ring, offsetof(struct vring_event, flags), 2);
	p->told_flags = flags;
}

bool vring_packed_wait(struct vring *ring)
{
	struct vring_packed *p = &ring->packed;

	if (ring->event_idx) {
		vring_store16(&p->device->place, place_encode(p->next),
			      __ATOMIC_RELAXED);
		vring_log_used(ring, offsetof(struct vring_event, place), 2);
		tell(ring, VRING_EVENT_PLACE);
	} else {
		tell(ring, VRING_EVENT_ENABLE);
	}
	/* The wish must be out before the guest's flags are read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return vring_packed_is_available(
		vring_load16(&p->desc[p->next.at].flags, __ATOMIC_ACQUIRE),
		p->next.wrap);
}

void vring_packed_quiet(struct vring *ring)
{
	tell(ring, VRING_EVENT_DISABLE);
}

/* log_guest is the device's area; the descriptors are the guest's own memory. */
void vring_packed_log(struct vring *ring)
{
	vring_log_used(ring, 0, sizeof(struct vring_event));
	if (ring->log_used)
		dirty_log_mark_host(ring->log, ring->packed.desc,
				    sizeof(struct vring_packed_desc) * ring->num);
}
