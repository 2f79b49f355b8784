/* SPDX-License-Identifier: Apache-2.0 */
/* Messages both ways: their borders, their bounds, and who is refused. */
#include "fake_flow.h"

#define SEQPACKET	  (1ULL << 1)
#define NO_IMPLIED_STREAM (1ULL << 2)

#define LONGEST (512u * 1024)

static struct packet seq_packet(enum packet_op op, uint32_t guest_port,
				uint32_t host_port, uint32_t len)
{
	struct packet packet = guest_packet(op, guest_port, host_port, len);

	packet.type = PACKET_SEQPACKET;
	return packet;
}

static struct guest *start_with(struct guest *g, uint64_t features)
{
	alarm(PATIENCE * 3 / 1000);
	g->features |= features;
	guest_start(g);
	return g;
}

static int setup(void **state)
{
	*state = start_with(guest_new(), SEQPACKET);
	return 0;
}

static int setup_small(void **state)
{
	struct limits limits = LIMITS_DEFAULT;

	limits.conn_buffer = 4096;
	*state = start_with(guest_new_limited(&limits), SEQPACKET);
	return 0;
}

static void seq_path(struct guest *g, char path[static 100])
{
	snprintf(path, 100, "%s.seqpacket", g->uds);
}

static int knock(struct guest *g, const char *line)
{
	char path[100];
	int fd;

	seq_path(g, path);
	fd = connect_type(path, SOCK_SEQPACKET);
	assert_true(fd >= 0);
	host_send(fd, line);
	return fd;
}

/* A host program connects to the guest's port 5000, which accepts. */
static int seq_join_in(struct guest *g, uint32_t *host_port)
{
	int fd = knock(g, "CONNECT 5000\n");
	char line[64] = "", want[64];
	struct packet packet, answer;

	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.type, PACKET_SEQPACKET);
	assert_int_equal(packet.dst_port, 5000);
	*host_port = packet.src_port;
	answer = seq_packet(PACKET_RESPONSE, 5000, packet.src_port, 0);
	guest_send(g, &answer, NULL);
	wait_fd(fd, POLLIN);
	snprintf(want, sizeof(want), "OK %u\n", packet.src_port);
	assert_int_equal(recv(fd, line, sizeof(line), 0), strlen(want));
	assert_string_equal(line, want);
	return fd;
}

static int seq_join_out(struct guest *g, uint32_t guest_port, uint32_t host_port)
{
	struct packet request = seq_packet(PACKET_REQUEST, guest_port, host_port, 0);
	int listener = listen_type(g, host_port, SOCK_SEQPACKET), fd;

	guest_send(g, &request, NULL);
	fd = accept_port(listener);
	close(listener);
	assert_int_equal(guest_expect(g, PACKET_RESPONSE, guest_port, host_port).type,
			 PACKET_SEQPACKET);
	return fd;
}

static void guest_say(struct guest *g, uint32_t host_port, const void *data,
		      uint32_t len, uint32_t flags)
{
	struct packet rw = seq_packet(PACKET_RW, 5000, host_port, len);

	rw.flags = flags;
	guest_send(g, &rw, data);
}

/* The next message at the host program. */
static size_t host_receive(int fd, void *buf, size_t size)
{
	ssize_t n;

	wait_fd(fd, POLLIN);
	n = recv(fd, buf, size, 0);
	assert_true(n >= 0);
	return n;
}

/*
 * The next message at the guest, put together from its packets, all of whose bytes
 * the guest then says it has consumed. 0 and false for what is no message.
 */
static bool guest_hear(struct guest *g, uint32_t host_port, uint32_t *consumed,
		       uint8_t *buf, size_t *len)
{
	struct packet packet, update;

	*len = 0;
	do {
		guest_receive(g, &packet, buf + *len);
		if (packet.op != PACKET_RW)
			return false;
		assert_int_equal(packet.type, PACKET_SEQPACKET);
		*len += packet.len;
		assert_true(*len <= GUEST_BUFALLOC);
	} while (!(packet.flags & PACKET_EOM));
	*consumed += *len;
	update = seq_packet(PACKET_CREDIT_UPDATE, 5000, host_port, 0);
	update.fwd_cnt = *consumed;
	guest_send(g, &update, NULL);
	return true;
}

static void packets_of_the_guest_make_one_message(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = seq_join_in(g, &port);
	char buf[64];

	guest_say(g, port, "one ", 4, 0);
	guest_say(g, port, "mess", 4, 0);
	guest_expect_nothing(g);
	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	guest_say(g, port, "age", 3, PACKET_EOM);
	guest_say(g, port, "more", 4, PACKET_EOM | PACKET_EOR);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 11);
	assert_memory_equal(buf, "one message", 11);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 4);
	close(fd);
}

static void a_message_of_the_host_ends_with_its_last_packet(void **state)
{
	static const size_t len[] = {1, 3732, 3733, 10000, 200000, 1, 65536, 262144, 7};
	static uint8_t sent[LONGEST], got[LONGEST];
	struct guest *g = *state;
	uint32_t consumed = 0;
	int fd = seq_join_out(g, 5000, 6000);
	size_t n;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){LONGEST}, sizeof(int));
	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		fill(sent, len[i], i * 1000);
		assert_int_equal(send(fd, sent, len[i], MSG_NOSIGNAL), len[i]);
		do
			n = 0;
		while (!guest_hear(g, 6000, &consumed, got, &n));
		assert_int_equal(n, len[i]);
		check(got, n, i * 1000);
	}
	close(fd);
}

static void a_message_waits_where_the_ring_has_few_buffers(void **state)
{
	static uint8_t sent[100000], got[100000 + 4096];
	struct guest *g = *state;
	uint32_t consumed = 0;
	size_t n;
	int fd;

	g->rx_slots = 2;
	g->rx_parts = 3;
	start_with(g, SEQPACKET);
	fd = seq_join_out(g, 5000, 6000);
	fill(sent, sizeof(sent), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(send(fd, sent, sizeof(sent) - i, 0), sizeof(sent) - i);
		while (!guest_hear(g, 6000, &consumed, got, &n))
			;
		assert_int_equal(n, sizeof(sent) - i);
		check(got, n, 0);
	}
	close(fd);
}

/* The rest of the message is given up with its connection, once. */
static void a_ring_that_breaks_within_a_message_ends_it(void **state)
{
	static char message[20000];
	struct guest *g = *state;
	uint32_t port;
	int fd;

	g->rx_slots = 2;
	start_with(g, SEQPACKET);
	fd = seq_join_in(g, &port);
	assert_int_equal(send(fd, message, sizeof(message), 0), sizeof(message));
	wait_until(fake_unseen(g, 0) == 2);
	/* One is for what the device has to say besides. */
	guest_put_rx(g, 0);
	g->ring[0].desc[1].addr = 1ULL << 60;
	fake_put(g, 0, 1);
	fake_publish(g, 0);
	host_expect_closed(fd);
	close(fd);
	wait_until(log_has(g, "broke its receive ring"));
	/* Its driver starts again, and the daemon is of use. */
	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	guest_start(g);
	close(seq_join_in(g, &port));
}

static void empty_messages_are_messages_and_the_end_is_none(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = seq_join_in(g, &port);
	struct packet packet;
	char buf[4096];

	guest_say(g, port, "", 0, PACKET_EOM);
	guest_say(g, port, "x", 1, PACKET_EOM);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 0);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 1);
	assert_int_equal(send(fd, "", 0, 0), 0);
	assert_int_equal(send(fd, "y", 1, 0), 1);
	assert_int_equal(send(fd, "", 0, 0), 0);
	close(fd);
	for (uint32_t i = 0; i < 3; i++) {
		do
			guest_receive(g, &packet, buf);
		while (packet.op != PACKET_RW);
		assert_int_equal(packet.len, i % 2);
		assert_int_equal(packet.flags, PACKET_EOM);
	}
	packet = guest_expect(g, PACKET_SHUTDOWN, 5000, port);
	assert_int_equal(packet.flags, PACKET_SHUT_BOTH);
}

static void a_half_close_comes_behind_the_messages(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = seq_join_in(g, &port);
	struct packet shut = seq_packet(PACKET_SHUTDOWN, 5000, port, 0);
	char buf[4096];

	guest_say(g, port, "last", 4, PACKET_EOM);
	guest_say(g, port, "half of one", 11, 0);
	shut.flags = PACKET_SHUT_SEND;
	guest_send(g, &shut, NULL);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 4);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 0);
	host_send(fd, "answer");
	guest_receive(g, &shut, buf);
	assert_int_equal(shut.op, PACKET_RW);
	assert_int_equal(shut.flags, PACKET_EOM);
	assert_memory_equal(buf, "answer", 6);
	assert_true(log_has(g, "11 bytes of it are dropped"));
	close(fd);
}

/* Sizes that have nothing in common with any buffer's. */
static uint32_t size_of(uint32_t i)
{
	return i % 7 == 3 ? 1 + i * 7919 % 30000 : i * 31 % 200;
}

static void messages_wait_for_a_host_program_that_does_not_read(void **state)
{
	static uint8_t data[65536];
	struct guest *g = *state;
	uint32_t port, sent = 0, count = 0;
	int fd = seq_join_in(g, &port);

	/* All the credit there is at first, and the socket's room. */
	while (sent + size_of(count) <= 256 * 1024) {
		uint32_t len = size_of(count);

		fill(data, len, count);
		if (len > 100) {
			guest_say(g, port, data, len / 2, 0);
			guest_say(g, port, data + len / 2, len - len / 2, PACKET_EOM);
		} else {
			guest_say(g, port, data, len, PACKET_EOM);
		}
		sent += len;
		count++;
	}
	assert_true(count > 50);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(host_receive(fd, data, sizeof(data)), size_of(i));
		check(data, size_of(i), i);
	}
	assert_int_equal(recv(fd, data, sizeof(data), MSG_DONTWAIT), -1);
	close(fd);
}

static void a_guest_that_closes_still_delivers_its_messages(void **state)
{
	static uint8_t data[1000];
	struct guest *g = *state;
	uint32_t port, count = 0;
	int fd = seq_join_in(g, &port);
	struct packet rst = seq_packet(PACKET_RST, 5000, port, 0), packet;

	for (; count < 256; count++) {
		fill(data, sizeof(data), count);
		guest_say(g, port, data, sizeof(data), PACKET_EOM);
	}
	guest_say(g, port, data, 10, 0);
	while (guest_try_receive(g, &packet, NULL))
		assert_int_equal(packet.op, PACKET_CREDIT_UPDATE);
	guest_send(g, &rst, NULL);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(host_receive(fd, data, sizeof(data)), sizeof(data));
		check(data, sizeof(data), i);
	}
	assert_int_equal(host_receive(fd, data, sizeof(data)), 0);
	close(fd);
	guest_expect_nothing(g);
}

static void a_guest_that_does_not_read_stops_the_host_program(void **state)
{
	static uint8_t data[65536];
	struct guest *g = *state;
	uint32_t consumed = 0, sent = 0, wanted = 4000;
	int fd = seq_join_out(g, 5000, 6000);
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	for (uint32_t i = 0; i < wanted;) {
		size_t n;

		while (sent < wanted && poll(&p, 1, 0) == 1) {
			fill(data, size_of(sent), sent);
			if (send(fd, data, size_of(sent), MSG_DONTWAIT) < 0)
				break;
			sent++;
		}
		if (!guest_hear(g, 6000, &consumed, data, &n))
			continue;
		assert_int_equal(n, size_of(i));
		check(data, n, i++);
	}
	close(fd);
}

static void a_message_longer_than_the_guests_window_resets(void **state)
{
	static uint8_t data[GUEST_BUFALLOC + 1];
	struct guest *g = *state;
	int fd = seq_join_out(g, 5000, 6000);

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){LONGEST}, sizeof(int));
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	guest_expect(g, PACKET_RST, 5000, 6000);
	host_expect_closed(fd);
	close(fd);
	assert_true(
		log_has(g, "a message of 262145 bytes is more than the guest takes"));
}

static void a_message_without_end_resets(void **state)
{
	static uint8_t data[4096];
	struct guest *g = *state;
	uint32_t port;
	int fd = seq_join_in(g, &port);

	guest_say(g, port, data, 4095, 0);
	guest_expect_nothing(g);
	guest_say(g, port, data, 1, 0);
	guest_expect(g, PACKET_RST, 5000, port);
	assert_true(log_has(g, "longer than --conn-buffer allows"));
	host_expect_closed(fd);
	close(fd);
	/* The very longest that has an end arrives. */
	fd = seq_join_in(g, &port);
	guest_say(g, port, data, 4000, 0);
	guest_say(g, port, data, 96, PACKET_EOM);
	assert_int_equal(host_receive(fd, data, sizeof(data)), 4096);
	close(fd);
}

static void what_is_left_of_the_credit_is_told_within_a_message(void **state)
{
	static uint8_t data[4096];
	struct guest *g = *state;
	uint32_t port;
	int fd = seq_join_in(g, &port);

	/* The window is all but used up, and the socket cannot take a part. */
	guest_say(g, port, data, 100, PACKET_EOM);
	guest_say(g, port, data, 3996, 0);
	assert_int_equal(guest_expect(g, PACKET_CREDIT_UPDATE, 5000, port).fwd_cnt,
			 100);
	guest_say(g, port, data, 50, PACKET_EOM);
	assert_int_equal(host_receive(fd, data, sizeof(data)), 100);
	assert_int_equal(host_receive(fd, data, sizeof(data)), 4046);
	close(fd);
}

static void a_flood_of_empty_messages_ends_in_a_reset(void **state)
{
	struct guest *g = *state;
	uint32_t port, count = 0;
	int fd = seq_join_in(g, &port);
	struct packet packet;

	while (!guest_try_receive(g, &packet, NULL)) {
		assert_true(++count < 100000);
		guest_say(g, port, "", 0, PACKET_EOM);
	}
	assert_int_equal(packet.op, PACKET_RST);
	assert_true(count > 4096);
	assert_true(log_has(g, "too many messages of the guest's"));
	close(fd);
}

static void a_guest_beyond_its_credit_is_reset(void **state)
{
	static uint8_t data[4097];
	struct guest *g = *state;
	uint32_t port;
	int fd = seq_join_in(g, &port);

	guest_say(g, port, data, sizeof(data), PACKET_EOM);
	guest_expect(g, PACKET_RST, 5000, port);
	close(fd);
}

static void a_line_is_a_message_of_its_own(void **state)
{
	static const char *const wrong[] = {"CONNECT 5000\nmore", "CONNECT 50",
					    "CONNECT 5000", "CONNECT 5000 FROM 7:1\n",
					    "GET"};
	char path[100], longer[200];
	struct guest *g = *state;
	int fd;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fd = knock(g, wrong[i]);
		host_expect_closed(fd);
		close(fd);
	}
	/* A right line and more than is looked at. */
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "CONNECT 5000\n", 13);
	seq_path(g, path);
	fd = connect_type(path, SOCK_SEQPACKET);
	send(fd, longer, sizeof(longer), 0);
	host_expect_closed(fd);
	close(fd);
	guest_expect_nothing(g);
}

static void each_type_keeps_to_its_own_sockets(void **state)
{
	struct guest *g = *state;
	struct packet request = seq_packet(PACKET_REQUEST, 5000, 6000, 0), rst;
	int listener = listen_port(g, 6000), stream, fd;
	uint32_t port;
	char buf[16];

	/* Messages to where streams are wanted, and the reverse. */
	guest_send(g, &request, NULL);
	rst = guest_expect(g, PACKET_RST, 5000, 6000);
	assert_int_equal(rst.type, PACKET_SEQPACKET);
	close(listener);
	listener = listen_type(g, 6000, SOCK_SEQPACKET);
	request.type = PACKET_STREAM;
	guest_send(g, &request, NULL);
	guest_expect(g, PACKET_RST, 5000, 6000);
	close(listener);
	/* Side by side they do not mix. */
	stream = join_in(g, 5000, &port);
	fd = seq_join_out(g, 5000, 6001);
	guest_say(g, 6001, "message", 7, PACKET_EOM);
	assert_int_equal(host_receive(fd, buf, sizeof(buf)), 7);
	request = guest_packet(PACKET_RW, 5000, port, 5);
	guest_send(g, &request, "bytes");
	host_expect(stream, "bytes");
	close(stream);
	close(fd);
}

static void a_packet_of_the_other_type_resets_its_connection(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int stream = join_in(g, 5000, &port), fd = seq_join_out(g, 5001, 6000);
	struct packet packet = seq_packet(PACKET_RST, 5000, port, 0);

	/* An RST of the wrong type is nobody's. */
	guest_send(g, &packet, NULL);
	guest_expect_nothing(g);
	packet = seq_packet(PACKET_RW, 5000, port, 1);
	guest_send(g, &packet, "x");
	guest_expect(g, PACKET_RST, 5000, port);
	host_expect_closed(stream);
	packet = guest_packet(PACKET_RW, 5001, 6000, 1);
	guest_send(g, &packet, "x");
	guest_expect(g, PACKET_RST, 5001, 6000);
	host_expect_closed(fd);
	close(stream);
	close(fd);
}

static void a_driver_without_messages_gets_none(void **state)
{
	struct guest *g = start_with(*state, 0);
	struct packet request = seq_packet(PACKET_REQUEST, 5000, 6000, 0);
	int listener = listen_type(g, 6000, SOCK_SEQPACKET), fd;
	char path[100];
	uint32_t port;

	guest_send(g, &request, NULL);
	assert_int_equal(guest_expect(g, PACKET_RST, 5000, 6000).type,
			 PACKET_SEQPACKET);
	seq_path(g, path);
	fd = connect_type(path, SOCK_SEQPACKET);
	host_expect_closed(fd);
	close(fd);
	fd = join_in(g, 5000, &port);
	close(fd);
	close(listener);
}

static void streams_need_to_be_known_where_they_are_not_implied(void **state)
{
	struct guest *g = start_with(*state, SEQPACKET | NO_IMPLIED_STREAM);
	struct packet request = guest_packet(PACKET_REQUEST, 5000, 6000, 0);
	int listener = listen_port(g, 6000), fd;
	uint32_t port;

	guest_send(g, &request, NULL);
	guest_expect(g, PACKET_RST, 5000, 6000);
	fd = connect_unix(g->uds);
	host_expect_closed(fd);
	close(fd);
	fd = seq_join_in(g, &port);
	close(fd);
	close(listener);
}

static void streams_that_are_known_need_not_be_implied(void **state)
{
	struct guest *g = start_with(*state, 1 | NO_IMPLIED_STREAM);
	uint32_t port;

	close(join_in(g, 5000, &port));
}

static void all_types_are_offered(void **state)
{
	struct guest *g = *state;

	guest_connect(g);
	assert_int_equal(front_get_u64(g, VHOST_USER_GET_FEATURES) & 7, 7);
}

int main(void)
{
#define t(name)	      cmocka_unit_test_setup_teardown(name, setup, teardown_guest)
#define t_small(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown_guest)
	const struct CMUnitTest tests[] = {
		t(packets_of_the_guest_make_one_message),
		t(a_message_of_the_host_ends_with_its_last_packet),
		test_daemon(a_message_waits_where_the_ring_has_few_buffers),
		test_daemon(a_ring_that_breaks_within_a_message_ends_it),
		t(empty_messages_are_messages_and_the_end_is_none),
		t(a_half_close_comes_behind_the_messages),
		t(messages_wait_for_a_host_program_that_does_not_read),
		t(a_guest_that_closes_still_delivers_its_messages),
		t(a_guest_that_does_not_read_stops_the_host_program),
		t(a_message_longer_than_the_guests_window_resets),
		t_small(a_message_without_end_resets),
		t_small(what_is_left_of_the_credit_is_told_within_a_message),
		t_small(a_flood_of_empty_messages_ends_in_a_reset),
		t_small(a_guest_beyond_its_credit_is_reset),
		t(a_line_is_a_message_of_its_own),
		t(each_type_keeps_to_its_own_sockets),
		t(a_packet_of_the_other_type_resets_its_connection),
		test_daemon(a_driver_without_messages_gets_none),
		test_daemon(streams_need_to_be_known_where_they_are_not_implied),
		test_daemon(streams_that_are_known_need_not_be_implied),
		test_daemon(all_types_are_offered),
	};

	return cmocka_run_group_tests_name("device: messages", tests, NULL, NULL);
}
