/* SPDX-License-Identifier: Apache-2.0 */
/* The log of dirty pages: nothing is written to that it does not tell of. */
#include "fake_log.h"

static void every_page_written_to_is_marked(void **state)
{
	struct guest *g = *state;
	struct log log = log_new();
	int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), fd;
	uint64_t count;
	uint32_t port;

	guest_start(g);
	fd = join_in(g, 5000, &port);
	set_base_well(g, &log);
	assert_int_equal(front_ask(g, VHOST_USER_SET_LOG_FD, NULL, 0, &call, 1), 0);
	/* Not before it is switched on. */
	host_send(fd, "x");
	guest_expect(g, PACKET_RW, 5000, port);
	assert_int_equal(marks(&log), 0);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features | F_LOG_ALL);
	log_rings(g, 1);
	check_marks(g, &log, fd);
	assert_int_equal(read(call, &count, sizeof(count)), sizeof(count));
	guest_expect(g, PACKET_RW, 5000, port);
	/* And not after that. */
	log_rings(g, 0);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
	memset(log.bits, 0, LOG_BYTES);
	host_send(fd, "z");
	guest_expect(g, PACKET_RW, 5000, port);
	assert_int_equal(marks(&log), 0);
	assert_int_equal(front_ask(g, VHOST_USER_SET_LOG_FD, NULL, 0, NULL, 0), 0);
	close(fd);
	close(call);
	log_free(&log);
}

/* Only the buffers, where the front-end does not ask for more. */
static void the_rings_are_marked_only_when_asked_for(void **state)
{
	struct guest *g = *state;
	struct log log = log_new();
	uint32_t port;
	int fd;

	guest_start(g);
	fd = join_in(g, 5000, &port);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features | F_LOG_ALL);
	set_base_well(g, &log);
	assert_int_equal(marks(&log), 0);
	host_send(fd, "x");
	guest_expect(g, PACKET_RW, 5000, port);
	assert_int_equal(marks(&log), 1);
	log_rings(g, 1);
	/* At once, since something may have been written before. */
	assert_true(is_marked(&log, RING_AT(0) + 0x8000));
	assert_true(is_marked(&log, RING_AT(1) + 0x8000));
	close(fd);
	log_free(&log);
}

static void a_log_that_cannot_be_ends_the_connection(void **state)
{
	static const struct {
		uint64_t size, offset;
		const char *why;
	} bad[] = {
		{0, LOG_AT, "is empty or wraps around"},
		{UINT64_MAX, 1, "is empty or wraps around"},
		{LOG_BYTES, INT64_MAX, "is empty or wraps around"},
		{LOG_BYTES - 1, LOG_AT, "the guest's memory needs"},
		{LOG_BYTES, LOG_AT + 1, "none or too short"},
		{1ULL << 62, 0, "none or too short"},
	};
	struct guest *g = *state;
	struct log log = log_new(), pipe_log = {.fd = -1};
	uint64_t base[2] = {0, 0};
	int ends[2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		guest_connect(g);
		guest_share_memory(g);
		set_base(g, &log, bad[i].size, bad[i].offset);
		assert_true(front_is_closed(g));
		wait_until(log_has(g, bad[i].why));
	}
	assert_int_equal(pipe(ends), 0);
	pipe_log.fd = ends[1];
	guest_connect(g);
	set_base(g, &pipe_log, 100, 0);
	assert_true(front_is_closed(g));
	/* Not negotiated, or without a descriptor. */
	guest_connect(g);
	front_ok_u64(g, VHOST_USER_SET_PROTOCOL_FEATURES, 1 << 3);
	set_base(g, &log, LOG_BYTES, LOG_AT);
	assert_true(front_is_closed(g));
	guest_connect(g);
	front_message(g, VHOST_USER_SET_LOG_BASE, VHOST_USER_VERSION, base, 16, NULL,
		      0);
	assert_true(front_is_closed(g));
	close(ends[0]);
	close(ends[1]);
	log_free(&log);
}

/* The front-end may say anything about where the used ring is. */
static void what_the_log_has_no_place_for_is_told(void **state)
{
	struct guest *g = *state;
	struct log log = log_new();
	uint64_t addr[5] = {1ULL << 32, USER_A, USER_A + 0x8000, USER_A + 0x4000,
			    UINT64_MAX - 9};
	uint32_t port;

	guest_start(g);
	set_base_well(g, &log);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features | F_LOG_ALL);
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_ADDR, addr, 40, NULL, 0), 0);
	wait_until(log_has(g, "has no place for"));
	close(join_in(g, 5000, &port));
	log_free(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_daemon(every_page_written_to_is_marked),
		test_daemon(the_rings_are_marked_only_when_asked_for),
		test_daemon(a_log_that_cannot_be_ends_the_connection),
		test_daemon(what_the_log_has_no_place_for_is_told),
	};

	return cmocka_run_group_tests_name("vhost-user: log", tests, NULL, NULL);
}
