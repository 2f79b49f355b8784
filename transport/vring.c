/* SPDX-License-Identifier: Apache-2.0 */
#include "vring.h"

#include <errno.h>
#include <unistd.h>

#include "sandbox_calls.h"
#include "vring_format.h"

SANDBOX_CALLS("close", "write");

void vring_init(struct vring *ring)
{
	*ring = (struct vring){.kick_fd = -1, .call_fd = -1, .err_fd = -1};
}

void vring_reset(struct vring *ring)
{
	struct vring_record *record = ring->record;

	vring_stop(ring);
	if (ring->kick_fd >= 0)
		close(ring->kick_fd);
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	if (ring->err_fd >= 0)
		close(ring->err_fd);
	vring_init(ring);
	ring->record = record;
}

void *vring_resolve_part(const struct memory *memory, uint64_t user, uint64_t len,
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
	if (!ring->num)
		return error_set(err, -EINVAL, "the ring's size was never set");
	return ring->is_packed ? vring_packed_resolve(ring, memory, err)
			       : vring_split_resolve(ring, memory, err);
}

static int start(struct vring *ring, const struct memory *memory, uint64_t features,
		 bool resume, struct error *err)
{
	int ret;

	ring->is_packed = features & VRING_F_PACKED;
	ring->event_idx = features & VRING_F_EVENT_IDX;
	ring->indirect = features & VRING_F_INDIRECT_DESC;
	ring->signalled = false;
	ret = vring_resolve(ring, memory, err);
	/* Whoever ran it before may have died while its memory was away. */
	if (ret == -EFAULT && resume) {
		vring_suspend(ring);
		ret = 0;
	}
	if (ret == 0)
		ret = ring->is_packed ? vring_packed_start(ring, resume, err)
				      : vring_split_start(ring, resume, err);
	if (ret < 0) {
		vring_stop(ring);
		return ret;
	}
	ring->started = true;
	vring_set_log(ring, ring->log);
	return 0;
}

int vring_start(struct vring *ring, const struct memory *memory, uint64_t features,
		struct error *err)
{
	return start(ring, memory, features, false, err);
}

int vring_resume(struct vring *ring, const struct memory *memory, uint64_t features,
		 struct error *err)
{
	int ret = start(ring, memory, features, true, err);

	if (ret == 0)
		vring_interrupt(ring);
	return ret;
}

void vring_suspend(struct vring *ring)
{
	vring_split_suspend(ring);
	vring_packed_suspend(ring);
}

bool vring_is_resolved(const struct vring *ring)
{
	return ring->started && (ring->split.desc || ring->packed.desc);
}

void vring_stop(struct vring *ring)
{
	if (ring->started) {
		ring->base = vring_position(ring);
		ring->has_base = true;
	}
	vring_suspend(ring);
	vring_packed_stop(ring);
	ring->started = false;
}

/* Who ran the ring before may have died between a write and its mark. */
void vring_set_log(struct vring *ring, struct dirty_log *log)
{
	ring->log = log;
	if (!log || !vring_is_resolved(ring))
		return;
	if (ring->is_packed)
		vring_packed_log(ring);
	else
		vring_split_log(ring);
}

void vring_forget_inflight(struct vring *ring)
{
	if (!ring->inflight)
		return;
	/* In the same place in both formats. */
	ring->inflight->split.version = 0;
}

uint32_t vring_position(const struct vring *ring)
{
	if (!ring->started)
		return ring->base;
	return ring->is_packed ? vring_packed_position(ring)
			       : vring_split_position(ring);
}

int vring_walk_add(struct vring_walk *w, const struct vring_piece *piece)
{
	struct vring_chain *chain = w->chain;
	size_t n = chain->n_read + chain->n_write;
	int got;

	if (!(piece->flags & VRING_DESC_WRITE) && chain->n_write)
		return error_set(w->err, -EINVAL,
				 "a descriptor to be read follows one to be written");
	got = memory_translate(w->memory, piece->addr, piece->len, chain->iov + n,
			       w->max - n);
	if (got == -ENOBUFS)
		return error_set(w->err, got,
				 "a descriptor chain in more than %zu pieces", w->max);
	if (got < 0)
		return error_set(w->err, got,
				 "%u bytes at 0x%llx are not in the guest's memory",
				 piece->len, (unsigned long long)piece->addr);
	if (piece->flags & VRING_DESC_WRITE) {
		chain->n_write += got;
		chain->write_len += piece->len;
	} else {
		chain->n_read += got;
		chain->read_len += piece->len;
	}
	return 0;
}

int vring_walk_indirect(struct vring_walk *w, const struct vring_piece *piece)
{
	if (!w->ring->indirect)
		return error_set(w->err, -EINVAL,
				 "an indirect descriptor, which was not negotiated");
	if (piece->flags & VRING_DESC_NEXT)
		return error_set(w->err, -EINVAL,
				 "an indirect descriptor that has a next one");
	if (!piece->len || piece->len % 16)
		return error_set(w->err, -EINVAL, "an indirect table of %u bytes",
				 piece->len);
	return (int)(piece->len / 16);
}

int vring_walk_read(struct vring_walk *w, uint64_t table, uint32_t index, void *desc)
{
	if (memory_read(w->memory, table + 16ULL * index, desc, 16) < 0)
		return error_set(
			w->err, -EFAULT,
			"an indirect table at 0x%llx is not in the guest's memory",
			(unsigned long long)table);
	return 0;
}

int vring_pop(struct vring *ring, struct memory *memory, struct iovec *iov, size_t max,
	      struct vring_chain *chain, struct error *err)
{
	struct vring_walk w = {.ring = ring,
			       .memory = memory,
			       .chain = chain,
			       .iov = iov,
			       .max = max,
			       .err = err};

	return ring->is_packed ? vring_packed_pop(&w) : vring_split_pop(&w);
}

void vring_unpop(struct vring *ring, unsigned int count)
{
	if (ring->is_packed)
		vring_packed_unpop(ring, count);
	else
		vring_split_unpop(ring, count);
}

static void log_chain(struct dirty_log *log, const struct vring_chain *chain,
		      size_t len)
{
	const struct iovec *iov = chain->iov + chain->n_read;

	for (size_t i = 0; len && i < chain->n_write; i++) {
		size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;

		dirty_log_mark_host(log, iov[i].iov_base, part);
		len -= part;
	}
}

void vring_push(struct vring *ring, const struct vring_chain *chain, uint32_t len)
{
	if (ring->log)
		log_chain(ring->log, chain, len);
	if (ring->is_packed)
		vring_packed_push(ring, chain, len);
	else
		vring_split_push(ring, chain, len);
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
	if (ring->is_packed ? vring_packed_commit(ring) : vring_split_commit(ring)) {
		ring->signalled = true;
		write_event(ring->call_fd);
	}
	if (ring->log)
		dirty_log_tell(ring->log);
}

bool vring_wait(struct vring *ring)
{
	return ring->is_packed ? vring_packed_wait(ring) : vring_split_wait(ring);
}

void vring_quiet(struct vring *ring)
{
	if (ring->is_packed)
		vring_packed_quiet(ring);
	else
		vring_split_quiet(ring);
}

void vring_interrupt(struct vring *ring)
{
	write_event(ring->call_fd);
}

void vring_signal_error(struct vring *ring)
{
	write_event(ring->err_fd);
}
