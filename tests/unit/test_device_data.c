/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes both ways: descriptors, credit, slow readers. */
#include "fake_flow.h"

/* Both directions at once, sizes and descriptor counts of all kinds. */
static void move_both_ways(struct guest *g, uint64_t total)
{
	uint64_t end = now_ms() + PATIENCE;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port);
	unsigned int turn = 0;

	while (f.host_received < total || f.received < total) {
		uint32_t len = 1 + turn * 7919 % 65536;

		assert_true(now_ms() < end);
		host_write_some(fd, &f, total);
		flow_receive(g, &f);
		if (len > total - f.sent)
			len = (uint32_t)(total - f.sent);
		if (len && flow_send(g, &f, len, 1 + turn % TX_DESCS))
			turn++;
		/* A reader that is at times slower than what comes. */
		if (turn % 16 > 4 || f.sent == total)
			host_read_some(fd, &f);
	}
	close(fd);
}

static void data_flows_both_ways_with_every_ring_feature(void **state)
{
	struct guest *g = *state;

	for (unsigned int i = 0; i < 8; i++) {
		g->features = VHOST_USER_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES |
			      VRING_F_INDIRECT_DESC;
		if (i & 1)
			g->features |= VRING_F_EVENT_IDX;
		g->use_indirect = i & 2;
		g->rx_parts = i & 4 ? 3 : 1;
		g->rx_slots = i & 4 ? 40 : 128;
		guest_start(g);
		move_both_ways(g, 6 << 20);
		guest_stop_ring(g, 0);
		guest_stop_ring(g, 1);
	}
}

static void a_packet_may_come_in_one_to_eight_descriptors(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port);

	for (unsigned int indirect = 0; indirect < 2; indirect++) {
		g->use_indirect = indirect;
		for (unsigned int parts = 1; parts <= TX_DESCS; parts++) {
			/* With 20 bytes of data even the header is in pieces. */
			assert_true(flow_send(g, &f, 20, parts));
			assert_true(flow_send(g, &f, 60000, parts));
			while (f.host_received < f.sent)
				host_read_some(fd, &f);
			flow_receive(g, &f);
		}
	}
	close(fd);
}

static void a_received_packet_says_exactly_how_long_it_is(void **state)
{
	struct guest *g = *state;
	static uint8_t payload[RX_STRIDE];
	struct packet packet;
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	/* guest_receive() compares the used length with the header's. */
	for (unsigned int len = 1; len < 3732; len += 373) {
		uint8_t buf[3732];

		fill(buf, len, len);
		assert_int_equal(send(fd, buf, len, 0), len);
		guest_receive(g, &packet, payload);
		assert_int_equal(packet.op, PACKET_RW);
		assert_int_equal(packet.len, len);
		check(payload, len, len);
	}
	close(fd);
}

static void a_guest_that_runs_out_of_credit_is_told_when_there_is_room(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port);
	struct packet packet;

	/* To the last byte of credit, with nobody reading. */
	while (flow_send(g, &f, 32768, 2))
		flow_receive(g, &f);
	flow_receive(g, &f);
	assert_int_equal((uint32_t)f.sent - f.peer_fwd, f.peer_alloc);
	/* The reader comes: the guest hears of it without asking. */
	while (f.host_received < f.sent)
		host_read_some(fd, &f);
	do
		packet = guest_expect(g, PACKET_CREDIT_UPDATE, 5000, f.host_port);
	while ((uint32_t)f.sent - packet.fwd_cnt > packet.buf_alloc / 2);
	close(fd);
}

static void credit_counts_only_what_the_host_program_can_read(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port), queued;
	struct packet ask = guest_packet(PACKET_CREDIT_REQUEST, 5000, f.host_port, 0);
	struct packet answer;

	while (flow_send(g, &f, 32768, 2))
		flow_receive(g, &f);
	flow_receive(g, &f);
	guest_send(g, &ask, NULL);
	answer = guest_expect(g, PACKET_CREDIT_UPDATE, 5000, f.host_port);
	/* What is in the socket, to the byte; the rest waits in the daemon. */
	queued = 0;
	for (;;) {
		static uint8_t all[4 << 20];
		ssize_t n = recv(fd, all, sizeof(all), MSG_PEEK | MSG_DONTWAIT);

		assert_true(n > 0);
		queued = (int)n;
		break;
	}
	assert_int_equal(answer.fwd_cnt, queued);
	close(fd);
}

static void more_than_the_credit_resets_that_connection_only(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port), other = join_out(g, 1234, 6000);
	struct packet rw;
	static uint8_t payload[65536];

	while (flow_send(g, &f, 32768, 2))
		flow_receive(g, &f);
	flow_receive(g, &f);
	rw = guest_packet(PACKET_RW, 5000, f.host_port, 1);
	guest_send(g, &rw, payload);
	guest_expect(g, PACKET_RST, 5000, f.host_port);
	rw = guest_packet(PACKET_RW, 1234, 6000, 2);
	guest_send(g, &rw, "ok");
	host_expect(other, "ok");
	close(fd);
	close(other);
}

static void a_window_that_the_guest_shrinks_holds_the_host_back(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	struct packet update = guest_packet(PACKET_CREDIT_UPDATE, 5000, port, 0),
		      packet;
	static uint8_t payload[RX_STRIDE];

	update.buf_alloc = 100;
	guest_send(g, &update, NULL);
	for (int i = 0; i < 50; i++)
		host_send(fd, "0123456789");
	uint32_t got = 0;
	while (got < 100) {
		guest_receive(g, &packet, payload);
		if (packet.op == PACKET_RW)
			got += packet.len;
	}
	assert_int_equal(got, 100);
	/* Smaller than what is on its way: nothing more until both fit again. */
	update.buf_alloc = 40;
	update.fwd_cnt = 30;
	guest_send(g, &update, NULL);
	update.fwd_cnt = 90;
	guest_send(g, &update, NULL);
	do
		guest_receive(g, &packet, payload);
	while (packet.op != PACKET_RW);
	assert_int_equal(packet.len, 30);
	close(fd);
}

/* Linux resets a connection on which too many small packets wait to be read. */
static void small_packets_are_metered_by_their_number(void **state)
{
	struct guest *g = *state;
	uint32_t port, packets = 0, asked = 0, bytes = 0;
	int fd = join_in(g, 5000, &port);
	static uint8_t payload[RX_STRIDE];
	struct packet packet;

	/* One byte at a time, each taken by the daemon before the next is written. */
	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(send(fd, "x", 1, 0), 1);
		while (packets < 256) {
			guest_receive(g, &packet, payload);
			asked += packet.op == PACKET_CREDIT_REQUEST;
			if (packet.op != PACKET_RW)
				continue;
			packets++;
			bytes += packet.len;
			break;
		}
	}
	/* So many on their way, and none more before the guest was asked. */
	assert_int_equal(bytes, 256);
	assert_true(asked >= 1);
	/* A program that waits for all of them gets them, in few packets. */
	while (bytes < 1000) {
		guest_receive(g, &packet, payload);
		packets += packet.op == PACKET_RW;
		bytes += packet.len;
	}
	assert_true(packets <= 256 + 128);
	close(fd);
}

static void a_slow_reader_does_not_stop_another_connection(void **state)
{
	struct guest *g = *state;
	struct flow slow = flow_of(5000, 0);
	int fd = join_in(g, 5000, &slow.host_port), other;

	while (flow_send(g, &slow, 65536, 2))
		;
	flow_receive(g, &slow);
	other = join_out(g, 1234, 6000);
	struct flow f = flow_of(1234, 6000);
	while (f.host_received < 4 << 20) {
		flow_send(g, &f, 65536, 3);
		host_read_some(other, &f);
		flow_receive(g, &f);
	}
	/* And it has lost nothing by it. */
	while (slow.host_received < slow.sent)
		host_read_some(fd, &slow);
	close(fd);
	close(other);
}

/* Two streams share the guest's buffers: none is ever far ahead of the other. */
static void connections_take_turns(void **state)
{
	struct guest *g = *state;
	static const uint8_t block[65536];
	static uint8_t payload[RX_STRIDE];
	uint32_t port[2], got[2] = {0};
	struct packet packet;
	int fd[2];

	for (int i = 0; i < 2; i++)
		fd[i] = join_in(g, 5000 + i, &port[i]);
	/* Both sockets are full, and the few buffers taken, before more come. */
	for (int i = 0; i < 2; i++)
		wait_until(send(fd[i], block, sizeof(block), MSG_DONTWAIT) < 0 &&
			   fake_unseen(g, 0) == g->rx_slots);
	for (unsigned int i = g->rx_slots; i < RX_NUM; i++)
		guest_put_rx(g, i);
	fake_publish(g, 0);
	for (unsigned int i = 0; i < RX_NUM * 3 / 4; i++) {
		guest_receive(g, &packet, payload);
		if (packet.op != PACKET_RW || i < g->rx_slots)
			continue;
		got[packet.dst_port - 5000] += packet.len;
		/* A turn is 64 KiB. */
		assert_true(got[0] <= got[1] + 65536 && got[1] <= got[0] + 65536);
	}
	for (int i = 0; i < 2; i++)
		close(fd[i]);
}

/* The guest's program does not read: its window is full, others go on. */
static void a_guest_program_that_does_not_read_stops_only_itself(void **state)
{
	struct guest *g = *state;
	struct packet packet;
	static uint8_t payload[RX_STRIDE];
	uint64_t end = now_ms() + PATIENCE;
	uint32_t port, got = 0, other_got = 0;
	int fd = join_in(g, 5000, &port), other = join_out(g, 1234, 6000);
	static const uint8_t block[65536];

	while (got < GUEST_BUFALLOC || other_got < 100000) {
		assert_true(now_ms() < end);
		if (send(fd, block, sizeof(block), MSG_DONTWAIT) < 0)
			assert_int_equal(errno, EAGAIN);
		if (other_got < 100000 && send(other, block, 1000, MSG_DONTWAIT) < 0)
			assert_int_equal(errno, EAGAIN);
		while (guest_try_receive(g, &packet, payload)) {
			if (packet.op != PACKET_RW)
				continue;
			if (packet.dst_port == 5000)
				got += packet.len;
			else
				other_got += packet.len;
		}
		assert_true(got <= GUEST_BUFALLOC);
	}
	assert_int_equal(got, GUEST_BUFALLOC);
	close(fd);
	close(other);
}

/* Puts a packet into the ring while the daemon sleeps; it comes with the others. */
static void offer(struct guest *g, unsigned int slot, const struct packet *packet,
		  const void *payload)
{
	uint8_t head[PACKET_HEADER_SIZE];

	packet_encode(packet, head);
	guest_offer_tx(g, slot, head, payload, packet->len, 1 + random() % TX_DESCS);
}

static void offer_some(struct guest *g, struct flow f[2], unsigned int count)
{
	static uint8_t payload[4000];
	unsigned int slot = g->ring[1].next % TX_SLOTS, which = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct packet packet;

		if (random() % 4 == 0)
			which = !which;
		packet = guest_packet(random() % 10 ? PACKET_RW : PACKET_CREDIT_REQUEST,
				      f[which].guest_port, f[which].host_port, 0);
		if (packet.op == PACKET_RW && random() % 10)
			packet.len = 1 + random() % sizeof(payload);
		fill(payload, packet.len, f[which].sent);
		f[which].sent += packet.len;
		offer(g, (slot + i) % TX_SLOTS, &packet, payload);
	}
}

/* Runs of two connections, with all kinds of packets between them, in one go. */
static void packets_that_come_together_stay_in_order(void **state)
{
	struct guest *g = *state;
	unsigned int seed = (unsigned int)now_ms();
	struct flow f[2] = {flow_of(5000, 0), flow_of(5001, 0)};
	struct packet end, packet;
	int fd[2];

	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 2; i++)
		fd[i] = join_in(g, f[i].guest_port, &f[i].host_port);
	for (int round = 0; round < 100; round++) {
		unsigned int count = 1 + random() % (TX_SLOTS - 1);
		uint32_t id, len;

		assert_int_equal(kill(g->pid, SIGSTOP), 0);
		offer_some(g, f, count - (round == 99));
		if (round == 99) {
			end = guest_packet(PACKET_SHUTDOWN, f[0].guest_port,
					   f[0].host_port, 0);
			end.flags = PACKET_SHUT_SEND;
			offer(g, g->ring[1].next % TX_SLOTS, &end, NULL);
		}
		assert_int_equal(kill(g->pid, SIGCONT), 0);
		while (count--) {
			while (!fake_reap(g, 1, &id, &len))
				fake_wait(g, 1);
			assert_int_equal(len, 0);
		}
		for (int i = 0; i < 2; i++) {
			while (f[i].host_received < f[i].sent)
				host_read_some(fd[i], &f[i]);
		}
		while (guest_try_receive(g, &packet, NULL))
			assert_int_equal(packet.op, PACKET_CREDIT_UPDATE);
	}
	host_expect_eof(fd[0]);
	for (int i = 0; i < 2; i++)
		close(fd[i]);
}

static void send_with(int fd, const char *text, int flags, int passed)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(char *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (passed >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, flags), strlen(text));
}

/* Reads stop short at descriptors and marks, and the rest comes all the same. */
static void what_stops_a_read_does_not_stop_the_bytes(void **state)
{
	struct guest *g = *state;
	static uint8_t payload[RX_STRIDE];
	char text[400] = "";
	unsigned int before;
	struct packet packet;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	size_t got = 0, expected = 0;

	before = proc_count_files(g->pid);
	for (int i = 0; i < 20; i++) {
		send_with(fd, "a", 0, -1);
		send_with(fd, "b", 0, fd);
		send_with(fd, "c", 0, -1);
		expected += 3;
		/* What is sent out of band is not of the stream. */
		if (send(fd, "x", 1, MSG_OOB) == 1) {
			send_with(fd, "d", 0, -1);
			expected++;
		}
		while (got < expected) {
			guest_receive(g, &packet, payload);
			if (packet.op != PACKET_RW)
				continue;
			memcpy(text + got, payload, packet.len);
			got += packet.len;
		}
	}
	assert_null(strpbrk(text, "x"));
	assert_memory_equal(text, "abc", 3);
	assert_int_equal(proc_count_files(g->pid), before);
	close(fd);
}

static int setup_few_buffers(void **state)
{
	struct guest *g = guest_new();

	g->rx_slots = 2;
	guest_start(g);
	*state = g;
	return 0;
}

#define test_guest_with_few_buffers(name) \
	cmocka_unit_test_setup_teardown(name, setup_few_buffers, teardown_guest)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_daemon(data_flows_both_ways_with_every_ring_feature),
		test_guest(a_packet_may_come_in_one_to_eight_descriptors),
		test_guest(a_received_packet_says_exactly_how_long_it_is),
		test_guest(a_guest_that_runs_out_of_credit_is_told_when_there_is_room),
		test_guest(credit_counts_only_what_the_host_program_can_read),
		test_guest(more_than_the_credit_resets_that_connection_only),
		test_guest(a_window_that_the_guest_shrinks_holds_the_host_back),
		test_guest(small_packets_are_metered_by_their_number),
		test_guest(a_slow_reader_does_not_stop_another_connection),
		test_guest_with_few_buffers(connections_take_turns),
		test_guest(a_guest_program_that_does_not_read_stops_only_itself),
		test_guest(what_stops_a_read_does_not_stop_the_bytes),
		test_guest(packets_that_come_together_stay_in_order),
	};

	return cmocka_run_group_tests_name("device: data", tests, NULL, NULL);
}
