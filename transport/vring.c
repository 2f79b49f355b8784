/* SPDX-License-Identifier: Apache-2.0 */
#include "vring.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Places in the avail and used parts, in 16-bit units. */
enum {
	RING_FLAGS,
	RING_IDX,
	RING_ENTRIES
};

_Static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");
_Static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.8");

static uint16_t load16(const uint16_t *p, int order)
{
	return le16toh(__atomic_load_n(p, order));
}

static void store16(uint16_t *p, uint16_t value, int order)
{
	__atomic_store_n(p, htole16(value), order);
}

/* Both in the part that the other side writes: where it wants to hear from us. */
static uint16_t *used_event(const struct vring *ring)
{
	return ring->avail + RING_ENTRIES + ring->num;
}

static uint16_t *avail_event(const struct vring *ring)
{
	return (uint16_t *)(ring->used_ring + ring->num);
}

void vring_init(struct vring *ring)
{
	*ring = (struct vring){.kick_fd = -1, .call_fd = -1, .err_fd = -1};
}

void vring_reset(struct vring *ring)
{
	if (ring->kick_fd >= 0)
		close(ring->kick_fd);
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	if (ring->err_fd >= 0)
		close(ring->err_fd);
	vring_init(ring);
}

static void *resolve_part(const struct memory *memory, uint64_t user, uint64_t len,
			  unsigned int align, const char *what, struct error *err)
{
	void *part = memory_from_user(memory, user, len);

	if (!part || (uintptr_t)part % align) {
		error_set(
			err, -EFAULT,
			"the %s at 0x%llx (%llu bytes) is not in the guest's memory or "
			"not aligned to %u",
			what, (unsigned long long)user, (unsigned long long)len, align);
		return NULL;
	}
	return part;
}

int vring_resolve(struct vring *ring, const struct memory *memory, struct error *err)
{
	void *desc, *avail, *used;

	if (!ring->num)
		return error_set(err, -EINVAL, "the ring's size was never set");
	desc = resolve_part(memory, ring->desc_user, 16ULL * ring->num, 16,
			    "descriptor table", err);
	if (!desc)
		return -EFAULT;
	avail = resolve_part(memory, ring->avail_user, 6 + 2ULL * ring->num, 2,
			     "available ring", err);
	if (!avail)
		return -EFAULT;
	used = resolve_part(memory, ring->used_user, 6 + 8ULL * ring->num, 4,
			    "used ring", err);
	if (!used)
		return -EFAULT;
	ring->desc = desc;
	ring->avail = avail;
	ring->used = used;
	ring->used_ring = (struct vring_used_elem *)((char *)used + 4);
	return 0;
}

int vring_start(struct vring *ring, const struct memory *memory, uint64_t features,
		struct error *err)
{
	int ret = vring_resolve(ring, memory, err);

	if (ret < 0)
		return ret;
	ring->event_idx = features & VRING_F_EVENT_IDX;
	ring->indirect = features & VRING_F_INDIRECT_DESC;
	ring->seen_avail = ring->next_avail;
	ring->next_used = load16(ring->used + RING_IDX, __ATOMIC_RELAXED);
	ring->told_used = ring->next_used;
	ring->signalled = false;
	ring->started = true;
	return 0;
}

void vring_suspend(struct vring *ring)
{
	ring->desc = NULL;
	ring->avail = NULL;
	ring->used = NULL;
	ring->used_ring = NULL;
}

bool vring_is_resolved(const struct vring *ring)
{
	return ring->started && ring->desc;
}

void vring_stop(struct vring *ring)
{
	vring_suspend(ring);
	ring->started = false;
}

/* What a walk along one chain has found so far. */
struct walk {
	struct vring *ring;
	struct memory *memory;
	struct vring_chain *chain;
	size_t max; /* pieces */
	unsigned int seen;
	struct error *err;
};

/* Descriptors in the table, or in the indirect one when table is given. */
struct table {
	bool indirect;
	uint64_t guest; /* of an indirect one */
	uint32_t entries;
};

static int load_desc(struct walk *w, const struct table *t, uint16_t index,
		     struct vring_desc *desc)
{
	struct vring_desc raw;

	if (index >= t->entries)
		return error_set(w->err, -EINVAL, "descriptor %u of a table of %u",
				 index, t->entries);
	if (++w->seen > VRING_CHAIN_MAX || (!t->indirect && w->seen > w->ring->num))
		return error_set(w->err, -ELOOP, "a descriptor chain without an end");
	if (!t->indirect)
		memcpy(&raw, (const void *)(w->ring->desc + index), sizeof(raw));
	else if (memory_read(w->memory, t->guest + 16ULL * index, &raw, sizeof(raw)) <
		 0)
		return error_set(
			w->err, -EFAULT,
			"an indirect table at 0x%llx is not in the guest's memory",
			(unsigned long long)t->guest);
	/* What was copied is what counts, whatever the guest writes there now. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	desc->addr = le64toh(raw.addr);
	desc->len = le32toh(raw.len);
	desc->flags = le16toh(raw.flags);
	desc->next = le16toh(raw.next);
	return 0;
}

static int add_pieces(struct walk *w, const struct vring_desc *desc)
{
	struct vring_chain *chain = w->chain;
	size_t n = chain->n_read + chain->n_write;
	int got;

	if (!(desc->flags & VRING_DESC_WRITE) && chain->n_write)
		return error_set(w->err, -EINVAL,
				 "a descriptor to be read follows one to be written");
	got = memory_translate(w->memory, desc->addr, desc->len, chain->iov + n,
			       w->max - n);
	if (got == -ENOBUFS)
		return error_set(w->err, got,
				 "a descriptor chain in more than %zu pieces", w->max);
	if (got < 0)
		return error_set(w->err, got,
				 "%u bytes at 0x%llx are not in the guest's memory",
				 desc->len, (unsigned long long)desc->addr);
	if (desc->flags & VRING_DESC_WRITE) {
		chain->n_write += got;
		chain->write_len += desc->len;
	} else {
		chain->n_read += got;
		chain->read_len += desc->len;
	}
	return 0;
}

static int enter_indirect(struct walk *w, struct table *t,
			  const struct vring_desc *desc)
{
	if (!w->ring->indirect)
		return error_set(w->err, -EINVAL,
				 "an indirect descriptor, which was not negotiated");
	if (t->indirect)
		return error_set(w->err, -EINVAL,
				 "an indirect descriptor within an indirect table");
	if (desc->flags & VRING_DESC_NEXT)
		return error_set(w->err, -EINVAL,
				 "an indirect descriptor that has a next one");
	if (!desc->len || desc->len % 16)
		return error_set(w->err, -EINVAL, "an indirect table of %u bytes",
				 desc->len);
	t->indirect = true;
	t->guest = desc->addr;
	t->entries = desc->len / 16;
	return 0;
}

static int walk_chain(struct walk *w, uint16_t head)
{
	struct table t = {.entries = w->ring->num};
	uint16_t index = head;
	struct vring_desc desc = {0};
	int ret;

	for (;;) {
		ret = load_desc(w, &t, index, &desc);
		if (ret < 0)
			return ret;
		if (desc.flags & VRING_DESC_INDIRECT) {
			ret = enter_indirect(w, &t, &desc);
			if (ret < 0)
				return ret;
			index = 0;
			continue;
		}
		ret = add_pieces(w, &desc);
		if (ret < 0)
			return ret;
		if (!(desc.flags & VRING_DESC_NEXT))
			return 0;
		index = desc.next;
	}
}

/* Looks whether there is a chain; reads the guest's index only when it must. */
static int look(struct vring *ring, struct error *err)
{
	uint16_t ready;

	if (ring->next_avail != ring->seen_avail)
		return 1;
	/* Pairs with the guest's barrier between filling an entry and the index. */
	ring->seen_avail = load16(ring->avail + RING_IDX, __ATOMIC_ACQUIRE);
	ready = ring->seen_avail - ring->next_avail;
	if (ready > ring->num)
		return error_set(
			err, -EINVAL,
			"the available index went from %u to %u in a ring of %u",
			ring->next_avail, ring->seen_avail, ring->num);
	return ready != 0;
}

int vring_pop(struct vring *ring, struct memory *memory, struct iovec *iov, size_t max,
	      struct vring_chain *chain, struct error *err)
{
	struct walk w = {
		.ring = ring, .memory = memory, .chain = chain, .max = max, .err = err};
	int ret = look(ring, err);

	if (ret <= 0)
		return ret;
	*chain = (struct vring_chain){.iov = iov};
	chain->head = load16(ring->avail + RING_ENTRIES + ring->next_avail % ring->num,
			     __ATOMIC_RELAXED);
	ret = walk_chain(&w, chain->head);
	if (ret < 0)
		return ret;
	ring->next_avail++;
	return 1;
}

void vring_unpop(struct vring *ring, unsigned int count)
{
	ring->next_avail -= count;
}

void vring_push(struct vring *ring, const struct vring_chain *chain, uint32_t len)
{
	struct vring_used_elem *elem = &ring->used_ring[ring->next_used % ring->num];

	elem->id = htole32(chain->head);
	elem->len = htole32(len);
	ring->next_used++;
}

/* Whether the guest wants an interrupt for the step from told_used to next_used. */
static bool wants_interrupt(struct vring *ring)
{
	uint16_t now = ring->next_used, event;

	if (!ring->event_idx)
		return !(load16(ring->avail + RING_FLAGS, __ATOMIC_RELAXED) &
			 VRING_AVAIL_NO_INTERRUPT);
	event = load16(used_event(ring), __ATOMIC_RELAXED);
	if (!ring->signalled)
		return true;
	return (uint16_t)(now - event - 1) < (uint16_t)(now - ring->signalled_at);
}

static void write_event(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	if (fd < 0)
		return;
	/* A full counter is as good as another one: the guest has yet to look. */
	n = write(fd, &one, sizeof(one));
	(void)n;
}

void vring_commit(struct vring *ring)
{
	bool wanted;

	if (ring->told_used == ring->next_used)
		return;
	store16(ring->used + RING_IDX, ring->next_used, __ATOMIC_RELEASE);
	ring->told_used = ring->next_used;
	/* The index must be out before the guest's wish is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	wanted = wants_interrupt(ring);
	/* Also when it is not: a step of 2^16 entries would look like none. */
	ring->signalled_at = ring->next_used;
	if (!wanted)
		return;
	ring->signalled = true;
	write_event(ring->call_fd);
}

bool vring_wait(struct vring *ring)
{
	if (ring->event_idx)
		store16(avail_event(ring), ring->next_avail, __ATOMIC_RELAXED);
	else
		store16(ring->used + RING_FLAGS, 0, __ATOMIC_RELAXED);
	/* The wish must be out before the guest's index is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(ring->avail + RING_IDX, __ATOMIC_ACQUIRE) != ring->next_avail;
}

void vring_quiet(struct vring *ring)
{
	if (!ring->event_idx)
		store16(ring->used + RING_FLAGS, VRING_USED_NO_NOTIFY,
			__ATOMIC_RELAXED);
}

void vring_interrupt(struct vring *ring)
{
	write_event(ring->call_fd);
}

void vring_signal_error(struct vring *ring)
{
	write_event(ring->err_fd);
}
