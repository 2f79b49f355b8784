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

enum {
	MANY = 4000
};

/* The device's clock in the test's hand. */
struct still {
	struct loop loop;
	struct routes routes;
	struct device dev;
	struct control control;
	char dir[64], path[80];
};

static int setup_still(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct still *s = calloc(1, sizeof(*s));
	struct error err;

	strcpy(s->dir, "/tmp/vsockd-test-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/c", s->dir);
	s->routes.guest_cid = GUEST_CID;
	assert_int_equal(loop_init(&s->loop), 0);
	assert_int_equal(device_init(&s->dev, &s->routes, 0, &limits, &s->loop), 0);
	control_init(&s->control);
	assert_int_equal(control_open(&s->control, s->path, &s->loop, &err), 0);
	*state = s;
	return 0;
}

static int teardown_still(void **state)
{
	struct still *s = *state;

	control_close(&s->control);
	device_free(&s->dev);
	loop_free(&s->loop);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

/* What is there to be done, without waiting. */
static void turn(struct still *s)
{
	struct loop_event event[LOOP_EVENTS_MAX];
	int n = loop_wait(&s->loop, event, 0);

	for (int i = 0; i < n; i++) {
		if (event[i].type == LOOP_CONTROL)
			control_accept(&s->control, &s->dev);
		else
			control_on_client(&s->control, event[i].id, &s->dev);
	}
	control_run(&s->control, s->dev.now);
}

static void a_line_that_does_not_end_is_waited_for_so_long(void **state)
{
	struct still *s = *state;
	int fd = connect_unix(s->path);

	assert_int_equal(control_timeout(&s->control, s->dev.now), -1);
	host_send(fd, "sta");
	turn(s);
	assert_int_equal(s->control.clients, 1);
	assert_int_equal(control_timeout(&s->control, s->dev.now),
			 CONTROL_LINE_TIMEOUT);
	s->dev.now += CONTROL_LINE_TIMEOUT - 1;
	/* Bytes one by one do not make it longer. */
	host_send(fd, "t");
	turn(s);
	assert_int_equal(s->control.clients, 1);
	s->dev.now++;
	turn(s);
	host_expect_closed(fd);
	close(fd);
	assert_int_equal(control_timeout(&s->control, s->dev.now), -1);
}

static void an_answer_that_is_not_read_is_cut_off(void **state)
{
	struct still *s = *state;
	char byte;
	int fd = connect_unix(s->path), turns = 0;

	/* Connections without a socket, for a long list. */
	for (int i = 0; i < MANY; i++)
		device_new_conn(&s->dev, PACKET_STREAM);
	host_send(fd, "list\n");
	for (int i = 0; i < 1000; i++)
		turn(s);
	assert_int_equal(s->control.clients, 1);
	/* What reads a little at a time is not waited for for ever. */
	do {
		s->dev.now += CONTROL_STALL_TIMEOUT - 1;
		for (int i = 0; i < 9000; i++)
			assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) == 1);
		turn(s);
		turns++;
	} while (s->control.clients);
	assert_true(turns <= CONTROL_ANSWER_TIMEOUT / (CONTROL_STALL_TIMEOUT - 1) + 1);
	close(fd);
	/* And what reads nothing is cut off sooner. */
	fd = connect_unix(s->path);
	host_send(fd, "list\n");
	for (int i = 0; i < 1000; i++)
		turn(s);
	s->dev.now += CONTROL_STALL_TIMEOUT;
	turn(s);
	assert_int_equal(s->control.clients, 0);
	close(fd);
}

static void those_beyond_the_most_wait_for_their_turn(void **state)
{
	struct still *s = *state;
	int fd[CONTROL_CLIENTS_MAX + 2];

	for (int i = 0; i < CONTROL_CLIENTS_MAX + 2; i++)
		fd[i] = connect_unix(s->path);
	turn(s);
	assert_int_equal(s->control.clients, CONTROL_CLIENTS_MAX);
	host_send(fd[CONTROL_CLIENTS_MAX], "stats\n");
	turn(s);
	close(fd[0]);
	for (int i = 0; i < 4; i++)
		turn(s);
	host_expect(fd[CONTROL_CLIENTS_MAX], "cid 42\n");
	for (int i = 1; i < CONTROL_CLIENTS_MAX + 2; i++)
		close(fd[i]);
}

/* Longer than what a socket holds, and others come and go. */
static void a_list_that_is_read_slowly_has_each_once(void **state)
{
	static char answer[1 << 20];
	static uint32_t port[MANY];
	static uint32_t id[MANY];
	struct still *s = *state;
	unsigned int gone = 0;
	size_t len = 0;
	ssize_t n;
	int fd = connect_unix(s->path);

	/* Without sockets: there may not be so many. */
	for (int i = 0; i < MANY; i++) {
		struct conn *conn = device_new_conn(&s->dev, PACKET_STREAM);

		port[i] = conn->host_port;
		id[i] = conn->id;
	}
	host_send(fd, "list\n");
	do {
		turn(s);
		n = recv(fd, answer + len, 1000, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
		if (gone < MANY && gone % 2 == 0)
			conn_table_remove(&s->dev.conns,
					  conn_table_get(&s->dev.conns, id[gone]));
		if (gone < MANY && gone % 6 == 0)
			device_new_conn(&s->dev, PACKET_SEQPACKET);
		gone++;
	} while (n);
	close(fd);
	assert_true(gone > 200);
	/* Those that were there all the time. */
	for (int i = 1; i < MANY; i += 2) {
		char name[64], *first;

		snprintf(name, sizeof(name), " 42 0 2 %u ", port[i]);
		first = strstr(answer, name);
		assert_non_null(first);
		assert_null(strstr(first + 1, name));
	}
	control_figure(answer, "end");
}

#define test_still(name) \
	cmocka_unit_test_setup_teardown(name, setup_still, teardown_still)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(figures_after_known_traffic_are_exact),
		test_guest(what_is_held_is_told),
		cmocka_unit_test(credit_stalls_and_limits_are_counted),
		test_guest(metrics_are_open_metrics),
		test_guest(what_is_no_request_is_answered_as_such),
		test_guest(only_its_owner_may_ask),
		test_guest(clients_that_dawdle_hold_up_nobody),
		test_still(a_line_that_does_not_end_is_waited_for_so_long),
		test_still(an_answer_that_is_not_read_is_cut_off),
		test_still(a_list_that_is_read_slowly_has_each_once),
		test_still(those_beyond_the_most_wait_for_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
