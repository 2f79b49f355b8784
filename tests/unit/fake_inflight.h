/* SPDX-License-Identifier: Apache-2.0 */
/* The memory in which a front-end keeps what is in flight. */
#ifndef FAKE_INFLIGHT_H
#define FAKE_INFLIGHT_H

#include "../../transport/inflight.h"
#include "fake_guest.h"

struct region {
	uint64_t size, offset;
	uint16_t rings, num;
	uint32_t padding;
};

/* Asks for it; the descriptor that comes along. */
static inline int get_region(struct guest *g, struct region *region, uint32_t bytes)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)];
	uint32_t header[3];
	struct iovec iov = {header, sizeof(header)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int fd;

	front_message(g, VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_VERSION, region, bytes,
		      NULL, 0);
	wait_fd(g->front, POLLIN);
	assert_int_equal(recvmsg(g->front, &msg, MSG_WAITALL), sizeof(header));
	assert_int_equal(header[0], VHOST_USER_GET_INFLIGHT_FD);
	/* As many bytes as were asked with: with the padding, or without. */
	assert_int_equal(header[2], bytes);
	assert_int_equal(recv(g->front, region, bytes, MSG_WAITALL), bytes);
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static inline uint64_t set_region(struct guest *g, const struct region *region, int fd)
{
	return front_ask(g, VHOST_USER_SET_INFLIGHT_FD, region, sizeof(*region), &fd,
			 fd >= 0);
}

static inline union inflight_ring *map_region(const struct region *region, int fd)
{
	void *map = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(map != MAP_FAILED);
	return map;
}

static inline unsigned int in_flight(struct guest *g, const union inflight_ring *ring)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < RX_NUM; i++)
		count += fake_is_packed(g) ? ring->packed.desc[i].inflight
					   : ring->split.desc[i].inflight;
	return count;
}

/* What it tells of the used ring is the truth, once the daemon is done with its turn.
 */
static inline void check_used(struct guest *g, const union inflight_ring *ring)
{
	if (!fake_is_packed(g))
		assert_int_equal(ring->split.used_idx, g->ring[0].seen_used);
	else
		assert_int_equal(ring->packed.used_idx, g->ring[0].packed.used.at);
}

#endif
