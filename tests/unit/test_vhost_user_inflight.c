/* SPDX-License-Identifier: Apache-2.0 */
/* What is in flight, in memory that the front-end keeps. */
#include "fake_guest.h"

#include "../../transport/inflight.h"

struct region {
	uint64_t size, offset;
	uint16_t rings, num;
	uint32_t padding;
};

/* Asks for it; the descriptor that comes along. */
static int get_region(struct guest *g, struct region *region, uint32_t bytes)
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

static uint64_t set_region(struct guest *g, const struct region *region, int fd)
{
	return front_ask(g, VHOST_USER_SET_INFLIGHT_FD, region, sizeof(*region), &fd,
			 fd >= 0);
}

static union inflight_ring *map_region(const struct region *region, int fd)
{
	void *map = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(map != MAP_FAILED);
	return map;
}

static unsigned int in_flight(struct guest *g, const union inflight_ring *ring)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < RX_NUM; i++)
		count += fake_is_packed(g) ? ring->packed.desc[i].inflight
					   : ring->split.desc[i].inflight;
	return count;
}

static void data_goes_through_and_nothing_stays_in_flight(void **state)
{
	struct guest *g = *state;
	struct region region = {.rings = 3, .num = TX_NUM};
	union inflight_ring *rings;
	uint32_t port;
	int fd, host;

	guest_connect(g);
	fd = get_region(g, &region, sizeof(region));
	assert_true(region.size >= 3ULL * TX_NUM * 16 && region.offset == 0);
	assert_int_equal(set_region(g, &region, fd), 0);
	rings = map_region(&region, fd);
	assert_int_equal(rings->split.version, 0);
	guest_start(g);
	/* The version is in the same place in both formats. */
	assert_int_equal(rings->split.version, 1);
	assert_int_equal(rings->split.desc_num, RX_NUM);
	for (int i = 0; i < 300; i++) {
		host = join_in(g, 5000, &port);
		part(g, host, 5000, port);
	}
	/* The daemon is not done with the turn before it answers here. */
	front_get_u64(g, VHOST_USER_GET_FEATURES);
	assert_int_equal(in_flight(g, rings), 0);
	if (!fake_is_packed(g))
		assert_int_equal(rings->split.used_idx, g->ring[0].seen_used);
	else
		assert_int_equal(rings->packed.used_idx, g->ring[0].packed.used.at);
	/* While a ring runs, that is not to be changed. */
	assert_int_equal(set_region(g, &region, fd), 1);
	guest_stop_ring(g, 0);
	assert_int_equal(rings->split.version, 0);
	munmap(rings, region.size);
	close(fd);
}

/* The front-end comes back, to a device that knows nothing any more. */
static void a_new_device_goes_on_where_the_old_one_was(void **state)
{
	struct guest *g = *state;
	struct region region = {.rings = 2, .num = TX_NUM};
	uint32_t port;
	int fd, host;

	guest_connect(g);
	fd = get_region(g, &region, 20);
	assert_int_equal(set_region(g, &region, fd), 0);
	guest_start(g);
	for (int i = 0; i < 40; i++) {
		host = join_in(g, 5000, &port);
		part(g, host, 5000, port);
	}
	guest_connect(g);
	assert_int_equal(set_region(g, &region, fd), 0);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
	guest_share_memory(g);
	/* What the front-end says of where they stand is long past. */
	for (unsigned int i = 0; i < 2; i++)
		guest_start_ring(g, i, fake_first_base(g));
	for (int i = 0; i < 40; i++) {
		host = join_in(g, 5000, &port);
		part(g, host, 5000, port);
	}
	close(fd);
}

static void wrong_sizes_are_refused(void **state)
{
	struct guest *g = *state;
	struct region good = {.rings = 2, .num = TX_NUM}, bad;
	static const struct region unfit[] = {{.rings = 0, .num = 16},
					      {.rings = 4, .num = 16},
					      {.rings = 2, .num = 0},
					      {.rings = 2, .num = 32769},
					      {.rings = 2, .num = UINT16_MAX}};
	uint64_t index = 0;
	int fd;

	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
		guest_connect(g);
		front_message(g, VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_VERSION,
			      &unfit[i], sizeof(unfit[i]), NULL, 0);
		assert_true(front_is_closed(g));
	}
	guest_connect(g);
	fd = get_region(g, &good, sizeof(good));
	for (size_t i = 0; i < sizeof(unfit) / sizeof(unfit[0]); i++) {
		bad = unfit[i];
		bad.size = good.size;
		assert_int_equal(set_region(g, &bad, fd), 1);
	}
	bad = good;
	bad.size--;
	assert_int_equal(set_region(g, &bad, fd), 1);
	bad = good;
	bad.offset = 64;
	assert_int_equal(set_region(g, &bad, fd), 1);
	bad.offset = UINT64_MAX - 63;
	assert_int_equal(set_region(g, &bad, fd), 1);
	bad = good;
	bad.rings = 3;
	assert_int_equal(set_region(g, &bad, fd), 1);
	assert_int_equal(set_region(g, &good, g->ring[0].kick), 1);
	assert_int_equal(set_region(g, &good, -1), 1);
	/* Room for fewer entries than the ring has. */
	bad = (struct region){.rings = 2, .num = RX_NUM / 2};
	bad.size = good.size;
	assert_int_equal(set_region(g, &bad, fd), 0);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
	front_ok_state(g, VHOST_USER_SET_VRING_NUM, 0, RX_NUM);
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_VRING_KICK, &index, 8, &g->memfd, 1), 1);
	assert_true(log_has(g, "has room for"));
	/* Not negotiated. */
	guest_connect(g);
	front_ok_u64(g, VHOST_USER_SET_PROTOCOL_FEATURES, 1 << 3);
	assert_int_equal(set_region(g, &good, fd), 1);
	close(fd);
}

/* The front-end may write into it whatever it likes. */
static void what_it_says_may_be_anything(void **state)
{
	struct guest *g = *state;
	struct region region = {.rings = 2, .num = TX_NUM};
	unsigned int seed = (unsigned int)now_ms();
	uint8_t *bytes;
	int fd;

	print_message("# seed %u\n", seed);
	srandom(seed);
	guest_connect(g);
	fd = get_region(g, &region, sizeof(region));
	bytes = (uint8_t *)map_region(&region, fd);
	for (int i = 0; i < 60; i++) {
		uint16_t head[12] = {0, 0, 0, 0, 1, RX_NUM};
		uint64_t index = 0;

		for (uint64_t at = 0; at < region.size; at++)
			bytes[at] = random() % 4 ? random() % 3 : random();
		memcpy(bytes, head, 12);
		guest_connect(g);
		assert_int_equal(set_region(g, &region, fd), 0);
		front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
		guest_share_memory(g);
		fake_ring_clear(g, 0);
		uint64_t addr[5] = {0, USER_A, USER_A + 0x8000, USER_A + 0x4000, 0};
		int kick = eventfd(0, EFD_CLOEXEC);
		front_ok_state(g, VHOST_USER_SET_VRING_NUM, 0, RX_NUM);
		assert_int_equal(
			front_ask(g, VHOST_USER_SET_VRING_ADDR, addr, 40, NULL, 0), 0);
		/* Refused or not: it lives. */
		front_ask(g, VHOST_USER_SET_VRING_KICK, &index, 8, &kick, 1);
		close(kick);
	}
	munmap(bytes, region.size);
	close(fd);
	guest_connect(g);
	guest_start(g);
	uint32_t port;
	close(join_in(g, 5000, &port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_daemon(data_goes_through_and_nothing_stays_in_flight),
		test_daemon(a_new_device_goes_on_where_the_old_one_was),
		test_daemon(wrong_sizes_are_refused),
		test_daemon(what_it_says_may_be_anything),
	};

	return cmocka_run_group_tests_name("vhost-user: inflight", tests, NULL, NULL);
}
