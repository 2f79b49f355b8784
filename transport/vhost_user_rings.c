/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user_handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("close", "fcntl", "fstat", "newfstatat");

enum {
	RING_FD_INDEX = 0xff,
	RING_FD_NONE = 0x100,
};

void vhost_user_stop_ring(struct vhost_user *vu, unsigned int index)
{
	struct vring *ring = &vu->ring[index];

	if (ring->kick_fd >= 0) {
		vu->ops->unwatch(vu->owner, index, ring->kick_fd);
		close(ring->kick_fd);
		ring->kick_fd = -1;
	}
	vring_stop(ring);
}

/*
 * RESET_DEVICE, and RESET_OWNER, which front-ends send in its place to back-ends
 * that do not offer it.
 */
int vhost_user_reset_device(struct vhost_user *vu, struct vhost_user_message *msg,
			    struct error *err)
{
	(void)msg;
	(void)err;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		vhost_user_stop_ring(vu, i);
		vu->ring[i].enabled = false;
		vring_forget_inflight(&vu->ring[i]);
		vu->ring[i].has_base = false;
		vu->ring[i].base = 0;
	}
	vu->ops->changed(vu->owner);
	vu->ops->reset(vu->owner);
	return 0;
}

/* The ring that a message with a number for it is about; NULL when there is none. */
static struct vring *find_ring(struct vhost_user *vu,
			       const struct vhost_user_message *msg,
			       struct vhost_user_ring_state *state, struct error *err)
{
	memcpy(state, msg->payload, sizeof(*state));
	return vhost_user_find_ring(vu, state->index, err);
}

int vhost_user_set_vring_num(struct vhost_user *vu, struct vhost_user_message *msg,
			     struct error *err)
{
	struct vhost_user_ring_state state;
	struct vring *ring = find_ring(vu, msg, &state, err);

	if (!ring)
		return -EINVAL;
	if (ring->started)
		return error_set(err, -EBUSY, "ring %u is running", state.index);
	/* A packed ring may have any size, which its start looks at again. */
	if (!state.num || state.num > VRING_NUM_MAX ||
	    (!(vu->features & VRING_F_PACKED) && (state.num & (state.num - 1))))
		return error_set(err, -EINVAL,
				 "ring %u of %u entries, a power of two up to %d was "
				 "expected",
				 state.index, state.num, VRING_NUM_MAX);
	ring->num = state.num;
	return 0;
}

int vhost_user_set_vring_addr(struct vhost_user *vu, struct vhost_user_message *msg,
			      struct error *err)
{
	struct vhost_user_ring_addr addr;
	struct vring *ring, next;
	int ret;

	memcpy(&addr, msg->payload, sizeof(addr));
	ring = vhost_user_find_ring(vu, addr.index, err);
	if (!ring)
		return -EINVAL;
	next = *ring;
	next.desc_user = addr.desc;
	next.avail_user = addr.avail;
	next.used_user = addr.used;
	next.log_guest = addr.log;
	next.log_used = addr.flags & VRING_F_LOG;
	/* Else this is checked at the start: the memory may come after it. */
	if (vring_is_resolved(ring)) {
		ret = vring_resolve(&next, &vu->memory, err);
		if (ret < 0)
			return ret;
	}
	*ring = next;
	vring_set_log(ring, ring->log);
	return 0;
}

int vhost_user_set_vring_base(struct vhost_user *vu, struct vhost_user_message *msg,
			      struct error *err)
{
	struct vhost_user_ring_state state;
	struct vring *ring = find_ring(vu, msg, &state, err);

	if (!ring)
		return -EINVAL;
	if (ring->started)
		return error_set(err, -EBUSY, "ring %u is running", state.index);
	if (state.num > UINT16_MAX && !(vu->features & VRING_F_PACKED))
		return error_set(err, -EINVAL, "ring %u is to start at %u", state.index,
				 state.num);
	ring->base = state.num;
	ring->has_base = true;
	return 0;
}

int vhost_user_get_vring_base(struct vhost_user *vu, struct vhost_user_message *msg,
			      struct error *err)
{
	struct vhost_user_ring_state state;
	struct vring *ring = find_ring(vu, msg, &state, err);

	if (!ring)
		return -EINVAL;
	vhost_user_stop_ring(vu, state.index);
	vu->ops->changed(vu->owner);
	/* The front-end knows now where it stands, and nothing is in flight. */
	vring_forget_inflight(ring);
	state.num = vring_position(ring);
	memcpy(msg->payload, &state, sizeof(state));
	msg->size = sizeof(state);
	return 0;
}

int vhost_user_take_event_fd(struct vhost_user_message *msg, const char *what,
			     struct error *err)
{
	struct stat st;
	int flags;

	/* With its own end of the connection held here, its death went unnoticed. */
	if (fstat(msg->fds[0], &st) == 0 && S_ISSOCK(st.st_mode))
		return error_set(err, -EINVAL, "the descriptor for %s is a socket",
				 what);
	flags = fcntl(msg->fds[0], F_GETFL);
	if (flags < 0 || fcntl(msg->fds[0], F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set(err, -errno,
				 "the descriptor for %s cannot be used: %s", what,
				 strerror(errno));
	return steal_fd(&msg->fds[0]);
}

/*
 * Finds the ring of a message with at most one descriptor, which goes to *fd (-1:
 * none).
 */
static struct vring *take_ring_fd(struct vhost_user *vu, struct vhost_user_message *msg,
				  unsigned int *index, int *fd, struct error *err)
{
	uint64_t value = vhost_user_get_u64(msg);
	struct vring *ring;

	*index = value & RING_FD_INDEX;
	*fd = -1;
	ring = vhost_user_find_ring(vu, *index, err);
	if (!ring)
		return NULL;
	if (msg->fd_count != !(value & RING_FD_NONE)) {
		error_set(err, -EPROTO, "%zu descriptors for ring %u", msg->fd_count,
			  *index);
		return NULL;
	}
	if (value & RING_FD_NONE)
		return ring;
	*fd = vhost_user_take_event_fd(msg, "a ring", err);
	return *fd < 0 ? NULL : ring;
}

int vhost_user_set_vring_kick(struct vhost_user *vu, struct vhost_user_message *msg,
			      struct error *err)
{
	cleanup_close int fd = -1;
	unsigned int index;
	struct vring *ring = take_ring_fd(vu, msg, &index, &fd, err);
	int ret;

	if (!ring)
		return err->code;
	if (fd < 0)
		return error_set(err, -EOPNOTSUPP, "ring %u is to be polled", index);
	if (ring->kick_fd >= 0) {
		vu->ops->unwatch(vu->owner, index, ring->kick_fd);
		close(ring->kick_fd);
		ring->kick_fd = -1;
	}
	if (!ring->started && ring->inflight && ring->num > vu->inflight.num)
		return error_set(err, -EINVAL,
				 "ring %u of %u entries, what is in flight has room "
				 "for %u",
				 index, ring->num, vu->inflight.num);
	if (!ring->started) {
		ret = vu->resuming ? vring_resume(ring, &vu->memory, vu->features, err)
				   : vring_start(ring, &vu->memory, vu->features, err);
		if (ret < 0)
			return error_prefix(err, "ring %u", index);
	}
	ret = vu->ops->watch(vu->owner, index, fd);
	if (ret < 0) {
		vring_stop(ring);
		vu->ops->changed(vu->owner);
		return error_set(err, ret,
				 "the kick descriptor of ring %u is no eventfd: %s",
				 index, strerror(-ret));
	}
	ring->kick_fd = steal_fd(&fd);
	vu->ops->changed(vu->owner);
	return 0;
}

int vhost_user_set_vring_call(struct vhost_user *vu, struct vhost_user_message *msg,
			      struct error *err)
{
	unsigned int index;
	int fd;
	struct vring *ring = take_ring_fd(vu, msg, &index, &fd, err);

	if (!ring)
		return err->code;
	if (ring->call_fd >= 0)
		close(ring->call_fd);
	ring->call_fd = fd;
	/* What was signalled on the old one may never have arrived. */
	if (ring->started)
		vring_interrupt(ring);
	return 0;
}

int vhost_user_set_vring_err(struct vhost_user *vu, struct vhost_user_message *msg,
			     struct error *err)
{
	unsigned int index;
	int fd;
	struct vring *ring = take_ring_fd(vu, msg, &index, &fd, err);

	if (!ring)
		return err->code;
	if (ring->err_fd >= 0)
		close(ring->err_fd);
	ring->err_fd = fd;
	return 0;
}

int vhost_user_set_vring_enable(struct vhost_user *vu, struct vhost_user_message *msg,
				struct error *err)
{
	struct vhost_user_ring_state state;
	struct vring *ring = find_ring(vu, msg, &state, err);

	if (!ring)
		return -EINVAL;
	if (state.num > 1)
		return error_set(err, -EINVAL, "ring %u is to be enabled by %u",
				 state.index, state.num);
	ring->enabled = state.num;
	vu->ops->changed(vu->owner);
	return 0;
}
