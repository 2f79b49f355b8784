/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests and front-ends that break the rules, or come and go: the daemon says so,
 * closes what has to be closed, and serves the next one.
 */
#include "fake_guest.h"

/* The guest's driver starts again, and all is well. */
static void serves_after_a_restart(struct guest *g)
{
	uint32_t port;
	int fd;

	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	guest_start(g);
	fd = join_in(g, 5000, &port);
	part(g, fd, 5000, port);
}

/* What the test has done to a ring must stop the device, and no more than that. */
static void expect_broken(struct guest *g, unsigned int index, int fd, const char *why)
{
	wait_fd(g->ring[index].err, POLLIN);
	host_expect_closed(fd);
	close(fd);
	wait_until(log_has(g, why));
	fd = connect_unix(g->uds);
	host_expect_closed(fd);
	close(fd);
	serves_after_a_restart(g);
}

static void offer_desc(struct guest *g, unsigned int index, unsigned int head,
		       struct vring_desc desc)
{
	g->ring[index].desc[head] = desc;
	fake_offer(g, index, head);
}

static void a_loop_of_descriptors_stops_the_device(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	g->ring[1].desc[1] =
		(struct vring_desc){.addr = TX_AT, .len = 1, .flags = 1, .next = 0};
	offer_desc(g, 1, 0, (struct vring_desc){TX_AT, 1, VRING_DESC_NEXT, 1});
	expect_broken(g, 1, fd, "without an end");
}

static void a_descriptor_outside_the_table_stops_the_device(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	offer_desc(g, 1, 0, (struct vring_desc){TX_AT, 1, VRING_DESC_NEXT, TX_NUM});
	expect_broken(g, 1, fd, "descriptor 256 of a table of 256");
	fd = join_in(g, 5000, &port);
	fake_offer(g, 1, 0xffff);
	expect_broken(g, 1, fd, "descriptor 65535 of a table of 256");
}

static void memory_that_is_not_the_guests_stops_the_device(void **state)
{
	static const struct vring_desc desc[] = {
		{0, 44, 0, 0},
		{REGION_B + REGION_SIZE - 43, 44, 0, 0},
		{UINT64_MAX - 10, 44, 0, 0},
		{REGION_A, UINT32_MAX, 0, 0},
		{REGION_A - 1, 2, 0, 0},
		{USER_A, 44, 0, 0},
	};
	struct guest *g = *state;

	for (size_t i = 0; i < sizeof(desc) / sizeof(desc[0]); i++) {
		uint32_t port;
		int fd = join_in(g, 5000, &port);

		offer_desc(g, 1, 0, desc[i]);
		expect_broken(g, 1, fd, "are not in the guest's memory");
	}
}

static void an_available_index_that_jumps_stops_the_device(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	g->ring[1].avail[1] = g->ring[1].next + TX_NUM + 1;
	fake_kick(&g->ring[1]);
	expect_broken(g, 1, fd, "the available index went");
}

static void a_receive_buffer_without_room_stops_the_device(void **state)
{
	struct guest *g = *state;
	int fd;

	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	g->rx_slots = 0;
	guest_start(g);
	offer_desc(g, 0, 0, (struct vring_desc){RX_AT, 43, VRING_DESC_WRITE, 0});
	fd = connect_unix(g->uds);
	host_send(fd, "CONNECT 5000\n");
	g->rx_slots = 64;
	expect_broken(g, 0, fd, "a buffer of 43 bytes");
}

static void what_is_no_packet_is_dropped(void **state)
{
	struct guest *g = *state;
	uint32_t id, len;

	/* Too short, empty, and only to be written. */
	offer_desc(g, 1, 0, (struct vring_desc){TX_AT, 43, 0, 0});
	offer_desc(g, 1, 8, (struct vring_desc){TX_AT, 0, 0, 0});
	offer_desc(g, 1, 16, (struct vring_desc){TX_AT, 100, VRING_DESC_WRITE, 0});
	for (int i = 0; i < 3; i++) {
		while (!fake_reap(g, 1, &id, &len))
			fake_wait(g, 1);
		assert_int_equal(len, 0);
	}
	guest_expect_nothing(g);
	assert_true(log_has(g, "which is no packet"));
}

static void a_packet_longer_than_its_descriptors_resets(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	struct packet rw = guest_packet(PACKET_RW, 5000, port, 1000);
	uint8_t head[PACKET_HEADER_SIZE];
	uint32_t id, len;

	packet_encode(&rw, head);
	guest_offer_tx(g, 3, head, head, 10, 1);
	while (!fake_reap(g, 1, &id, &len))
		fake_wait(g, 1);
	guest_expect(g, PACKET_RST, 5000, port);
	host_expect_eof(fd);
	close(fd);
}

/* Answers pile up while the guest gives no buffers: none is lost, memory is bounded. */
static void packets_are_taken_while_the_guest_gives_no_buffers(void **state)
{
	struct guest *g = *state;
	uint8_t head[PACKET_HEADER_SIZE];
	uint32_t id, len, taken = 0, offered = 0, resets = 0;
	struct packet packet;

	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	g->rx_slots = 0;
	guest_start(g);
	/* 256 answers are kept, what needs a further one waits in the ring. */
	while (taken < 256) {
		packet = guest_packet(PACKET_RW, 1000 + offered, 9, 0);
		packet_encode(&packet, head);
		guest_offer_tx(g, offered++ % TX_SLOTS, head, head, 0, 1);
		while (!fake_reap(g, 1, &id, &len))
			fake_wait(g, 1);
		taken++;
	}
	for (int i = 0; i < 20; i++) {
		packet = guest_packet(PACKET_RW, 1000 + offered, 9, 0);
		packet_encode(&packet, head);
		guest_offer_tx(g, offered++ % TX_SLOTS, head, head, 0, 1);
	}
	/* Now there is room: every one is answered, in order. */
	for (unsigned int i = 0; i < 8; i++)
		guest_offer_rx(g, i);
	while (resets < offered) {
		guest_receive(g, &packet, NULL);
		assert_int_equal(packet.op, PACKET_RST);
		assert_int_equal(packet.dst_port, 1000 + resets);
		resets++;
	}
	while (taken < offered) {
		while (!fake_reap(g, 1, &id, &len))
			fake_wait(g, 1);
		taken++;
	}
	guest_expect_nothing(g);
}

/* Data goes out while nothing can come in. */
static void a_guest_without_buffers_can_still_send(void **state)
{
	struct guest *g = *state;
	struct packet rw;
	int fd = join_out(g, 1234, 6000);
	static uint8_t blob[1 << 20];

	/* Fill every buffer the guest has given and give none back. */
	wait_until(send(fd, blob, sizeof(blob), MSG_DONTWAIT) < 0 &&
		   fake_unseen(g, 0) == g->rx_slots);
	for (int i = 0; i < 10; i++) {
		rw = guest_packet(PACKET_RW, 1234, 6000, 5);
		guest_send(g, &rw, "still");
		host_expect(fd, "still");
	}
	close(fd);
}

static void the_end_of_the_front_end_closes_all_and_the_next_is_served(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port), half = connect_unix(g->uds);

	host_send(half, "CONN");
	close(g->front);
	g->front = -1;
	host_expect_eof(fd);
	host_expect_closed(half);
	close(fd);
	close(half);
	for (int i = 0; i < 3; i++) {
		guest_connect(g);
		guest_start(g);
		fd = join_in(g, 5000, &port);
		close(fd);
	}
}

static void a_second_front_end_is_turned_away(void **state)
{
	struct guest *g = *state;
	int second = connect_unix(g->vhost_user);
	uint32_t port;
	char byte;

	wait_fd(second, POLLIN);
	assert_true(recv(second, &byte, 1, 0) <= 0);
	close(second);
	close(join_in(g, 5000, &port));
}

static void a_reboot_closes_and_a_pause_does_not(void **state)
{
	struct guest *g = *state;
	char payload[4096];
	struct packet packet;
	uint32_t base[2];
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	for (unsigned int i = 0; i < 2; i++)
		base[i] = guest_stop_ring(g, i);
	host_send(fd, "meanwhile");
	for (unsigned int i = 0; i < 2; i++)
		guest_start_ring(g, i, base[i]);
	guest_receive(g, &packet, payload);
	assert_int_equal(packet.op, PACKET_RW);
	assert_memory_equal(payload, "meanwhile", 9);

	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	guest_start(g);
	host_expect_eof(fd);
	close(fd);
	guest_expect_nothing(g);
}

static void a_device_reset_closes_at_once(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	assert_int_equal(front_ask(g, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	host_expect_eof(fd);
	close(fd);
	guest_start(g);
	close(join_in(g, 5000, &port));
}

static void a_kick_descriptor_that_cannot_be_kicked_ends_the_front_end(void **state)
{
	struct guest *g = *state;
	uint64_t index = 1;
	uint32_t port;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	close(ends[1]);
	front_message(g, VHOST_USER_SET_VRING_KICK, VHOST_USER_VERSION, &index, 8, ends,
		      1);
	assert_true(front_is_closed(g));
	close(ends[0]);
	guest_connect(g);
	guest_start(g);
	close(join_in(g, 5000, &port));
}

/* Nothing can be done without it; the end must be one that is told. */
static void memory_that_is_taken_away_ends_the_daemon(void **state)
{
	struct guest *g = *state;

	assert_int_equal(ftruncate(g->memfd, 0), 0);
	fake_kick(&g->ring[1]);
	assert_int_equal(daemon_wait(g), 1);
	assert_true(log_has(g, "the guest's memory was taken away"));
}

/* Random rings: whatever is in them, the daemon lives and serves the next driver. */
static void rings_full_of_noise_do_no_harm(void **state)
{
	struct guest *g = *state;
	unsigned int seed = (unsigned int)now_ms();

	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 200; round++) {
		for (unsigned int i = 0; i < TX_NUM; i++)
			g->ring[1].desc[i] = (struct vring_desc){
				.addr = random() % 4 ? TX_AT + random() % 100000
						     : (uint64_t)random() << 33,
				.len = random() % 3 ? random() % 5000 : random(),
				.flags = random() % 8,
				.next = random() % (TX_NUM + 8),
			};
		for (size_t i = 0; i < 100000; i += 4) {
			uint32_t word = (uint32_t)random();

			memcpy(guest_ptr(g, TX_AT + i), &word, 4);
		}
		for (int i = 0; i < 20; i++)
			g->ring[1].avail[2 + random() % TX_NUM] = random() % TX_NUM;
		g->ring[1].avail[1] += random() % 300;
		fake_kick(&g->ring[1]);
		serves_after_a_restart(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(a_loop_of_descriptors_stops_the_device),
		test_guest(a_descriptor_outside_the_table_stops_the_device),
		test_guest(memory_that_is_not_the_guests_stops_the_device),
		test_guest(an_available_index_that_jumps_stops_the_device),
		test_guest(a_receive_buffer_without_room_stops_the_device),
		test_guest(what_is_no_packet_is_dropped),
		test_guest(a_packet_longer_than_its_descriptors_resets),
		test_guest(packets_are_taken_while_the_guest_gives_no_buffers),
		test_guest(a_guest_without_buffers_can_still_send),
		test_guest(the_end_of_the_front_end_closes_all_and_the_next_is_served),
		test_guest(a_second_front_end_is_turned_away),
		test_guest(a_reboot_closes_and_a_pause_does_not),
		test_guest(a_device_reset_closes_at_once),
		test_guest(a_kick_descriptor_that_cannot_be_kicked_ends_the_front_end),
		test_guest(memory_that_is_taken_away_ends_the_daemon),
		test_guest(rings_full_of_noise_do_no_harm),
	};

	return cmocka_run_group_tests_name("device: hostile", tests, NULL, NULL);
}
