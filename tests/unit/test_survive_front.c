/* SPDX-License-Identifier: Apache-2.0 */
/* What the front-end has set up is there for the next worker, in whatever state. */
#include "fake_inflight.h"
#include "fake_log.h"
#include "fake_worker.h"

/* A connection ends with its worker, and everybody hears so. */
static void lose_a_connection(struct guest *g)
{
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	kill_worker(g);
	host_expect_closed(fd);
	close(fd);
	guest_expect(g, PACKET_RST, 5000, port);
}

static void killed_while_memory_is_away(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd;

	for (int i = 0; i < 5; i++) {
		fd = join_in(g, 5000, &port);
		assert_int_equal(
			front_slot(g, VHOST_USER_REM_MEM_REG, false, REGION_SIZE, 0),
			0);
		kill_worker(g);
		host_expect_closed(fd);
		close(fd);
		/* The next one knows what is away, and that it comes back. */
		assert_int_equal(
			front_slot(g, VHOST_USER_REM_MEM_REG, false, REGION_SIZE, 0),
			1);
		assert_int_equal(
			front_slot(g, VHOST_USER_ADD_MEM_REG, false, REGION_SIZE, 1),
			0);
		guest_expect(g, PACKET_RST, 5000, port);
		expect_service(g);
	}
}

static void the_log_of_dirty_pages_goes_on(void **state)
{
	struct guest *g = *state;
	struct log log = log_new();
	uint32_t port;
	int fd;

	set_base_well(g, &log);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features | F_LOG_ALL);
	log_rings(g, 1);
	for (int i = 0; i < 3; i++) {
		lose_a_connection(g);
		fd = join_in(g, 5000, &port);
		check_marks(g, &log, fd);
		guest_expect(g, PACKET_RW, 5000, port);
		part(g, fd, 5000, port);
	}
	log_free(&log);
}

static void what_is_in_flight_is_known(void **state)
{
	struct guest *g = *state;
	struct region region = {.rings = 2, .num = TX_NUM};
	union inflight_ring *rings;
	int fd;

	guest_connect(g);
	fd = get_region(g, &region, sizeof(region));
	assert_int_equal(set_region(g, &region, fd), 0);
	rings = map_region(&region, fd);
	guest_start(g);
	for (int i = 0; i < 20; i++) {
		lose_a_connection(g);
		expect_service(g);
		/* The worker is not done with the turn before it answers here. */
		front_get_u64(g, VHOST_USER_GET_FEATURES);
		assert_int_equal(in_flight(g, rings), 0);
		assert_int_equal(rings->split.desc_num, RX_NUM);
		check_used(g, rings);
	}
	munmap(rings, region.size);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(killed_while_memory_is_away),
		test_guest(the_log_of_dirty_pages_goes_on),
		test_daemon(what_is_in_flight_is_known),
	};

	run_the_program();
	return cmocka_run_group_tests_name("survive: the front-end", tests, NULL, NULL);
}
