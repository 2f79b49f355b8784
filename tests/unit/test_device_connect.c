/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, refusing and closing connections, through the daemon's own sockets. */
#include "fake_guest.h"

#include <grp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void the_ok_line_comes_only_after_the_guest_accepted(void **state)
{
	struct guest *g = *state;
	int fd = connect_unix(g->uds);
	struct packet packet, response;

	host_send(fd, "CONNECT 5000\n");
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.type, PACKET_STREAM);
	assert_int_equal(packet.dst_port, 5000);
	if (geteuid() == 0)
		assert_true(packet.src_port > 0 && packet.src_port < 1024);
	else
		assert_true(packet.src_port >= 1u << 30);
	assert_int_equal(packet.buf_alloc, 256 * 1024);
	guest_expect_nothing(g);
	assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
	response = guest_packet(PACKET_RESPONSE, 5000, packet.src_port, 0);
	guest_send(g, &response, NULL);
	assert_int_equal(host_read_ok(fd), packet.src_port);
	close(fd);
}

/* A host program of that user and group connects; the port that the guest sees. */
static uint32_t port_of(struct guest *g, uid_t uid, gid_t group)
{
	struct packet packet;
	pid_t child = fork();
	uint32_t port;
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		if (setgroups(1, &group) || setresgid(uid, uid, uid) ||
		    setresuid(uid, uid, uid))
			_exit(1);
		host_send(connect_unix(g->uds), "CONNECT 5000\n");
		pause(); /* its end would be a reset */
	}
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	port = packet.src_port;
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_RST);
	return port;
}

static void only_root_and_the_group_get_privileged_ports(void **state)
{
	struct guest *g = *state;
	char dir[sizeof(g->uds)];

	if (geteuid() != 0)
		skip(); /* nobody else can become somebody else */
	strcpy(dir, g->uds);
	*strrchr(dir, '/') = '\0';
	assert_int_equal(chmod(dir, 0711) | chmod(g->uds, 0666), 0);
	assert_true(port_of(g, 65534, 65534) >= 1u << 30);
	assert_in_range(port_of(g, 65534, FRONT_PRIVILEGED_GROUP), 1, 1023);
}

static void host_ports_of_live_connections_differ(void **state)
{
	struct guest *g = *state;
	uint32_t port[20];
	int fd[20];

	for (int i = 0; i < 20; i++) {
		fd[i] = join_in(g, 5000, &port[i]);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(port[i], port[j]);
	}
	for (int i = 0; i < 20; i++)
		close(fd[i]);
}

static void a_connect_line_may_come_in_pieces_and_in_lower_case(void **state)
{
	static const char *const piece[] = {"con", "nect 50", "00", "\n"};
	struct guest *g = *state;
	int fd = connect_unix(g->uds);

	for (int i = 0; i < 4; i++) {
		host_send(fd, piece[i]);
		if (i < 3)
			guest_expect_nothing(g);
	}
	struct packet packet;
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.dst_port, 5000);
	close(fd);
}

static void bytes_behind_the_connect_line_reach_the_guest(void **state)
{
	struct guest *g = *state;
	int fd = connect_unix(g->uds);
	char payload[4096];
	struct packet packet, response;

	host_send(fd, "CONNECT 5000\nhello");
	guest_receive(g, &packet, NULL);
	response = guest_packet(PACKET_RESPONSE, 5000, packet.src_port, 0);
	guest_send(g, &response, NULL);
	host_read_ok(fd);
	guest_receive(g, &packet, payload);
	assert_int_equal(packet.op, PACKET_RW);
	assert_int_equal(packet.len, 5);
	assert_memory_equal(payload, "hello", 5);
	close(fd);
}

/* Written, and gone: what was written is still the guest's. */
static void a_program_that_leaves_before_the_answer_is_still_heard(void **state)
{
	struct guest *g = *state;
	int fd = connect_unix(g->uds);
	char payload[4096];
	struct packet packet, response;

	host_send(fd, "CONNECT 5000\nlast words");
	close(fd);
	guest_receive(g, &packet, NULL);
	response = guest_packet(PACKET_RESPONSE, 5000, packet.src_port, 0);
	guest_send(g, &response, NULL);
	do
		guest_receive(g, &packet, payload);
	while (packet.op == PACKET_SHUTDOWN && packet.flags == PACKET_SHUT_RCV);
	assert_int_equal(packet.op, PACKET_RW);
	assert_memory_equal(payload, "last words", 10);
	guest_receive(g, &packet, payload);
	assert_int_equal(packet.op, PACKET_SHUTDOWN);
	assert_int_equal(packet.flags, PACKET_SHUT_BOTH);
}

static void a_program_that_leaves_without_a_byte_is_forgotten(void **state)
{
	struct guest *g = *state;
	int fd = connect_unix(g->uds);
	struct packet packet;

	host_send(fd, "CONNECT 5000\n");
	guest_receive(g, &packet, NULL);
	close(fd);
	guest_expect(g, PACKET_RST, 5000, packet.src_port);
}

static void wrong_lines_are_closed(void **state)
{
	static const char *const line[] = {
		"GET / HTTP/1.1\r\n",
		"CONNECT\n",
		"CONNECT 4294967296\n",
		"CONNECT -1\n",
		"CONNECT 5000 \n",
		"CONNECT                                                  ",
		"\n",
	};
	struct guest *g = *state;

	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
		int fd = connect_unix(g->uds);

		host_send(fd, line[i]);
		host_expect_closed(fd);
		close(fd);
	}
	/* Half a line and no more to come. */
	int fd = connect_unix(g->uds);
	host_send(fd, "CONNECT 50");
	shutdown(fd, SHUT_WR);
	host_expect_closed(fd);
	close(fd);
	guest_expect_nothing(g);
}

static void a_guest_that_refuses_closes_the_host_program(void **state)
{
	struct guest *g = *state;
	int fd = connect_unix(g->uds);
	struct packet packet, rst;

	host_send(fd, "CONNECT 5000\n");
	guest_receive(g, &packet, NULL);
	rst = guest_packet(PACKET_RST, 5000, packet.src_port, 0);
	guest_send(g, &rst, NULL);
	host_expect_eof(fd);
	guest_expect_nothing(g);
	close(fd);
}

static void the_guest_reaches_the_socket_of_a_host_port(void **state)
{
	struct guest *g = *state;
	int fd = join_out(g, 1234, 6000);
	struct packet rw = guest_packet(PACKET_RW, 1234, 6000, 5);
	char payload[4096];
	struct packet packet;

	guest_send(g, &rw, "hello");
	host_expect(fd, "hello");
	host_send(fd, "world");
	guest_receive(g, &packet, payload);
	assert_int_equal(packet.op, PACKET_RW);
	assert_int_equal(packet.len, 5);
	assert_int_equal(packet.fwd_cnt, 5);
	assert_memory_equal(payload, "world", 5);
	close(fd);
}

static void rst_answers_a_request_to_an_absent_port(void **state)
{
	struct guest *g = *state;
	struct packet request = guest_packet(PACKET_REQUEST, 1234, 7777, 0);

	guest_send(g, &request, NULL);
	guest_expect(g, PACKET_RST, 1234, 7777);
}

static void a_full_queue_of_a_host_program_is_tried_again(void **state)
{
	struct guest *g = *state;
	struct packet request = guest_packet(PACKET_REQUEST, 1234, 6000, 0);
	int listener = listen_port(g, 6000), filler[2], fd;
	char path[100];

	/* As many as fit with a queue of 0. */
	assert_int_equal(listen(listener, 0), 0);
	snprintf(path, sizeof(path), "%s_6000", g->uds);
	filler[0] = connect_unix(path);
	assert_true(filler[0] >= 0);
	guest_send(g, &request, NULL);
	guest_expect_nothing(g);
	fd = accept_port(listener);
	filler[1] = accept_port(listener);
	assert_true(fd >= 0 && filler[1] >= 0);
	guest_expect(g, PACKET_RESPONSE, 1234, 6000);
	close(fd);
	close(filler[0]);
	close(filler[1]);
	close(listener);
}

static void rst_answers_what_belongs_to_no_connection(void **state)
{
	static const enum packet_op op[] = {PACKET_RESPONSE, PACKET_SHUTDOWN, PACKET_RW,
					    PACKET_CREDIT_UPDATE,
					    PACKET_CREDIT_REQUEST};
	struct guest *g = *state;
	struct packet packet;

	for (uint32_t i = 0; i < 5; i++) {
		packet = guest_packet(op[i], 100 + i, 200 + i, 0);
		guest_send(g, &packet, NULL);
		guest_expect(g, PACKET_RST, 100 + i, 200 + i);
	}
}

static void rst_is_never_answered_with_rst(void **state)
{
	struct guest *g = *state;
	struct packet packet = guest_packet(PACKET_RST, 1234, 6000, 0);

	guest_send(g, &packet, NULL);
	packet.type = 77;
	guest_send(g, &packet, NULL);
	packet.dst_cid = 9;
	guest_send(g, &packet, NULL);
	guest_expect_nothing(g);
}

static void rst_answers_unknown_types_operations_and_destinations(void **state)
{
	struct guest *g = *state;
	struct packet packet = guest_packet(PACKET_REQUEST, 1234, 6000, 0), rst;
	uint8_t bytes[4096];

	packet.type = 77;
	guest_send(g, &packet, NULL);
	rst = guest_expect(g, PACKET_RST, 1234, 6000);
	assert_int_equal(rst.type, 77);

	packet = guest_packet(PACKET_REQUEST, 1234, 6000, 0);
	packet.op = 99;
	guest_send(g, &packet, NULL);
	guest_expect(g, PACKET_RST, 1234, 6000);

	packet = guest_packet(PACKET_REQUEST, 1234, 6000, 0);
	packet.dst_cid = 5;
	guest_send(g, &packet, NULL);
	/* It comes from whom the guest spoke to. */
	uint32_t id, len;
	while (!fake_reap(g, 0, &id, &len))
		fake_wait(g, 0);
	memcpy(bytes, guest_ptr(g, RX_AT + (uint64_t)id * RX_STRIDE), len);
	packet_decode(&packet, bytes);
	assert_int_equal(packet.op, PACKET_RST);
	assert_int_equal(packet.src_cid, 5);
	assert_int_equal(packet.dst_cid, GUEST_CID);
}

static void packets_of_another_source_are_dropped(void **state)
{
	struct guest *g = *state;
	struct packet packet = guest_packet(PACKET_REQUEST, 1234, 7777, 0);

	packet.src_cid = GUEST_CID + 1;
	guest_send(g, &packet, NULL);
	packet.src_cid = PACKET_HOST_CID;
	guest_send(g, &packet, NULL);
	packet.src_cid = GUEST_CID | 1ULL << 32;
	guest_send(g, &packet, NULL);
	guest_expect_nothing(g);
	assert_true(log_has(g, "its source is not this guest"));
}

static void a_request_for_a_live_connection_ends_it(void **state)
{
	struct guest *g = *state;
	int fd = join_out(g, 1234, 6000);
	struct packet request = guest_packet(PACKET_REQUEST, 1234, 6000, 0);

	guest_send(g, &request, NULL);
	guest_expect(g, PACKET_RST, 1234, 6000);
	host_expect_eof(fd);
	close(fd);
}

static void without_a_guest_a_host_program_is_closed_at_once(void **state)
{
	struct guest *g = *state;
	int fd = connect_unix(g->uds);

	host_expect_closed(fd);
	close(fd);
	guest_connect(g);
	fd = connect_unix(g->uds);
	host_expect_closed(fd);
	close(fd);
	guest_start(g);
	uint32_t port;
	fd = join_in(g, 5000, &port);
	close(fd);
}

static void a_thousand_connections_leave_no_descriptor_behind(void **state)
{
	struct guest *g = *state;
	unsigned int before = proc_count_files(g->pid);

	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t port;
		int fd = i % 2 ? join_in(g, 5000, &port) : join_out(g, 3000 + i, 6000);
		struct packet rst = i % 2 ? guest_packet(PACKET_RST, 5000, port, 0)
					  : guest_packet(PACKET_RST, 3000 + i, 6000, 0);

		if (i % 4 < 2) {
			close(fd);
			guest_receive(g, &(struct packet){0}, (char[4096]){0});
			guest_send(g, &rst, NULL);
		} else {
			guest_send(g, &rst, NULL);
			host_expect_eof(fd);
			close(fd);
		}
	}
	guest_expect_nothing(g);
	wait_until(proc_count_files(g->pid) == before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(the_ok_line_comes_only_after_the_guest_accepted),
		test_guest(host_ports_of_live_connections_differ),
		test_guest(only_root_and_the_group_get_privileged_ports),
		test_guest(a_connect_line_may_come_in_pieces_and_in_lower_case),
		test_guest(bytes_behind_the_connect_line_reach_the_guest),
		test_guest(a_program_that_leaves_before_the_answer_is_still_heard),
		test_guest(a_program_that_leaves_without_a_byte_is_forgotten),
		test_guest(wrong_lines_are_closed),
		test_guest(a_guest_that_refuses_closes_the_host_program),
		test_guest(the_guest_reaches_the_socket_of_a_host_port),
		test_guest(rst_answers_a_request_to_an_absent_port),
		test_guest(a_full_queue_of_a_host_program_is_tried_again),
		test_guest(rst_answers_what_belongs_to_no_connection),
		test_guest(rst_is_never_answered_with_rst),
		test_guest(rst_answers_unknown_types_operations_and_destinations),
		test_guest(packets_of_another_source_are_dropped),
		test_guest(a_request_for_a_live_connection_ends_it),
		test_daemon(without_a_guest_a_host_program_is_closed_at_once),
		test_guest(a_thousand_connections_leave_no_descriptor_behind),
	};

	return cmocka_run_group_tests_name("device: connections", tests, NULL, NULL);
}
