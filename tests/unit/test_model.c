/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything that the two sides of many connections may do, in any order, beside a model
 * that knows which byte has to come next, and what has to have arrived in the end. The
 * operations come from a seed, which is printed: MODEL_SEED takes one again, and
 * MODEL_OPERATIONS tells how many there are to be.
 */
#include "fake_control.h"

#define CHECK(condition) assert_true(condition)
#include "way.h"

enum {
	OPERATIONS = 200000,
	LINKS = 20,
	STREAM_PORT = 6000, /* of the host, where somebody accepts */
	SEQPACKET_PORT,
	NOBODY_PORT,
	FIRST_PORT = 10000,	/* of the guest's; each connection has its own */
	MESSAGE_MAX = 60000,	/* less than any window */
	WINDOW_MIN = 64 * 1024, /* of the guest's */
	LAZY = 16,		/* a lazy reader reads at one chance of so many */
	BYTES_MAX = 1 << 17,
};

enum guest_state {
	UNUSED,
	ASKED, /* one side has, the other has yet to answer */
	OPEN,
	OVER, /* an RST has gone, or come */
};

/* One connection. */
struct link {
	enum guest_state state;
	uint16_t type;
	bool by_host, refused;
	uint32_t guest_port, host_port;
	struct way to_host, to_guest;
	/* The guest's end. */
	uint32_t window;
	uint64_t consumed;
	uint32_t told;	    /* consumed, as the device knows it */
	uint64_t edge;	    /* how far the device may send */
	uint32_t heard;	    /* of to_host, what the device has passed on */
	uint8_t guest_shut; /* PACKET_SHUT_* that the guest has said, */
	uint8_t peer_shut;  /* or was told */
	/* The host program's end, -1: closed. */
	int fd;
	bool line_due, host_shut, host_eof;
	/* Nobody promises that all arrives. */
	bool lossy_to_host, lossy_to_guest;
	bool lazy_host, lazy_guest;
};

/* All that is random of an operation, so that the next one has its own. */
struct operation {
	unsigned int what, link, size, how;
};

struct model {
	struct guest *g;
	int listener[2];
	struct link link[LINKS];
	uint32_t next_port;
	unsigned int unsent; /* packets in the ring that the device was not told of */
	uint64_t sent, received; /* by the guest, over all connections */
	uint64_t opened;
	unsigned int files;
};

static uint8_t bytes[BYTES_MAX + 1];

static uint32_t alloc_of_device(void)
{
	return ((struct limits)LIMITS_DEFAULT).conn_buffer;
}

/* The guest's packets go to the device, which takes them all. */
static void flush(struct model *m)
{
	uint32_t id, len;

	fake_publish(m->g, 1);
	for (; m->unsent; m->unsent--) {
		while (!fake_reap(m->g, 1, &id, &len))
			fake_wait(m->g, 1);
		assert_int_equal(len, 0);
	}
}

static struct packet packet_of(const struct link *l, enum packet_op op)
{
	struct packet packet = guest_packet(op, l->guest_port, l->host_port, 0);

	packet.type = l->type;
	packet.buf_alloc = l->window;
	packet.fwd_cnt = (uint32_t)l->consumed;
	return packet;
}

/* Several packets may be put into the ring before the device hears of them. */
static void put(struct model *m, struct link *l, const struct packet *packet,
		unsigned int parts)
{
	uint8_t head[PACKET_HEADER_SIZE];

	packet_encode(packet, head);
	guest_put_tx(m->g, m->g->ring[1].next % TX_SLOTS, head, bytes, packet->len,
		     parts);
	l->told = packet->fwd_cnt;
	if (l->edge < l->consumed + l->window)
		l->edge = l->consumed + l->window;
	if (++m->unsent == TX_SLOTS)
		flush(m);
}

static void put_op(struct model *m, struct link *l, enum packet_op op)
{
	struct packet packet = packet_of(l, op);

	put(m, l, &packet, 1);
	if (op == PACKET_RST)
		l->state = OVER;
}

static struct link *new_link(struct model *m, struct link *l, bool seqpacket,
			     unsigned int how)
{
	*l = (struct link){
		.state = ASKED,
		.type = seqpacket ? PACKET_SEQPACKET : PACKET_STREAM,
		.guest_port = m->next_port++,
		.window = GUEST_BUFALLOC,
		.fd = -1,
		.lazy_host = how % 4 == 1,
		.lazy_guest = how / 4 % 4 == 1,
	};
	way_begin(&l->to_host, 2 * l->guest_port);
	way_begin(&l->to_guest, 2 * l->guest_port + 1);
	return l;
}

/* A host program connects, and does not wait for the answer. */
static void connect_in(struct model *m, struct link *l)
{
	char path[100], line[HYBRID_LINE_MAX + 1] = "";

	snprintf(path, sizeof(path), "%s%s", m->g->uds,
		 l->type == PACKET_SEQPACKET ? ".seqpacket" : "");
	l->fd = connect_type(path, l->type == PACKET_SEQPACKET ? SOCK_SEQPACKET
							       : SOCK_STREAM);
	assert_true(l->fd >= 0);
	l->by_host = l->line_due = true;
	hybrid_format_connect(line, l->guest_port);
	host_send(l->fd, line);
}

/* The guest connects; who is to accept does so at once. */
static void connect_out(struct model *m, struct link *l, bool nobody)
{
	bool seqpacket = l->type == PACKET_SEQPACKET;

	l->host_port = nobody ? NOBODY_PORT : seqpacket ? SEQPACKET_PORT : STREAM_PORT;
	put_op(m, l, PACKET_REQUEST);
	if (nobody)
		return;
	flush(m);
	l->fd = accept_port(m->listener[seqpacket]);
	assert_true(l->fd >= 0);
}

static void open_link(struct model *m, struct link *l, const struct operation *o)
{
	new_link(m, l, o->how & 1, o->size);
	if (o->how & 2)
		connect_in(m, l);
	else
		connect_out(m, l, o->how / 4 % 16 == 0);
	l->refused = l->by_host && o->how / 4 % 16 == 0;
}

static void guest_writes(struct model *m, struct link *l, const struct operation *o)
{
	struct packet packet = packet_of(l, PACKET_RW);
	uint32_t credit = alloc_of_device() - ((uint32_t)l->to_host.sent - l->heard);
	bool eom = false;

	if (l->state != OPEN || l->guest_shut & PACKET_SHUT_SEND)
		return;
	packet.len = o->size % 65536 < credit ? o->size % 65536 : credit;
	if (l->type == PACKET_SEQPACKET) {
		uint64_t room = MESSAGE_MAX - l->to_host.part_sent;

		if (packet.len > room)
			packet.len = (uint32_t)room;
		eom = o->how & 1 || packet.len == room;
		if (eom && l->to_host.messages == WAY_MESSAGES)
			return;
		packet.flags = eom ? PACKET_EOM : 0;
	}
	way_fill(&l->to_host, bytes, packet.len);
	put(m, l, &packet, 1 + o->how / 2 % TX_DESCS);
	way_sent(&l->to_host, packet.len, eom);
	m->sent += packet.len;
}

static void host_writes(struct link *l, const struct operation *o)
{
	bool seqpacket = l->type == PACKET_SEQPACKET;
	size_t len = o->size % (seqpacket ? MESSAGE_MAX : BYTES_MAX);
	ssize_t n;

	if (l->fd < 0 || l->host_shut || l->to_guest.messages == WAY_MESSAGES)
		return;
	way_fill(&l->to_guest, bytes, len);
	n = send(l->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		way_sent(&l->to_guest, (size_t)n, seqpacket);
	else if (errno != EAGAIN) /* it was told that nobody reads */
		assert_true(l->state == OVER || l->guest_shut & PACKET_SHUT_RCV ||
			    l->lossy_to_guest);
}

/* The OK line, byte for byte. False: more of it has to come. */
static bool host_reads_line(struct link *l, ssize_t *n)
{
	char line[HYBRID_LINE_MAX] = "";
	bool whole = l->type == PACKET_SEQPACKET;
	uint32_t port;

	/* It is written at once. */
	*n = recv(l->fd, line, sizeof(line), MSG_DONTWAIT | (whole ? 0 : MSG_PEEK));
	if (*n <= 0)
		return false;
	*n = hybrid_parse_ok(line, (size_t)*n, &port);
	assert_true(*n > 0);
	if (!whole)
		assert_int_equal(recv(l->fd, line, (size_t)*n, 0), *n);
	assert_true(!l->host_port || port == l->host_port);
	l->line_due = false;
	return true;
}

/* It has ended: then what was to come has come. */
static void host_at_end(struct link *l)
{
	l->host_eof = true;
	if (l->line_due) {
		assert_true(l->refused || l->lossy_to_host || l->state == OVER);
		return;
	}
	assert_true(l->state == OVER || l->guest_shut & PACKET_SHUT_SEND ||
		    l->lossy_to_host);
	if (!l->lossy_to_host)
		assert_true(way_is_done(&l->to_host));
}

/* True when something came. */
static bool host_reads(struct link *l, size_t max)
{
	bool seqpacket = l->type == PACKET_SEQPACKET;
	ssize_t n;

	if (l->fd < 0 || l->host_eof)
		return false;
	if (l->line_due) {
		if (!host_reads_line(l, &n) && n == 0)
			host_at_end(l);
		return n > 0;
	}
	n = recv(l->fd, bytes, seqpacket ? BYTES_MAX : max, MSG_DONTWAIT);
	/* What the device had yet to read was lost; what it wrote is still there. */
	if (n < 0 && errno == ECONNRESET)
		return true;
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}
	if (n == 0 && !(seqpacket && way_expects_empty(&l->to_host))) {
		host_at_end(l);
		return false;
	}
	way_check(&l->to_host, bytes, (size_t)n);
	way_received(&l->to_host, (size_t)n, seqpacket);
	return true;
}

static void guest_shuts(struct model *m, struct link *l, uint8_t flags)
{
	struct packet packet = packet_of(l, PACKET_SHUTDOWN);

	if (l->state != OPEN)
		return;
	packet.flags = l->guest_shut |= flags;
	put(m, l, &packet, 1);
	if (l->guest_shut & PACKET_SHUT_RCV)
		l->lossy_to_guest = true;
}

static void host_shuts(struct link *l, int how)
{
	if (l->fd < 0 || l->line_due)
		return;
	shutdown(l->fd, how);
	if (how != SHUT_RD)
		l->host_shut = true;
	if (how != SHUT_WR)
		l->lossy_to_host = true;
}

static void host_closes(struct link *l)
{
	if (l->fd < 0)
		return;
	/* The kernel tells of what was left unread before it tells the messages. */
	if (l->line_due ||
	    (l->type == PACKET_SEQPACKET && l->to_host.received != l->to_host.sent))
		l->lossy_to_guest = true;
	if (!l->host_eof)
		l->lossy_to_host = true;
	close(l->fd);
	l->fd = -1;
}

static void guest_aborts(struct model *m, struct link *l)
{
	if (l->state != OPEN)
		return;
	put_op(m, l, PACKET_RST);
	l->lossy_to_guest = true;
}

static void guest_consumes(struct model *m, struct link *l, const struct operation *o)
{
	if (l->state != OPEN)
		return;
	l->consumed += o->size % (l->to_guest.received - l->consumed + 1);
	if (o->how & 1 || (uint32_t)l->consumed - l->told > l->window / 2)
		put_op(m, l, PACKET_CREDIT_UPDATE);
}

static void guest_resizes(struct model *m, struct link *l, const struct operation *o)
{
	if (l->state != OPEN)
		return;
	l->window = WINDOW_MIN + o->size % (GUEST_BUFALLOC - WINDOW_MIN + 1);
	put_op(m, l, PACKET_CREDIT_UPDATE);
}

static struct link *find_link(struct model *m, const struct packet *packet)
{
	for (size_t i = 0; i < LINKS; i++) {
		struct link *l = &m->link[i];

		if (l->state == UNUSED || l->guest_port != packet->dst_port)
			continue;
		if (!l->host_port)
			l->host_port = packet->src_port;
		assert_int_equal(packet->src_port, l->host_port);
		assert_int_equal(packet->type, l->type);
		return l;
	}
	/* Of one that has been forgotten: the device could not know yet. */
	assert_in_range(packet->dst_port, FIRST_PORT, m->next_port - 1);
	return NULL;
}

static void guest_takes_data(struct link *l, const struct packet *packet)
{
	bool eom = l->type == PACKET_SEQPACKET && packet->flags & PACKET_EOM;

	assert_true(l->to_guest.received + packet->len <= l->edge);
	way_check(&l->to_guest, bytes, packet->len);
	way_received(&l->to_guest, packet->len, eom);
	assert_int_equal(l->peer_shut & PACKET_SHUT_SEND, 0);
}

/* No more comes: then all that was to come has come. */
static void guest_at_end(const struct link *l)
{
	assert_true(l->host_shut || l->fd < 0 || l->lossy_to_guest);
	if (!l->lossy_to_guest)
		assert_true(way_is_done(&l->to_guest));
}

static void guest_takes(struct model *m, struct link *l, const struct packet *packet)
{
	if (packet->op != PACKET_RST) {
		assert_int_equal(packet->buf_alloc, alloc_of_device());
		assert_true(packet->fwd_cnt >= l->heard);
		assert_true(packet->fwd_cnt <= l->to_host.sent);
		l->heard = packet->fwd_cnt;
	}
	switch (packet->op) {
	case PACKET_REQUEST:
		assert_true(l->state == ASKED && l->by_host);
		if (l->refused) {
			put_op(m, l, PACKET_RST);
			break;
		}
		put_op(m, l, PACKET_RESPONSE);
		l->state = OPEN;
		break;
	case PACKET_RESPONSE:
		assert_true(l->state == ASKED && !l->by_host);
		l->state = OPEN;
		m->opened++;
		break;
	case PACKET_RW:
		assert_int_equal(l->state, OPEN);
		guest_takes_data(l, packet);
		break;
	case PACKET_SHUTDOWN:
		l->peer_shut |= packet->flags;
		if (l->peer_shut & PACKET_SHUT_SEND)
			guest_at_end(l);
		if (l->peer_shut & PACKET_SHUT_RCV)
			assert_true(l->lossy_to_host ||
				    l->guest_shut & PACKET_SHUT_SEND);
		/* Nothing is left to be said. */
		if (l->peer_shut == PACKET_SHUT_BOTH)
			put_op(m, l, PACKET_RST);
		break;
	case PACKET_RST:
		if (l->host_port != NOBODY_PORT)
			assert_true(l->fd < 0 || l->guest_shut == PACKET_SHUT_BOTH ||
				    l->host_shut);
		if (l->host_port != NOBODY_PORT && !l->lossy_to_guest)
			assert_true(way_is_done(&l->to_guest));
		l->state = OVER;
		break;
	case PACKET_CREDIT_REQUEST:
		put_op(m, l, PACKET_CREDIT_UPDATE);
		break;
	default:
		assert_int_equal(packet->op, PACKET_CREDIT_UPDATE);
	}
}

/* Who asked has left, but for the bytes that it has sent. */
static void guest_refuses(struct model *m, const struct packet *request)
{
	struct link l = {.type = request->type,
			 .guest_port = request->dst_port,
			 .host_port = request->src_port};

	put_op(m, &l, PACKET_RST);
}

/* True when something came. */
static bool guest_receives(struct model *m)
{
	struct packet packet;
	struct link *l;

	if (!guest_try_receive(m->g, &packet, bytes))
		return false;
	m->received += packet.len;
	l = find_link(m, &packet);
	/* What was on its way when the guest had done with it is of no interest. */
	if (l && l->state != OVER)
		guest_takes(m, l, &packet);
	else if (packet.op == PACKET_REQUEST)
		guest_refuses(m, &packet);
	return true;
}

/* Both ends are done with it. */
static void forget(struct link *l)
{
	/* Who has left before the guest was asked is not missed there. */
	if (l->state == ASKED && l->by_host && l->fd < 0)
		l->state = OVER;
	if (l->state != OVER || (l->fd >= 0 && !l->host_eof))
		return;
	if (l->fd >= 0)
		close(l->fd);
	l->state = UNUSED;
}

static void operate(struct model *m, const struct operation *o)
{
	static const uint8_t shuts[] = {PACKET_SHUT_SEND, PACKET_SHUT_SEND,
					PACKET_SHUT_RCV, PACKET_SHUT_BOTH};
	struct link *l = &m->link[o->link % LINKS];
	unsigned int what = o->what % 1000;

	forget(l);
	if (l->state == UNUSED)
		open_link(m, l, o);
	else if (what < 280)
		guest_writes(m, l, o);
	else if (what < 500)
		host_writes(l, o);
	else if (what < 730 && !(l->lazy_host && o->how % LAZY))
		host_reads(l, 1 + o->size);
	else if (what < 900 && !(l->lazy_guest && o->how % LAZY))
		guest_consumes(m, l, o);
	else if (what < 940)
		guest_resizes(m, l, o);
	else if (what < 980 && l->state == OPEN)
		put_op(m, l, PACKET_CREDIT_REQUEST);
	else if (what < 986)
		guest_shuts(m, l, shuts[o->how % 4]);
	else if (what < 992)
		host_shuts(l, o->how % 4 ? SHUT_WR : SHUT_RD);
	else if (what < 996)
		host_closes(l);
	else
		guest_aborts(m, l);
	if (o->how / 64 % 4 == 0)
		flush(m);
	for (unsigned int i = o->how / 256 % 16; i && guest_receives(m); i--)
		;
}

/* One in three sizes is up to the largest, others are small. */
static unsigned int random_size(void)
{
	unsigned int bits = 1 + (unsigned int)random() % 17;

	return (unsigned int)random() % (1u << bits);
}

/* Both sides of a connection say that they are done, once all has arrived. */
static void end_link(struct model *m, struct link *l)
{
	if (l->state == OPEN &&
	    (l->consumed != l->to_guest.received || l->window != GUEST_BUFALLOC)) {
		l->consumed = l->to_guest.received;
		l->window = GUEST_BUFALLOC;
		put_op(m, l, PACKET_CREDIT_UPDATE);
	}
	if (!l->host_shut)
		host_shuts(l, SHUT_WR);
	while (host_reads(l, BYTES_MAX))
		;
	if (l->state != OPEN || l->guest_shut & PACKET_SHUT_SEND)
		return;
	/* A message that has not ended never will, and is no news of credit. */
	if (!l->lossy_to_host && !l->to_host.part_sent &&
	    (!way_is_done(&l->to_host) || l->heard != (uint32_t)l->to_host.sent))
		put_op(m, l, PACKET_CREDIT_REQUEST);
	else
		guest_shuts(m, l, PACKET_SHUT_SEND);
}

static void end_all(struct model *m)
{
	uint64_t end = now_ms() + PATIENCE;
	bool all = false;

	while (!all) {
		all = true;
		assert_true(now_ms() < end);
		for (size_t i = 0; i < LINKS; i++) {
			struct link *l = &m->link[i];

			if (l->state == UNUSED)
				continue;
			end_link(m, l);
			forget(l);
			all &= l->state == UNUSED;
		}
		flush(m);
		while (guest_receives(m))
			;
		if (!all)
			usleep(100);
	}
	flush(m);
}

/* The daemon is as it was before, but for what it has counted. */
static void check_daemon(struct model *m)
{
	struct guest *g = m->g;
	uint64_t asked, bytes_in;

	wait_until((guest_receives(m), flush(m), control_stat(g, "connections")) == 0);
	assert_int_equal(control_stat(g, "backlog_bytes"), 0);
	assert_int_equal(control_stat(g, "backlog_memory_bytes"), 0);
	asked = control_stat(g, "connections_asked guest") +
		control_stat(g, "connections_asked host");
	assert_int_equal(asked, control_stat(g, "connections_opened") +
					control_stat(g, "connections_refused"));
	assert_true(control_stat(g, "connections_opened") >= m->opened);
	while (guest_receives(m))
		;
	assert_int_equal(control_stat(g, "bytes to_guest"), m->received);
	bytes_in = control_stat(g, "bytes from_guest");
	assert_true(bytes_in <= m->sent);
	wait_until(proc_count_files(g->pid) == m->files);
}

static void begin(struct model *m, unsigned int seed)
{
	struct guest *g = m->g;

	g->features |= 1 << 1; /* SEQPACKET */
	if (seed & 1)
		g->features &= ~VRING_F_EVENT_IDX;
	g->use_indirect = seed & 2;
	g->rx_parts = 1 + seed / 4 % 3;
	g->rx_slots = seed / 16 % 2 ? 40 : 8;
	guest_start(g);
	m->next_port = FIRST_PORT;
	m->listener[0] = listen_port(g, STREAM_PORT);
	m->listener[1] = listen_type(g, SEQPACKET_PORT, SOCK_SEQPACKET);
	m->files = proc_count_files(g->pid);
}

static void bytes_arrive_whatever_the_two_sides_do(void **state)
{
	unsigned int seed = number_of("MODEL_SEED", (unsigned int)now_ms());
	unsigned int count = number_of("MODEL_OPERATIONS", OPERATIONS);
	struct model m = {.g = *state};

	print_message("# MODEL_SEED=%u MODEL_OPERATIONS=%u\n", seed, count);
	srandom(seed);
	alarm(PATIENCE * 3 / 1000 + count / 100);
	begin(&m, seed);
	for (unsigned int i = 0; i < count; i++) {
		struct operation o = {.what = (unsigned int)random(),
				      .link = (unsigned int)random(),
				      .how = (unsigned int)random()};

		o.size = random_size();
		operate(&m, &o);
	}
	end_all(&m);
	check_daemon(&m);
	print_message("# %llu bytes from the guest, %llu to it\n",
		      (unsigned long long)m.sent, (unsigned long long)m.received);
	for (int i = 0; i < 2; i++)
		close(m.listener[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_daemon(bytes_arrive_whatever_the_two_sides_do),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
