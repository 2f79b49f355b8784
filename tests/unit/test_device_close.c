/* SPDX-License-Identifier: Apache-2.0 */
/* Half-closes and closes of both sides, and what is on its way then. */
#include "fake_control.h"
#include "fake_flow.h"

static void the_guest_can_half_close(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	struct packet packet = guest_packet(PACKET_RW, 5000, port, 4);
	char payload[4096];

	guest_send(g, &packet, "last");
	packet = guest_packet(PACKET_SHUTDOWN, 5000, port, 0);
	packet.flags = PACKET_SHUT_SEND;
	guest_send(g, &packet, NULL);
	host_expect(fd, "last");
	host_expect_eof(fd);
	/* The other direction is open, as long as the host program likes. */
	host_send(fd, "reply");
	guest_receive(g, &packet, payload);
	assert_int_equal(packet.op, PACKET_RW);
	assert_memory_equal(payload, "reply", 5);
	/* When it is through too, both sides say goodbye. */
	close(fd);
	packet = guest_expect(g, PACKET_SHUTDOWN, 5000, port);
	assert_int_equal(packet.flags, PACKET_SHUT_BOTH);
	packet = guest_packet(PACKET_RST, 5000, port, 0);
	guest_send(g, &packet, NULL);
	guest_expect_nothing(g);
}

static void a_half_close_waits_for_what_was_sent_before(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port);
	struct packet shut = guest_packet(PACKET_SHUTDOWN, 5000, f.host_port, 0);

	while (flow_send(g, &f, 32768, 2))
		flow_receive(g, &f);
	shut.flags = PACKET_SHUT_SEND;
	guest_send(g, &shut, NULL);
	while (f.host_received < f.sent)
		host_read_some(fd, &f);
	host_expect_eof(fd);
	close(fd);
}

static void the_host_program_can_half_close(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	struct packet packet;
	char payload[4096];

	host_send(fd, "question");
	shutdown(fd, SHUT_WR);
	guest_receive(g, &packet, payload);
	assert_memory_equal(payload, "question", 8);
	packet = guest_expect(g, PACKET_SHUTDOWN, 5000, port);
	assert_int_equal(packet.flags, PACKET_SHUT_SEND);
	packet = guest_packet(PACKET_RW, 5000, port, 6);
	guest_send(g, &packet, "answer");
	host_expect(fd, "answer");
	/* Linux closes with both bits and waits for an RST. */
	packet = guest_packet(PACKET_SHUTDOWN, 5000, port, 0);
	packet.flags = PACKET_SHUT_BOTH;
	guest_send(g, &packet, NULL);
	guest_expect(g, PACKET_RST, 5000, port);
	host_expect_eof(fd);
	close(fd);
}

static void a_guest_that_closes_still_delivers_what_it_sent(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port);
	struct packet packet = guest_packet(PACKET_SHUTDOWN, 5000, f.host_port, 0);

	while (flow_send(g, &f, 32768, 2))
		flow_receive(g, &f);
	packet.flags = PACKET_SHUT_BOTH;
	guest_send(g, &packet, NULL);
	/* It loses patience before the reader comes. */
	packet = guest_packet(PACKET_RST, 5000, f.host_port, 0);
	guest_send(g, &packet, NULL);
	while (f.host_received < f.sent)
		host_read_some(fd, &f);
	host_expect_eof(fd);
	close(fd);
	guest_expect_nothing(g);
}

static void a_guest_that_reads_no_more_stops_the_host_program(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	struct packet packet = guest_packet(PACKET_SHUTDOWN, 5000, port, 0);

	packet.flags = PACKET_SHUT_RCV;
	guest_send(g, &packet, NULL);
	wait_until(send(fd, "x", 1, MSG_NOSIGNAL) < 0);
	assert_int_equal(errno, EPIPE);
	packet = guest_packet(PACKET_RW, 5000, port, 3);
	guest_send(g, &packet, "yet");
	host_expect(fd, "yet");
	close(fd);
}

static void data_behind_its_own_shutdown_resets(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, 5000, &port);
	struct packet packet = guest_packet(PACKET_SHUTDOWN, 5000, port, 0);

	packet.flags = PACKET_SHUT_SEND;
	guest_send(g, &packet, NULL);
	packet = guest_packet(PACKET_RW, 5000, port, 1);
	guest_send(g, &packet, "x");
	guest_expect(g, PACKET_RST, 5000, port);
	host_expect_eof(fd);
	close(fd);
}

static void a_host_program_that_closes_unread_is_no_harm(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	int fd = join_in(g, 5000, &f.host_port);
	static uint8_t payload[RX_STRIDE];
	struct packet packet;

	while (flow_send(g, &f, 32768, 2))
		flow_receive(g, &f);
	flow_receive(g, &f);
	close(fd);
	/* Told that nobody reads, or reset, which of the two the socket decides. */
	do
		guest_receive(g, &packet, payload);
	while (packet.op == PACKET_CREDIT_UPDATE);
	if (packet.op == PACKET_SHUTDOWN)
		assert_true(packet.flags & PACKET_SHUT_RCV);
	else
		assert_int_equal(packet.op, PACKET_RST);
}

/* The guest is rid of it at once, the daemon when the program has read it. */
static void what_a_socket_holds_is_waited_for(void **state)
{
	const uint64_t total = 288 * 1024;
	struct guest *g = *state;

	for (int way = 0; way < 2; way++) {
		struct flow f = flow_of(5000, 0);
		int fd = join_in(g, 5000, &f.host_port);
		unsigned int files = proc_count_files(g->pid);
		struct packet last = guest_packet(way ? PACKET_SHUTDOWN : PACKET_RST,
						  5000, f.host_port, 0);

		while (f.sent < total) {
			flow_send(g, &f, 32768, 2);
			flow_receive(g, &f);
		}
		/* The daemon is not done with the turn before it answers here. */
		front_get_u64(g, VHOST_USER_GET_FEATURES);
		flow_receive(g, &f);
		last.flags = way ? PACKET_SHUT_BOTH : 0;
		guest_send(g, &last, NULL);
		if (way)
			guest_expect(g, PACKET_RST, 5000, f.host_port);
		guest_expect_nothing(g);
		assert_non_null(
			strstr(control_ask(g->control, "list\n"), "\nstream linger "));
		while (f.host_received < f.sent)
			host_read_some(fd, &f);
		host_expect_eof(fd);
		wait_until(control_stat(g, "connections") == 0);
		wait_until(proc_count_files(g->pid) < files);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(the_guest_can_half_close),
		test_guest(a_half_close_waits_for_what_was_sent_before),
		test_guest(the_host_program_can_half_close),
		test_guest(a_guest_that_closes_still_delivers_what_it_sent),
		test_guest(what_a_socket_holds_is_waited_for),
		test_guest(a_guest_that_reads_no_more_stops_the_host_program),
		test_guest(data_behind_its_own_shutdown_resets),
		test_guest(a_host_program_that_closes_unread_is_no_harm),
	};

	return cmocka_run_group_tests_name("device: closing", tests, NULL, NULL);
}
