/* SPDX-License-Identifier: Apache-2.0 */
/* What is in flight, in memory that the front-end keeps. */
#include "fake_inflight.h"

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
	check_used(g, rings);
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
