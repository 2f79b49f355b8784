/* SPDX-License-Identifier: Apache-2.0 */
/* Guests that talk to each other: two daemons that share nothing but a directory. */
#include "fake_control.h"
#include "fake_flow.h"

enum {
	CID_A = GUEST_CID,
	CID_B = GUEST_CID + 1,
	CID_FAKE = 77, /* played by the test itself */
	MANY_BYTES = 64 << 20,
	SOMEBODY = 12346,
	NOBODY = 65534,
};

struct siblings {
	struct guest *a, *b;
	char dir[64];
	int fake; /* listens as CID_FAKE */
};

static void peer_path(const struct siblings *s, uint32_t cid, char path[static 100])
{
	snprintf(path, 100, "%s/%u", s->dir, cid);
}

static struct guest *sibling(struct siblings *s, uint32_t cid)
{
	struct guest *g =
		guest_new_with((struct vsockd_options){.cid = cid, .peers = s->dir});

	g->from_cid = 0;
	g->features |= 1 << 1; /* SEQPACKET */
	return g;
}

static struct siblings *make(void)
{
	struct siblings *s = calloc(1, sizeof(*s));

	alarm(PATIENCE * 3 / 1000);
	strcpy(s->dir, "/tmp/vsockd-peers-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->fake = -1;
	s->a = sibling(s, CID_A);
	guest_start(s->a);
	return s;
}

static int setup_one(void **state)
{
	*state = make();
	return 0;
}

static int setup_two(void **state)
{
	struct siblings *s = make();

	s->b = sibling(s, CID_B);
	guest_start(s->b);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct siblings *s = *state;

	guest_free(s->a);
	if (s->b)
		guest_free(s->b);
	if (s->fake >= 0)
		close(s->fake);
	run_command("rm -rf", s->dir);
	free(s);
	return 0;
}

/* The test listens as a sibling would. */
static void be_fake(struct siblings *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	s->fake = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	peer_path(s, CID_FAKE, addr.sun_path);
	assert_int_equal(bind(s->fake, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->fake, 8), 0);
}

static struct packet to(struct guest *g, uint64_t cid, enum packet_op op, uint32_t from,
			uint32_t port, uint32_t len)
{
	struct packet packet = guest_packet(op, from, port, len);

	packet.src_cid = g->cid;
	packet.dst_cid = cid;
	return packet;
}

static void say(struct guest *g, uint64_t cid, enum packet_op op, uint32_t from,
		uint32_t port, const char *text)
{
	struct packet packet = to(g, cid, op, from, port, (uint32_t)strlen(text));

	guest_send(g, &packet, text);
}

static struct packet hear(struct guest *g, uint64_t cid, enum packet_op op,
			  uint32_t port, uint32_t from)
{
	struct packet packet = guest_expect(g, op, port, from);

	assert_int_equal(packet.src_cid, cid);
	return packet;
}

/* The next packet with data must be this. */
static void hear_text(struct guest *g, uint64_t cid, const char *text)
{
	char payload[4096];
	struct packet packet;

	do
		guest_receive(g, &packet, payload);
	while (packet.op == PACKET_CREDIT_UPDATE);
	assert_int_equal(packet.op, PACKET_RW);
	assert_int_equal(packet.src_cid, cid);
	assert_int_equal(packet.len, strlen(text));
	assert_memory_equal(payload, text, packet.len);
}

/* A's port 1234 is joined to B's port 7000. */
static void join(struct siblings *s)
{
	say(s->a, CID_B, PACKET_REQUEST, 1234, 7000, "");
	hear(s->b, CID_A, PACKET_REQUEST, 7000, 1234);
	say(s->b, CID_A, PACKET_RESPONSE, 7000, 1234, "");
	hear(s->a, CID_B, PACKET_RESPONSE, 1234, 7000);
}

static void a_guest_reaches_another_by_its_cid(void **state)
{
	struct siblings *s = *state;

	join(s);
	say(s->a, CID_B, PACKET_RW, 1234, 7000, "hello");
	hear_text(s->b, CID_A, "hello");
	say(s->b, CID_A, PACKET_RW, 7000, 1234, "world");
	hear_text(s->a, CID_B, "world");
}

static void both_ends_are_named_in_the_log_and_in_the_list(void **state)
{
	struct siblings *s = *state;
	const char *list;

	join(s);
	assert_true(log_has(s->a, "connection 43:7000-42:1234 is open"));
	assert_true(log_has(s->b, "connection 42:1234-43:7000 is open"));
	list = control_ask(s->a->control, "list\n");
	assert_non_null(strstr(list, "\nstream open 42 1234 43 7000 guest "));
	list = control_ask(s->b->control, "list\n");
	assert_non_null(strstr(list, "\nstream open 43 7000 42 1234 peer "));
	say(s->a, CID_B, PACKET_RST, 1234, 7000, "");
	wait_until(log_has(s->a, "connection 43:7000-42:1234: the guest has reset"));
}

static void two_guests_send_much_at_each_other_at_once(void **state)
{
	struct siblings *s = *state;
	struct flow a = flow_of(1234, 7000), b = flow_of(7000, 1234);
	uint32_t len = 65536;

	join(s);
	a.peer_cid = CID_B;
	b.peer_cid = CID_A;
	while (a.received < MANY_BYTES || b.received < MANY_BYTES) {
		bool moved = false;

		if (a.sent < MANY_BYTES)
			moved |= flow_send(s->a, &a, len, 2);
		if (b.sent < MANY_BYTES)
			moved |= flow_send(s->b, &b, len, 2);
		flow_receive(s->a, &a);
		flow_receive(s->b, &b);
		if (!moved)
			usleep(100);
	}
	assert_int_equal(a.sent, b.received);
	assert_int_equal(b.sent, a.received);
}

static void a_half_close_reaches_the_other_guest(void **state)
{
	struct siblings *s = *state;
	struct packet shut = to(s->a, CID_B, PACKET_SHUTDOWN, 1234, 7000, 0);

	join(s);
	say(s->a, CID_B, PACKET_RW, 1234, 7000, "question");
	shut.flags = PACKET_SHUT_SEND;
	guest_send(s->a, &shut, NULL);
	hear_text(s->b, CID_A, "question");
	assert_int_equal(hear(s->b, CID_A, PACKET_SHUTDOWN, 7000, 1234).flags,
			 PACKET_SHUT_SEND);
	say(s->b, CID_A, PACKET_RW, 7000, 1234, "answer");
	hear_text(s->a, CID_B, "answer");
	shut = to(s->b, CID_A, PACKET_SHUTDOWN, 7000, 1234, 0);
	shut.flags = PACKET_SHUT_BOTH;
	guest_send(s->b, &shut, NULL);
	hear(s->b, CID_A, PACKET_RST, 7000, 1234);
	hear(s->a, CID_B, PACKET_SHUTDOWN, 1234, 7000);
}

static void a_reset_ends_the_other_guests_connection(void **state)
{
	struct siblings *s = *state;

	join(s);
	say(s->a, CID_B, PACKET_RW, 1234, 7000, "last");
	say(s->a, CID_B, PACKET_RST, 1234, 7000, "");
	hear_text(s->b, CID_A, "last");
	assert_int_equal(hear(s->b, CID_A, PACKET_SHUTDOWN, 7000, 1234).flags,
			 PACKET_SHUT_BOTH);
	say(s->b, CID_A, PACKET_RST, 7000, 1234, "");
	/* And the same ports can be used again. */
	join(s);
}

static void a_machine_that_goes_away_ends_the_other_guests_connection(void **state)
{
	struct siblings *s = *state;

	join(s);
	/* B's daemon was forked with a copy of the descriptor. */
	shutdown(s->a->front, SHUT_RDWR);
	hear(s->b, CID_A, PACKET_SHUTDOWN, 7000, 1234);
}

static void the_same_ports_of_two_cids_are_two_connections(void **state)
{
	struct siblings *s = *state;
	int listener = listen_port(s->a, 7000), fd;

	join(s);
	say(s->a, PACKET_HOST_CID, PACKET_REQUEST, 1234, 7000, "");
	fd = accept_port(listener);
	hear(s->a, PACKET_HOST_CID, PACKET_RESPONSE, 1234, 7000);
	say(s->a, PACKET_HOST_CID, PACKET_RW, 1234, 7000, "host");
	say(s->a, CID_B, PACKET_RW, 1234, 7000, "guest");
	host_expect(fd, "host");
	hear_text(s->b, CID_A, "guest");
	host_send(fd, "from host");
	hear_text(s->a, PACKET_HOST_CID, "from host");
	say(s->b, CID_A, PACKET_RW, 7000, 1234, "from guest");
	hear_text(s->a, CID_B, "from guest");
	close(fd);
	close(listener);
}

static void messages_reach_the_other_guest_whole(void **state)
{
	struct siblings *s = *state;
	struct packet packet = to(s->a, CID_B, PACKET_REQUEST, 1234, 7000, 0);
	char payload[4096];

	packet.type = PACKET_SEQPACKET;
	guest_send(s->a, &packet, NULL);
	packet = hear(s->b, CID_A, PACKET_REQUEST, 7000, 1234);
	assert_int_equal(packet.type, PACKET_SEQPACKET);
	packet = to(s->b, CID_A, PACKET_RESPONSE, 7000, 1234, 0);
	packet.type = PACKET_SEQPACKET;
	guest_send(s->b, &packet, NULL);
	hear(s->a, CID_B, PACKET_RESPONSE, 1234, 7000);
	for (int i = 0; i < 2; i++) {
		packet = to(s->a, CID_B, PACKET_RW, 1234, 7000, 3);
		packet.type = PACKET_SEQPACKET;
		packet.flags = i ? PACKET_EOM : 0;
		guest_send(s->a, &packet, "abc");
	}
	guest_receive(s->b, &packet, payload);
	assert_int_equal(packet.len, 6);
	assert_int_equal(packet.flags, PACKET_EOM);
	assert_memory_equal(payload, "abcabc", 6);
}

static void a_port_that_no_guest_program_has_is_refused(void **state)
{
	struct siblings *s = *state;

	say(s->a, CID_B, PACKET_REQUEST, 1234, 7000, "");
	hear(s->b, CID_A, PACKET_REQUEST, 7000, 1234);
	say(s->b, CID_A, PACKET_RST, 7000, 1234, "");
	hear(s->a, CID_B, PACKET_RST, 1234, 7000);
}

static void absent_and_ended_siblings_are_refused_at_once(void **state)
{
	struct siblings *s = *state;

	say(s->a, 99, PACKET_REQUEST, 1234, 7000, "");
	hear(s->a, 99, PACKET_RST, 1234, 7000);
	/* Killed: its socket is left behind. */
	be_fake(s);
	close(s->fake);
	s->fake = -1;
	say(s->a, CID_FAKE, PACKET_REQUEST, 1234, 7000, "");
	hear(s->a, CID_FAKE, PACKET_RST, 1234, 7000);
	/* There, but its guest is not. */
	s->b = sibling(s, CID_B);
	say(s->a, CID_B, PACKET_REQUEST, 1234, 7000, "");
	hear(s->a, CID_B, PACKET_RST, 1234, 7000);
}

static void a_sibling_that_stands_still_holds_nobody_up(void **state)
{
	struct siblings *s = *state;
	uint32_t port;
	int fd;

	kill(s->b->pid, SIGSTOP);
	say(s->a, CID_B, PACKET_REQUEST, 1234, 7000, "");
	s->a->from_cid = PACKET_HOST_CID;
	fd = join_in(s->a, 5000, &port);
	say(s->a, PACKET_HOST_CID, PACKET_RW, 5000, port, "works");
	host_expect(fd, "works");
	close(fd);
	hear(s->a, PACKET_HOST_CID, PACKET_SHUTDOWN, 5000, port);
	say(s->a, PACKET_HOST_CID, PACKET_RST, 5000, port, "");
	s->a->from_cid = 0;
	/* It goes on where it was. */
	kill(s->b->pid, SIGCONT);
	hear(s->b, CID_A, PACKET_REQUEST, 7000, 1234);
	say(s->b, CID_A, PACKET_RESPONSE, 7000, 1234, "");
	hear(s->a, CID_B, PACKET_RESPONSE, 1234, 7000);
}

/* A asks the fake sibling; returns the connection, with the line read. */
static int ask_fake(struct siblings *s, uint32_t from)
{
	char want[64];
	int fd;

	say(s->a, CID_FAKE, PACKET_REQUEST, from, 7000, "");
	fd = accept_port(s->fake);
	snprintf(want, sizeof(want), "CONNECT 7000 FROM %u:%u\n", s->a->cid, from);
	host_expect(fd, want);
	return fd;
}

static void a_sibling_may_take_its_time_and_then_refuse(void **state)
{
	struct siblings *s = *state;
	int fd;

	be_fake(s);
	fd = ask_fake(s, 1);
	guest_expect_nothing(s->a);
	host_send(fd, "OK 70");
	guest_expect_nothing(s->a);
	close(fd);
	hear(s->a, CID_FAKE, PACKET_RST, 1, 7000);
	/* An answer that is none. */
	fd = ask_fake(s, 2);
	host_send(fd, "NO");
	hear(s->a, CID_FAKE, PACKET_RST, 2, 7000);
	host_expect_closed(fd);
	close(fd);
	/* The guest does not wait. */
	fd = ask_fake(s, 3);
	say(s->a, CID_FAKE, PACKET_RST, 3, 7000, "");
	host_expect_eof(fd);
	close(fd);
	/* It sends before it may. */
	fd = ask_fake(s, 4);
	say(s->a, CID_FAKE, PACKET_RW, 4, 7000, "early");
	hear(s->a, CID_FAKE, PACKET_RST, 4, 7000);
	close(fd);
}

static void bytes_behind_the_ok_line_are_the_guests(void **state)
{
	struct siblings *s = *state;
	int fd;

	be_fake(s);
	fd = ask_fake(s, 1234);
	host_send(fd, "OK 7000\nfirst");
	close(fd);
	hear(s->a, CID_FAKE, PACKET_RESPONSE, 1234, 7000);
	hear_text(s->a, CID_FAKE, "first");
	assert_int_equal(hear(s->a, CID_FAKE, PACKET_SHUTDOWN, 1234, 7000).flags,
			 PACKET_SHUT_BOTH);
}

/* Somebody connects to A's socket among the siblings, and says that. */
static int claim(struct siblings *s, const char *line)
{
	char path[100];
	int fd;

	peer_path(s, CID_A, path);
	fd = connect_unix(path);
	assert_true(fd >= 0);
	host_send(fd, line);
	return fd;
}

/* A sibling whose daemon another user runs, who may write to the directory. */
static struct guest *sibling_of(struct siblings *s, uid_t uid)
{
	struct guest *other;

	if (geteuid() != 0)
		skip(); /* nobody else can become somebody else */
	assert_int_equal(chmod(s->dir, 0777), 0);
	front_uid = uid;
	other = sibling(s, CID_B);
	front_uid = 0;
	guest_start(other);
	return other;
}

/* The other user is let in. */
static void open_to_all(const struct siblings *s)
{
	char path[100];

	peer_path(s, CID_A, path);
	assert_int_equal(chmod(path, 0666), 0);
}

/* Users that a user namespace does not know all look like nobody. */
static void nobodys_guest_is_not_believed(void **state)
{
	struct siblings *s = *state;
	struct guest *other = sibling_of(s, NOBODY);

	open_to_all(s);
	say(other, CID_A, PACKET_REQUEST, 1234, 7000, "");
	hear(other, CID_A, PACKET_RST, 1234, 7000);
	assert_true(log_has(s->a, "nobody's sockets are anybody's"));
	guest_expect_nothing(s->a);
	guest_free(other);
}

/* Whoever can connect as a sibling keeps neither the host nor the guest out. */
static void siblings_get_half_of_the_connections(void **state)
{
	struct siblings *s = *state;
	struct vsockd_options options = {
		.cid = CID_B, .peers = s->dir, .limits = LIMITS_DEFAULT};
	int fd[9], mine;
	struct packet packet;
	char path[100];

	options.limits.max_connections = 16;
	s->b = guest_new_with(options);
	guest_start(s->b);
	peer_path(s, CID_B, path);
	for (size_t i = 0; i < 8; i++)
		fd[i] = connect_unix(path);
	wait_until(control_stat(s->b, "connections") == 8);
	fd[8] = connect_unix(path);
	host_expect_closed(fd[8]);
	assert_true(log_has(s->b, "siblings have 8 connections"));
	mine = connect_unix(s->b->uds);
	host_send(mine, "CONNECT 5000\n");
	guest_receive(s->b, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.dst_port, 5000);
	/* The end of one makes room for another. */
	close(fd[0]);
	wait_until(control_stat(s->b, "connections") == 8); /* and mine */
	fd[0] = connect_unix(path);
	wait_until(control_stat(s->b, "connections") == 9);
	for (size_t i = 0; i < 9; i++)
		close(fd[i]);
	close(mine);
}

/* Sends as much as the window allows, to who does not read. Whether it was reset. */
static bool fill_window(struct guest *g, uint64_t cid, uint32_t from, uint32_t port)
{
	static uint8_t payload[32768];
	struct packet rw = to(g, cid, PACKET_RW, from, port, sizeof(payload)), packet;
	uint32_t sent = 0, taken = 0;
	bool reset = false;

	while (!reset && sent - taken + rw.len <= 256 * 1024) {
		guest_send(g, &rw, payload);
		sent += rw.len;
		/* The daemon is not done with the turn before it answers here. */
		front_get_u64(g, VHOST_USER_GET_FEATURES);
		while (guest_try_receive(g, &packet, NULL)) {
			assert_int_equal(packet.src_cid, cid);
			assert_int_equal(packet.dst_port, from);
			reset |= packet.op == PACKET_RST;
			taken = packet.fwd_cnt;
		}
	}
	return reset;
}

/* Those that connect and do not read leave memory for the guest's other peers. */
static void siblings_get_half_of_the_buffers(void **state)
{
	struct siblings *s = *state;
	struct vsockd_options options = {
		.cid = CID_B, .peers = s->dir, .limits = LIMITS_DEFAULT};
	unsigned int resets = 0;
	char path[100], line[64];
	struct packet packet;
	int fd[4], host[2];

	options.limits.buffer_total = 1 << 20;
	s->b = guest_new_with(options);
	s->b->from_cid = 0;
	guest_start(s->b);
	be_fake(s);
	peer_path(s, CID_B, path);
	for (uint32_t i = 0; i < 4; i++) {
		fd[i] = connect_unix(path);
		snprintf(line, sizeof(line), "CONNECT 5000 FROM %d:%u\n", CID_FAKE, i);
		host_send(fd[i], line);
		hear(s->b, CID_FAKE, PACKET_REQUEST, 5000, i);
		say(s->b, CID_FAKE, PACKET_RESPONSE, 5000, i, "");
		resets += fill_window(s->b, CID_FAKE, 5000, i);
	}
	assert_int_equal(resets, 2);
	assert_true(log_has(s->b, "their half of --buffer-total"));
	assert_in_range(control_stat(s->b, "backlog_memory_bytes"), 1, 512 * 1024);
	for (uint32_t i = 0; i < 2; i++) {
		host[i] = connect_unix(s->b->uds);
		host_send(host[i], "CONNECT 6000\n");
		guest_receive(s->b, &packet, NULL);
		assert_int_equal(packet.op, PACKET_REQUEST);
		say(s->b, PACKET_HOST_CID, PACKET_RESPONSE, 6000, packet.src_port, "");
		assert_false(fill_window(s->b, PACKET_HOST_CID, 6000, packet.src_port));
	}
	assert_true(control_stat(s->b, "backlog_memory_bytes") > 512 * 1024);
	/* What one of them gives back is the next one's. */
	close(fd[0]);
	fd[0] = connect_unix(path);
	host_send(fd[0], "CONNECT 5000 FROM 77:9\n");
	do
		guest_receive(s->b, &packet, NULL);
	while (packet.op != PACKET_REQUEST);
	say(s->b, CID_FAKE, PACKET_RESPONSE, 5000, 9, "");
	assert_false(fill_window(s->b, CID_FAKE, 5000, 9));
	for (size_t i = 0; i < 4; i++)
		close(fd[i]);
	for (size_t i = 0; i < 2; i++)
		close(host[i]);
}

static void who_is_believed_never_passes_for_the_host(void **state)
{
	static const char *const lie[] = {
		"CONNECT 5000\n",
		"CONNECT 5000 FROM 0:1\n",
		"CONNECT 5000 FROM 1:1\n",
		"CONNECT 5000 FROM 2:1\n",
		"CONNECT 5000 FROM 42:1\n",
		"CONNECT 5000 FROM 4294967295:1\n",
		"CONNECT 5000 FROM 4294967298:1\n",
		"CONNECT 5000 FROM 88:1\n", /* has no socket */
		"CONNECT 5000 FROM 89:1\n", /* what it has is no socket */
		"CONNECT 5000 FROM 90:1\n", /* it is somebody else's */
	};
	struct siblings *s = *state;
	char path[100];
	int fd;

	be_fake(s);
	peer_path(s, 89, path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	peer_path(s, CID_FAKE, path);
	if (geteuid() == 0) {
		char other[100];

		peer_path(s, 90, other);
		assert_int_equal(link(path, other), 0);
		assert_int_equal(chown(other, SOMEBODY, SOMEBODY), 0);
	}
	for (size_t i = 0; i < sizeof(lie) / sizeof(lie[0]); i++) {
		fd = claim(s, lie[i]);
		host_expect_closed(fd);
		close(fd);
	}
	/* That link was CID_FAKE's own socket. */
	assert_int_equal(chown(path, geteuid(), getegid()), 0);
	/* Nor does the host's socket take a claim. */
	fd = connect_unix(s->a->uds);
	host_send(fd, "CONNECT 5000 FROM 77:1\n");
	host_expect_closed(fd);
	close(fd);
	guest_expect_nothing(s->a);
	fd = claim(s, "CONNECT 5000 FROM 77:9\nhello");
	hear(s->a, CID_FAKE, PACKET_REQUEST, 5000, 9);
	say(s->a, CID_FAKE, PACKET_RESPONSE, 5000, 9, "");
	hear_text(s->a, CID_FAKE, "hello");
	host_expect(fd, "OK 9\n");
	close(fd);
}

static void a_pair_of_ports_is_taken_once(void **state)
{
	struct siblings *s = *state;
	int fd, other;

	be_fake(s);
	fd = claim(s, "CONNECT 5000 FROM 77:9\n");
	hear(s->a, CID_FAKE, PACKET_REQUEST, 5000, 9);
	other = claim(s, "CONNECT 5000 FROM 77:9\n");
	host_expect_closed(other);
	close(other);
	say(s->a, CID_FAKE, PACKET_RESPONSE, 5000, 9, "");
	host_expect(fd, "OK 9\n");
	/* By itself it has ended, so it can come again. */
	say(s->a, CID_FAKE, PACKET_RST, 5000, 9, "");
	host_expect_eof(fd);
	close(fd);
	fd = claim(s, "CONNECT 5000 FROM 77:9\n");
	hear(s->a, CID_FAKE, PACKET_REQUEST, 5000, 9);
	close(fd);
}

static void cids_that_are_no_siblings_are_refused(void **state)
{
	static const uint64_t cid[] = {0, 1, CID_A, 4294967295, 1ULL << 32 | CID_B};
	struct siblings *s = *state;

	for (uint32_t i = 0; i < sizeof(cid) / sizeof(cid[0]); i++) {
		say(s->a, cid[i], PACKET_REQUEST, 100 + i, 7000, "");
		hear(s->a, cid[i], PACKET_RST, 100 + i, 7000);
	}
}

/* Modes and owners decide. */
static void permissions_decide_who_may_connect(void **state)
{
	struct siblings *s = *state;
	struct guest *other = sibling_of(s, SOMEBODY);
	int fd;

	say(other, CID_A, PACKET_REQUEST, 1234, 7000, "");
	hear(other, CID_A, PACKET_RST, 1234, 7000);
	assert_true(log_has(other, "Permission denied"));
	guest_expect_nothing(s->a);

	open_to_all(s);
	say(other, CID_A, PACKET_REQUEST, 1234, 7000, "");
	hear(s->a, CID_B, PACKET_REQUEST, 7000, 1234);
	say(s->a, CID_B, PACKET_RESPONSE, 7000, 1234, "");
	hear(other, CID_A, PACKET_RESPONSE, 1234, 7000);
	/* Root may connect to any, and is not that guest all the same. */
	fd = claim(s, "CONNECT 7000 FROM 43:1\n");
	host_expect_closed(fd);
	close(fd);
	guest_free(other);
}

int main(void)
{
#define one(name) cmocka_unit_test_setup_teardown(name, setup_one, teardown)
#define two(name) cmocka_unit_test_setup_teardown(name, setup_two, teardown)
	const struct CMUnitTest tests[] = {
		two(a_guest_reaches_another_by_its_cid),
		two(both_ends_are_named_in_the_log_and_in_the_list),
		two(two_guests_send_much_at_each_other_at_once),
		two(a_half_close_reaches_the_other_guest),
		two(a_reset_ends_the_other_guests_connection),
		two(a_machine_that_goes_away_ends_the_other_guests_connection),
		two(the_same_ports_of_two_cids_are_two_connections),
		two(messages_reach_the_other_guest_whole),
		two(a_port_that_no_guest_program_has_is_refused),
		one(absent_and_ended_siblings_are_refused_at_once),
		two(a_sibling_that_stands_still_holds_nobody_up),
		one(a_sibling_may_take_its_time_and_then_refuse),
		one(bytes_behind_the_ok_line_are_the_guests),
		one(who_is_believed_never_passes_for_the_host),
		one(nobodys_guest_is_not_believed),
		one(siblings_get_half_of_the_connections),
		one(siblings_get_half_of_the_buffers),
		one(a_pair_of_ports_is_taken_once),
		one(cids_that_are_no_siblings_are_refused),
		one(permissions_decide_who_may_connect),
	};

	return cmocka_run_group_tests_name("device: siblings", tests, NULL, NULL);
}
