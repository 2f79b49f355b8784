/* SPDX-License-Identifier: Apache-2.0 */
/* What the control socket tells, that it is true, and that nobody can misuse it. */
#include "../../transport/control.h"
#include "fake_control.h"
#include "fake_flow.h"

/* A connection of the list, its line's words by their places. */
enum {
	TYPE,
	STATE,
	GUEST_CID_AT,
	GUEST_PORT,
	PEER_CID,
	PEER_PORT,
	ORIGIN,
	AGE,
	FROM_GUEST_BYTES,
	TO_GUEST_BYTES,
	FROM_GUEST_PACKETS,
	TO_GUEST_PACKETS,
	BACKLOG,
	IN_FLIGHT,
	REST,
	GUEST_CREDIT,
	PEER_CREDIT,
	STALLS,
	COLUMNS,
};

struct row {
	char word[COLUMNS][32];
};

/* The connection of these ports in an answer. */
static struct row find_row(const char *list, uint32_t guest_port, uint32_t peer_port)
{
	struct row row = {0};
	char *line, *rest, *copy = strdup(list), *all = copy;
	bool found = false;

	while (!found && (line = strsep(&all, "\n"))) {
		size_t i = 0;
		char *word;

		memset(&row, 0, sizeof(row));
		for (rest = line; i < COLUMNS && (word = strsep(&rest, " ")); i++)
			snprintf(row.word[i], sizeof(row.word[i]), "%s", word);
		found = i == COLUMNS && !rest &&
			strtoul(row.word[GUEST_PORT], NULL, 10) == guest_port &&
			strtoul(row.word[PEER_PORT], NULL, 10) == peer_port;
	}
	free(copy);
	assert_true(found);
	return row;
}

static void expect_number(const struct row *row, int column, uint64_t number)
{
	assert_int_equal(strtoull(row->word[column], NULL, 10), number);
}

static void figures_after_known_traffic_are_exact(void **state)
{
	struct guest *g = *state;
	static uint8_t payload[8192];
	struct packet rw, packet;
	struct row row;
	const char *answer;
	uint32_t port;
	int in, out;

	in = join_in(g, 5000, &port);
	out = join_out(g, 1024, 6000);
	for (int i = 0; i < 3; i++) {
		rw = guest_packet(PACKET_RW, 5000, port, 1000);
		guest_send(g, &rw, payload);
	}
	rw = guest_packet(PACKET_RW, 1024, 6000, 7);
	guest_send(g, &rw, payload);
	host_send(in, "hello");
	guest_receive(g, &packet, payload);
	/* Of nobody, and to nobody. */
	rw = guest_packet(PACKET_RW, 77, 78, 1);
	guest_send(g, &rw, payload);
	guest_expect(g, PACKET_RST, 77, 78);
	packet = guest_packet(PACKET_REQUEST, 1025, 6001, 0);
	guest_send(g, &packet, NULL);
	guest_expect(g, PACKET_RST, 1025, 6001);
	packet.src_cid++;
	guest_send(g, &packet, NULL);

	answer = control_ask(g->control, "stats\n");
	assert_string_equal(answer + strlen(answer) - 5, "\nend\n");
	assert_int_equal(control_figure(answer, "cid"), GUEST_CID);
	assert_int_equal(control_figure(answer, "restarts"), 0);
	assert_int_equal(control_figure(answer, "driver_up"), 1);
	assert_int_equal(control_figure(answer, "connections"), 2);
	assert_int_equal(control_figure(answer, "connections_asked guest"), 2);
	assert_int_equal(control_figure(answer, "connections_asked host"), 1);
	assert_int_equal(control_figure(answer, "connections_opened"), 2);
	assert_int_equal(control_figure(answer, "connections_refused"), 1);
	assert_int_equal(control_figure(answer, "packets from_guest"), 4);
	assert_int_equal(control_figure(answer, "packets to_guest"), 1);
	assert_int_equal(control_figure(answer, "bytes from_guest"), 3007);
	assert_int_equal(control_figure(answer, "bytes to_guest"), 5);
	assert_int_equal(control_figure(answer, "resets unknown"), 1);
	assert_int_equal(control_figure(answer, "resets host_refused"), 1);
	assert_int_equal(control_figure(answer, "packets_dropped"), 1);
	assert_int_equal(control_figure(answer, "backlog_bytes"), 0);

	answer = control_ask(g->control, "list\n");
	assert_int_equal(control_figure(answer, "end"), 2);
	row = find_row(answer, 5000, port);
	assert_string_equal(row.word[TYPE], "stream");
	assert_string_equal(row.word[STATE], "open");
	assert_string_equal(row.word[ORIGIN], "host");
	expect_number(&row, GUEST_CID_AT, GUEST_CID);
	expect_number(&row, PEER_CID, PACKET_HOST_CID);
	expect_number(&row, FROM_GUEST_BYTES, 3000);
	expect_number(&row, FROM_GUEST_PACKETS, 3);
	expect_number(&row, TO_GUEST_BYTES, 5);
	expect_number(&row, TO_GUEST_PACKETS, 1);
	expect_number(&row, BACKLOG, 0);
	expect_number(&row, IN_FLIGHT, 5);
	expect_number(&row, PEER_CREDIT, GUEST_BUFALLOC - 5);
	expect_number(&row, GUEST_CREDIT, 256 * 1024);
	row = find_row(answer, 1024, 6000);
	assert_string_equal(row.word[ORIGIN], "guest");
	expect_number(&row, FROM_GUEST_BYTES, 7);

	packet = guest_packet(PACKET_SHUTDOWN, 1024, 6000, 0);
	packet.flags = PACKET_SHUT_SEND;
	guest_send(g, &packet, NULL);
	assert_int_equal(recv(out, payload, 7, MSG_WAITALL), 7);
	host_expect_eof(out);
	row = find_row(control_ask(g->control, "list\r\n"), 1024, 6000);
	assert_string_equal(row.word[STATE], "closing");
	assert_int_equal(recv(in, payload, 3000, MSG_WAITALL), 3000);
	part(g, in, 5000, port);
	assert_int_equal(control_stat(g, "resets guest"), 1);
	assert_int_equal(control_stat(g, "connections"), 1);
	close(out);
}

/* A host program that does not read, and then does. */
static void what_is_held_is_told(void **state)
{
	struct guest *g = *state;
	struct flow f = flow_of(5000, 0);
	uint64_t held = 0;
	struct row row;
	int fd;

	fd = join_in(g, 5000, &f.host_port);
	while (!held) {
		assert_true(flow_send(g, &f, 16384, 2));
		flow_receive(g, &f);
		held = control_stat(g, "backlog_bytes");
	}
	row = find_row(control_ask(g->control, "list\n"), 5000, f.host_port);
	expect_number(&row, BACKLOG, held);
	expect_number(&row, GUEST_CREDIT, 256 * 1024 - held);
	assert_true(control_stat(g, "backlog_memory_bytes") >= held);
	while (f.host_received < f.sent)
		host_read_some(fd, &f);
	wait_until(control_stat(g, "backlog_bytes") == 0);
	assert_int_equal(control_stat(g, "backlog_memory_bytes"), 0);
	close(fd);
}

/* Of messages the bytes are told, and not what is kept to tell them apart. */
static void what_is_held_of_messages_is_told(void **state)
{
	struct guest *g = *state;
	struct packet packet = guest_packet(PACKET_REQUEST, 1024, 6000, 0);
	uint8_t payload[100] = {0};
	struct row row;
	int listener, fd;

	g->features |= 1 << 1; /* SEQPACKET */
	guest_start(g);
	listener = listen_type(g, 6000, SOCK_SEQPACKET);
	packet.type = PACKET_SEQPACKET;
	guest_send(g, &packet, NULL);
	fd = accept_port(listener);
	guest_expect(g, PACKET_RESPONSE, 1024, 6000);
	/* One without its end, and none. */
	packet.op = PACKET_RW;
	packet.len = sizeof(payload);
	guest_send(g, &packet, payload);
	assert_int_equal(control_stat(g, "backlog_bytes"), sizeof(payload));
	row = find_row(control_ask(g->control, "list\n"), 1024, 6000);
	assert_string_equal(row.word[TYPE], "seqpacket");
	expect_number(&row, BACKLOG, sizeof(payload));
	packet.flags = PACKET_EOM;
	for (int i = 0; i < 300; i++) {
		packet.len = i % 2;
		guest_send(g, &packet, payload);
	}
	wait_until(recv(fd, payload, sizeof(payload), MSG_DONTWAIT) > 0);
	for (unsigned int i = 0; i < 299; i++)
		wait_until(recv(fd, payload, sizeof(payload), MSG_DONTWAIT) >= 0);
	wait_until(control_stat(g, "backlog_bytes") == 0);
	packet.op = PACKET_RST;
	packet.len = packet.flags = 0;
	guest_send(g, &packet, NULL);
	wait_until(control_stat(g, "connections") == 0);
	assert_int_equal(control_stat(g, "backlog_memory_bytes"), 0);
	close(fd);
	close(listener);
}

static void credit_stalls_and_limits_are_counted(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct packet request = guest_packet(PACKET_REQUEST, 9999, 6000, 0);
	static uint8_t bytes[GUEST_BUFALLOC * 2];
	struct guest *g;
	uint32_t port;
	int fd, more, listener;

	(void)state;
	limits.max_connections = 1;
	g = guest_new_limited(&limits);
	/* Turned away, as long as the driver is not up. */
	more = connect_unix(g->uds);
	host_expect_closed(more);
	close(more);
	assert_int_equal(control_stat(g, "connections_refused"), 1);
	assert_int_equal(control_stat(g, "driver_up"), 0);
	guest_start(g);
	fd = join_in(g, 5000, &port);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (ssize_t sent = 0; control_stat(g, "credit_stalls") == 0;) {
		ssize_t n = send(fd, bytes, sizeof(bytes) - sent, MSG_NOSIGNAL);
		struct packet packet;

		sent += n > 0 ? n : 0;
		assert_true(sent < (ssize_t)sizeof(bytes));
		/* Room, but no credit. */
		while (guest_try_receive(g, &packet, NULL))
			;
	}
	more = connect_unix(g->uds);
	host_expect_closed(more);
	close(more);
	listener = listen_port(g, 6000);
	guest_send(g, &request, NULL);
	close(listener);
	wait_until(control_stat(g, "limits_reached max_connections") == 2);
	assert_int_equal(control_stat(g, "connections_refused"), 3);
	assert_int_equal(control_stat(g, "connections_max"), 1);
	close(fd);
	guest_free(g);
}

static void metrics_are_open_metrics(void **state)
{
	struct guest *g = *state;
	const char *text = control_ask(g->control, "metrics\n");
	size_t len = strlen(text);

	assert_string_equal(text + len - 7, "\n# EOF\n");
	assert_non_null(strstr(text, "# TYPE vsockd_bytes counter\n"));
	assert_non_null(strstr(
		text, "\nvsockd_bytes_total{cid=\"42\",direction=\"to_guest\"} 0\n"));
	assert_non_null(strstr(text, "# TYPE vsockd_connections gauge\n"));
	assert_non_null(strstr(text, "\nvsockd_connections{cid=\"42\"} 0\n"));
	/* A family stands together, and is described once. */
	for (const char *at = text; (at = strstr(at, "# TYPE ")); at++) {
		char head[96];

		snprintf(head, sizeof(head), "%.*s ", (int)strcspn(at + 7, " ") + 7,
			 at);
		assert_null(strstr(at + 1, head));
	}
}

static void what_is_no_request_is_answered_as_such(void **state)
{
	static const char *const lines[] = {
		"\n",
		"stat\n",
		"statss\n",
		"STATS\n",
		"list \n",
		"\r\r\n",
		"a line that is longer than any request is",
		"\x1b[2J\n",
	};
	struct guest *g = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_memory_equal(control_ask(g->control, lines[i]), "error ", 6);
}

static void only_its_owner_may_ask(void **state)
{
	struct guest *g = *state;
	struct stat st;

	assert_int_equal(stat(g->control, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* As many as there may be at once, and more, that say nothing or read nothing. */
static void clients_that_dawdle_hold_up_nobody(void **state)
{
	struct guest *g = *state;
	int idle[CONTROL_CLIENTS_MAX - 1], waiting[20];
	uint32_t port;
	int fd;

	for (int i = 0; i < CONTROL_CLIENTS_MAX - 1; i++) {
		idle[i] = connect_unix(g->control);
		host_send(idle[i], i % 2 ? "li" : "list\n");
	}
	assert_int_equal(control_stat(g, "connections"), 0);
	for (int i = 0; i < 20; i++)
		waiting[i] = connect_unix(g->control);
	/* The device goes on. */
	fd = join_in(g, 5000, &port);
	host_send(fd, "bytes");
	guest_expect(g, PACKET_RW, 5000, port);
	part(g, fd, 5000, port);
	for (int i = 0; i < CONTROL_CLIENTS_MAX - 1; i++)
		close(idle[i]);
	for (int i = 0; i < 20; i++)
		close(waiting[i]);
	assert_int_equal(control_stat(g, "connections_asked host"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(figures_after_known_traffic_are_exact),
		test_guest(what_is_held_is_told),
		test_daemon(what_is_held_of_messages_is_told),
		cmocka_unit_test(credit_stalls_and_limits_are_counted),
		test_guest(metrics_are_open_metrics),
		test_guest(what_is_no_request_is_answered_as_such),
		test_guest(only_its_owner_may_ask),
		test_guest(clients_that_dawdle_hold_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
