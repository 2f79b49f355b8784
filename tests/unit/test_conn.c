/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's states, its time-outs above all, which take no time here; the
 * table that it lives in, and the bytes that it keeps.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../transport/conn_open.h"
#include "../../transport/conn_table.h"

#define START 1000000u /* ms; where the clock of these tests begins */

enum {
	MANY = 5000
};

static const struct limits limits = {
	.max_connections = MANY,
	.conn_buffer = 256 * 1024,
	.buffer_total = 512 * 1024,
};

static struct conn_table table;
static int host; /* the host program's end */

static int new_pair(void)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	host = fd[0];
	return fd[1];
}

static struct conn *accepted(void)
{
	struct conn *conn = conn_table_add(&table);

	conn_accept(conn, new_pair(), ORIGIN_HOST, START);
	return conn;
}

static void from_host(struct conn *conn, const char *text)
{
	assert_int_equal(send(host, text, strlen(text), 0), strlen(text));
	conn_on_socket(conn, EPOLLIN, START);
}

static void from_guest(struct conn *conn, enum packet_op op, uint32_t flags,
		       const char *text)
{
	struct packet packet = {.op = op,
				.flags = flags,
				.len = (uint32_t)strlen(text),
				.buf_alloc = 256 * 1024};
	struct iovec iov = {(char *)text, strlen(text)};

	conn_on_packet(conn, &packet, &iov, 1, START);
}

/* The one packet that waits for the guest. */
static struct packet only(struct conn *conn, enum packet_op op)
{
	struct packet packet = {0}, more;

	assert_true(conn_next_packet(conn, &packet));
	assert_string_equal(packet_op_name(packet.op), packet_op_name(op));
	assert_false(conn_next_packet(conn, &more));
	return packet;
}

static struct conn *opened(void)
{
	struct conn *conn = accepted();

	from_host(conn, "CONNECT 5000\n");
	only(conn, PACKET_REQUEST);
	from_guest(conn, PACKET_RESPONSE, 0, "");
	assert_int_equal(conn->state, CONN_OPEN);
	assert_true(recv(host, &(char[40]){0}, 40, 0) > 4);
	return conn;
}

/* Fills the host program's socket until bytes stay in the connection. */
static void stuff(struct conn *conn)
{
	static char text[32769];

	memset(text, 'x', sizeof(text) - 1);
	while (!conn->backlog.len)
		from_guest(conn, PACKET_RW, 0, text);
	while (conn->want && conn_next_packet(conn, &(struct packet){0}))
		;
}

static void drain_host(void)
{
	static char buf[1 << 20];

	while (recv(host, buf, sizeof(buf), 0) > 0)
		;
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(conn_table_init(&table, &limits), 0);
	host = -1;
	return 0;
}

static int teardown(void **state)
{
	struct conn *conn;
	size_t at = 0;

	(void)state;
	while ((conn = conn_table_next(&table, &at)))
		conn_table_remove(&table, conn);
	assert_int_equal(table.common.buffers.used, 0);
	assert_int_equal(table.common.buffers.wide, 0);
	conn_table_free(&table);
	close(host);
	return 0;
}

static void a_line_that_does_not_come_times_out(void **state)
{
	struct conn *conn = accepted();

	(void)state;
	assert_int_equal(conn->deadline, START + 10000);
	from_host(conn, "CONN");
	from_host(conn, "ECT 50");
	/* More bytes do not buy more time. */
	assert_int_equal(conn->deadline, START + 10000);
	conn_on_timeout(conn, START + 10000);
	assert_int_equal(conn->state, CONN_DEAD);
	assert_int_equal(conn->want, 0);
	assert_int_equal(conn->fd, -1);
}

static void a_guest_that_does_not_answer_times_out(void **state)
{
	struct conn *conn = accepted();

	(void)state;
	from_host(conn, "connect 5000\r\nmore");
	assert_int_equal(conn->state, CONN_REQUESTED);
	only(conn, PACKET_REQUEST);
	assert_int_equal(conn->deadline, START + 10000);
	conn_on_timeout(conn, START + 10000);
	only(conn, PACKET_RST);
	assert_int_equal(conn->state, CONN_DEAD);
}

static void a_sibling_that_does_not_answer_times_out(void **state)
{
	struct packet request = {.op = PACKET_REQUEST,
				 .type = PACKET_STREAM,
				 .src_port = 7,
				 .dst_cid = 9,
				 .dst_port = 8};
	struct conn *conn = conn_table_add(&table);
	char line[64] = "";

	(void)state;
	conn_request(conn, &request, START);
	conn_greet(conn, new_pair(), 42, START);
	assert_int_equal(conn->state, CONN_GREETING);
	assert_int_equal(conn->deadline, START + 10000);
	assert_true(recv(host, line, sizeof(line) - 1, 0) > 0);
	assert_string_equal(line, "CONNECT 8 FROM 42:7\n");
	/* Half an answer does not buy more time. */
	from_host(conn, "OK 8");
	assert_int_equal(conn->deadline, START + 10000);
	conn_on_timeout(conn, START + 10000);
	assert_int_equal(only(conn, PACKET_RST).src_cid, 9);
	assert_int_equal(conn->state, CONN_DEAD);
}

static void a_guest_that_never_answers_the_last_shutdown_gets_an_rst(void **state)
{
	struct conn *conn = opened();

	(void)state;
	close(host);
	host = -1;
	conn_on_socket(conn, EPOLLIN | EPOLLHUP | EPOLLRDHUP, START);
	conn_on_eof(conn, START);
	assert_int_equal(only(conn, PACKET_SHUTDOWN).flags, PACKET_SHUT_BOTH);
	assert_int_equal(conn->deadline, START + 8000);
	conn_on_timeout(conn, START + 8000);
	only(conn, PACKET_RST);
	assert_int_equal(conn->state, CONN_DEAD);
}

static void half_closes_of_both_sides_add_up(void **state)
{
	struct conn *conn = opened();

	(void)state;
	from_guest(conn, PACKET_SHUTDOWN, PACKET_SHUT_SEND, "");
	assert_int_equal(recv(host, &(char){0}, 1, 0), 0);
	assert_int_equal(conn->state, CONN_OPEN);
	assert_false(conn_next_packet(conn, &(struct packet){0}));
	shutdown(host, SHUT_WR);
	conn_on_eof(conn, START);
	assert_int_equal(only(conn, PACKET_SHUTDOWN).flags, PACKET_SHUT_BOTH);
	from_guest(conn, PACKET_RST, 0, "");
	assert_int_equal(conn->state, CONN_DEAD);
}

static void a_guest_that_only_sends_is_told_that_nobody_listens(void **state)
{
	struct conn *conn = opened();

	(void)state;
	from_guest(conn, PACKET_SHUTDOWN, PACKET_SHUT_RCV, "");
	close(host);
	host = -1;
	conn_on_socket(conn, EPOLLIN | EPOLLHUP | EPOLLRDHUP, START);
	assert_int_equal(only(conn, PACKET_SHUTDOWN).flags, PACKET_SHUT_BOTH);
	from_guest(conn, PACKET_RST, 0, "");
	assert_int_equal(conn->state, CONN_DEAD);
}

static void shutdown_bits_of_two_packets_add_up(void **state)
{
	struct conn *conn = opened();

	(void)state;
	from_guest(conn, PACKET_SHUTDOWN, PACKET_SHUT_RCV, "");
	assert_int_equal(conn->state, CONN_OPEN);
	from_guest(conn, PACKET_SHUTDOWN, PACKET_SHUT_SEND, "");
	only(conn, PACKET_RST);
	assert_int_equal(conn->state, CONN_DEAD);
}

static void a_close_with_bytes_left_waits_for_the_reader(void **state)
{
	struct conn *conn = opened();

	(void)state;
	stuff(conn);
	from_guest(conn, PACKET_SHUTDOWN, PACKET_SHUT_BOTH, "");
	assert_int_equal(conn->state, CONN_OPEN);
	assert_false(conn_next_packet(conn, &(struct packet){0}));
	while (conn->backlog.len) {
		drain_host();
		conn_on_socket(conn, EPOLLOUT, START);
	}
	only(conn, PACKET_RST);
	assert_int_equal(conn->state, CONN_DEAD);
}

static void a_guest_that_is_gone_leaves_its_bytes_to_the_reader(void **state)
{
	struct conn *conn = opened();

	(void)state;
	stuff(conn);
	from_guest(conn, PACKET_RST, 0, "");
	assert_int_equal(conn->state, CONN_LINGER);
	assert_int_equal(conn->want, 0);
	while (conn->state == CONN_LINGER) {
		drain_host();
		conn_on_socket(conn, EPOLLOUT, START);
	}
	assert_int_equal(conn->state, CONN_DEAD);
	assert_int_equal(conn->want, 0);
}

/* However it ends: more than an ordinary socket's worth is not forgotten. */
static void a_socket_that_holds_much_counts_until_it_was_read(void **state)
{
	enum {
		LEAVES,
		CLOSES,
		BREAKS_A_RULE,
		WAYS
	};
	static char text[32769], buf[65536];

	(void)state;
	table.common.buffers.max = 64 << 20;
	memset(text, 'x', sizeof(text) - 1);
	for (int way = LEAVES; way < WAYS; way++) {
		struct conn *conn = opened();
		size_t sent = 0, received = 0;
		ssize_t n;

		for (; !conn->backlog.wide; sent += strlen(text))
			from_guest(conn, PACKET_RW, 0, text);
		assert_int_equal(conn->backlog.len, 0);
		while (conn->want && conn_next_packet(conn, &(struct packet){0}))
			;
		if (way == LEAVES)
			from_guest(conn, PACKET_RST, 0, "");
		else if (way == CLOSES)
			from_guest(conn, PACKET_SHUTDOWN, PACKET_SHUT_BOTH, "");
		else
			from_guest(conn, PACKET_RESPONSE, 0, "");
		/* The guest does not have to wait. */
		if (way != LEAVES)
			only(conn, PACKET_RST);
		assert_int_equal(conn->state, CONN_LINGER);
		assert_int_equal(conn->want, 0);
		assert_true(conn_wants_room(conn));
		assert_true(table.common.buffers.wide > 0);
		while (received < sent / 2) {
			n = recv(host, buf, sizeof(buf), 0);
			assert_true(n > 0);
			received += n;
		}
		conn_on_socket(conn, EPOLLOUT, START);
		assert_int_equal(conn->state, CONN_LINGER);
		while ((n = recv(host, buf, sizeof(buf), 0)) > 0)
			received += n;
		/* All, and then the end. */
		assert_int_equal(n, 0);
		assert_int_equal(received, sent);
		conn_on_socket(conn, EPOLLOUT, START);
		assert_int_equal(conn->state, CONN_DEAD);
		assert_int_equal(table.common.buffers.wide, 0);
		conn_table_remove(&table, conn);
		close(host);
	}
	host = -1;
}

static void a_program_that_closes_ends_the_wait_for_it(void **state)
{
	static char text[32769];
	struct conn *conn = opened();

	(void)state;
	table.common.buffers.max = 64 << 20;
	memset(text, 'x', sizeof(text) - 1);
	while (!conn->backlog.wide)
		from_guest(conn, PACKET_RW, 0, text);
	from_guest(conn, PACKET_RST, 0, "");
	assert_int_equal(conn->state, CONN_LINGER);
	close(host);
	host = -1;
	conn_on_socket(conn, EPOLLOUT | EPOLLHUP, START);
	assert_int_equal(conn->state, CONN_DEAD);
}

static void what_the_guest_may_not_do_resets(void **state)
{
	static const struct {
		bool open;
		enum packet_op op;
	} row[] = {
		{false, PACKET_RW},	 {false, PACKET_SHUTDOWN},
		{false, PACKET_REQUEST}, {true, PACKET_REQUEST},
		{true, PACKET_RESPONSE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct conn *conn = row[i].open ? opened() : accepted();

		if (!row[i].open) {
			from_host(conn, "CONNECT 1\n");
			only(conn, PACKET_REQUEST);
		}
		from_guest(conn, row[i].op, PACKET_SHUT_BOTH, "");
		assert_int_equal(conn->state, CONN_ENDING);
		/* Nothing brings it back, and there is one RST. */
		from_guest(conn, PACKET_RW, 0, "x");
		from_guest(conn, PACKET_RESPONSE, 0, "");
		only(conn, PACKET_RST);
		assert_int_equal(conn->state, CONN_DEAD);
		close(host);
	}
	host = -1;
}

static void an_rst_from_the_guest_cancels_ours(void **state)
{
	struct conn *conn = opened();

	(void)state;
	conn_reset(conn, RESET_PROTOCOL, "a test");
	from_guest(conn, PACKET_RST, 0, "");
	assert_int_equal(conn->state, CONN_DEAD);
	assert_int_equal(conn->want, 0);
}

static void a_silent_guest_without_room_is_asked(void **state)
{
	struct conn *conn = opened();

	(void)state;
	conn->readable = true;
	assert_true(conn_can_send(conn));
	conn_on_sent(conn, 256 * 1024, 70);
	assert_false(conn_can_send(conn));
	assert_true(conn_is_blocked(conn));
	conn_on_timeout(conn, START + 10);
	only(conn, PACKET_CREDIT_REQUEST);
	/* Not when there is nothing to send. */
	conn->readable = false;
	conn_on_timeout(conn, START + 20);
	assert_false(conn_next_packet(conn, &(struct packet){0}));
}

static void a_question_is_answered(void **state)
{
	struct conn *conn = opened();

	(void)state;
	from_guest(conn, PACKET_RW, 0, "hello");
	from_guest(conn, PACKET_CREDIT_REQUEST, 0, "");
	from_guest(conn, PACKET_CREDIT_REQUEST, 0, "");
	assert_int_equal(only(conn, PACKET_CREDIT_UPDATE).fwd_cnt, 5);
}

static void opening_is_told_before_all_else_and_the_end_last(void **state)
{
	struct conn *conn = conn_table_add(&table);
	struct packet request = {.op = PACKET_REQUEST, .src_port = 7, .dst_port = 8};
	struct packet packet;

	(void)state;
	conn_request(conn, &request, START);
	conn_dialled(conn, new_pair());
	from_guest(conn, PACKET_CREDIT_REQUEST, 0, "");
	conn_on_eof(conn, START);
	assert_true(conn_next_packet(conn, &packet));
	assert_int_equal(packet.op, PACKET_RESPONSE);
	assert_int_equal(packet.src_port, 8);
	assert_int_equal(packet.dst_port, 7);
	assert_true(conn_next_packet(conn, &packet));
	assert_int_equal(packet.op, PACKET_CREDIT_UPDATE);
	assert_int_equal(only(conn, PACKET_SHUTDOWN).flags, PACKET_SHUT_SEND);
	close(host);
	host = -1;
}

static void an_id_is_not_reused_with_its_slot(void **state)
{
	struct conn *conn = conn_table_add(&table);
	uint32_t id = conn->id, port = conn->host_port;

	(void)state;
	assert_ptr_equal(conn_table_get(&table, id), conn);
	conn_table_remove(&table, conn);
	assert_null(conn_table_get(&table, id));
	conn = conn_table_add(&table);
	assert_int_not_equal(conn->id, id);
	assert_int_not_equal(conn->host_port, port);
	assert_null(conn_table_get(&table, id));
	assert_null(conn_table_get(&table, MANY));
	assert_null(conn_table_get(&table, UINT32_MAX));
}

static void connections_are_found_by_both_ports(void **state)
{
	struct conn *conn[MANY];

	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		conn[i] = conn_table_add(&table);
		assert_non_null(conn[i]);
		conn[i]->host_port = i / 30;
		conn[i]->guest_port = i % 30;
		conn_table_bind(&table, conn[i]);
	}
	assert_null(conn_table_add(&table));
	assert_int_equal(conn_table_count(&table), MANY);
	for (uint32_t i = 0; i < MANY; i += 2)
		conn_table_unbind(&table, conn[i]);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(
			conn_table_find(&table, PACKET_HOST_CID, i / 30, i % 30),
			i % 2 ? conn[i] : NULL);
}

static void the_backlog_keeps_bytes_in_order_within_its_bound(void **state)
{
	static uint8_t in[256 * 1024];
	struct backlog_pool pool = {.max = sizeof(in)};
	struct backlog backlog = {.pool = &pool};
	struct iovec iov[2] = {{in, 1000}, {in + 1000, sizeof(in) - 1000}}, out[2];
	size_t added = 0, taken = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)((uint32_t)i * 0x9e3779b1u >> 24);
	/* In and out by odd steps, many times around. */
	for (int turn = 0; turn < 2000; turn++) {
		size_t len = 1 + turn * 31 % 5000, n, at;

		if (len > sizeof(in) - added % sizeof(in))
			len = sizeof(in) - added % sizeof(in);
		if (backlog_add(&backlog, iov, 2, added % sizeof(in), len) == 0)
			added += len;
		n = backlog_peek(&backlog, out);
		at = taken;
		for (size_t i = 0; i < n; i++)
			for (size_t b = 0; b < out[i].iov_len; b++, at++)
				assert_int_equal(((uint8_t *)out[i].iov_base)[b],
						 in[at % sizeof(in)]);
		assert_int_equal(at, added);
		len = turn * 17 % 4900;
		if (len > backlog.len)
			len = backlog.len;
		backlog_consume(&backlog, len);
		taken += len;
	}
	backlog_clear(&backlog);
	assert_int_equal(backlog_add(&backlog, iov, 2, 0, sizeof(in)), 0);
	assert_int_equal(backlog_add(&backlog, iov, 2, 0, 1), -EDQUOT);
	backlog_consume(&backlog, 1);
	assert_int_equal(backlog_add(&backlog, iov, 2, 0, 1), 0);
	backlog_consume(&backlog, sizeof(in));
	assert_null(backlog.data);
	assert_int_equal(pool.used, 0);
}

/* Whose pool is a share of another one can take no more than half of that. */
static void a_share_of_a_pool_leaves_the_other_half(void **state)
{
	enum {
		WIDE = 2 << 20,
		MAX = 8 * WIDE, /* four sockets may be wide, two of the share's */
		PAIRS = 5,
	};
	static uint8_t bytes[MAX / 2];
	struct backlog_pool whole = {.max = MAX}, share;
	struct backlog sibling = {.pool = &share}, other = {.pool = &whole};
	struct backlog wide[PAIRS];
	struct iovec iov = {bytes, sizeof(bytes)}, some = {bytes, 65536};
	int pair[PAIRS][2];

	(void)state;
	backlog_pool_share(&share, &whole);
	assert_int_equal(backlog_add(&sibling, &iov, 1, 0, sizeof(bytes)), 0);
	assert_int_equal(backlog_add(&sibling, &iov, 1, 0, 1), -EDQUOT);
	assert_int_equal(backlog_add(&other, &iov, 1, 0, sizeof(bytes)), 0);
	assert_int_equal(whole.used, MAX);
	assert_int_equal(whole.held, MAX);
	backlog_clear(&sibling);
	assert_int_equal(share.used, 0);
	assert_int_equal(share.held, 0);
	assert_int_equal(whole.held, MAX / 2);
	/* No more than it has, and no more than there is. */
	assert_int_equal(backlog_add(&other, &iov, 1, 0, 1), 0);
	assert_int_equal(backlog_add(&sibling, &iov, 1, 0, 1), -EDQUOT);
	backlog_clear(&other);
	assert_int_equal(whole.used, 0);

	for (size_t i = 0; i < PAIRS; i++) {
		wide[i] = (struct backlog){.pool = i < 3 ? &share : &whole};
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair[i]),
			0);
		while (!wide[i].len)
			assert_true(backlog_send(&wide[i], pair[i][0], &some, 1,
						 some.iov_len) >= 0);
		assert_int_equal(wide[i].wide, i == 2 ? 0 : WIDE);
	}
	assert_int_equal(share.wide, 2 * WIDE);
	assert_int_equal(whole.wide, 4 * WIDE);
	for (size_t i = 0; i < PAIRS; i++) {
		backlog_end(&wide[i]);
		close(pair[i][0]);
		close(pair[i][1]);
	}
	assert_int_equal(share.wide + whole.wide + share.used + whole.used, 0);
}

/* A message has to fit whole, so it is not refused; but it counts. */
static void a_socket_that_was_raised_for_messages_counts(void **state)
{
	struct backlog_pool whole = {.max = 1 << 20}, share;
	struct backlog bytes = {.pool = &share};
	int pair[2], tcp = socket(AF_INET, SOCK_STREAM, 0), size = 0;
	socklen_t len = sizeof(size);

	(void)state;
	backlog_pool_share(&share, &whole);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	messages_prepare(&bytes, pair[0], 4096);
	assert_int_equal(whole.wide, 0);
	messages_prepare(&bytes, pair[0], 200 * 1024);
	assert_int_equal(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, &len), 0);
	assert_int_equal(share.wide, size);
	assert_int_equal(whole.wide, size);
	/* The one that takes its place, after a try that failed. */
	messages_prepare(&bytes, pair[1], 200 * 1024);
	assert_int_equal(whole.wide, size);
	assert_true(backlog_narrow(&bytes, pair[1]));
	assert_int_equal(share.wide + whole.wide, 0);
	messages_prepare(&bytes, tcp, 64 << 20);
	assert_int_equal(whole.wide, 0);
	close(pair[0]);
	close(pair[1]);
	close(tcp);
}

int main(void)
{
#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(a_line_that_does_not_come_times_out),
		t(a_guest_that_does_not_answer_times_out),
		t(a_sibling_that_does_not_answer_times_out),
		t(a_guest_that_never_answers_the_last_shutdown_gets_an_rst),
		t(half_closes_of_both_sides_add_up),
		t(a_guest_that_only_sends_is_told_that_nobody_listens),
		t(shutdown_bits_of_two_packets_add_up),
		t(a_close_with_bytes_left_waits_for_the_reader),
		t(a_guest_that_is_gone_leaves_its_bytes_to_the_reader),
		t(a_socket_that_holds_much_counts_until_it_was_read),
		t(a_program_that_closes_ends_the_wait_for_it),
		t(what_the_guest_may_not_do_resets),
		t(an_rst_from_the_guest_cancels_ours),
		t(a_silent_guest_without_room_is_asked),
		t(a_question_is_answered),
		t(opening_is_told_before_all_else_and_the_end_last),
		t(an_id_is_not_reused_with_its_slot),
		t(connections_are_found_by_both_ports),
		t(the_backlog_keeps_bytes_in_order_within_its_bound),
		t(a_share_of_a_pool_leaves_the_other_half),
		t(a_socket_that_was_raised_for_messages_counts),
	};

	return cmocka_run_group_tests_name("connection", tests, NULL, NULL);
}
