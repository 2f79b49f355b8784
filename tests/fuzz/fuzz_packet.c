// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on what a guest may send over its connections, and on what the host
 * programs at their other ends do meanwhile: all in the order that the input says,
 * with time passing as it says. Bytes are checked where they come out, the device's
 * accounts after every step, and at the end whether it holds nothing and serves the
 * next connection.
 *
 * An input: limits, and steps of 8 bytes. seeds.py writes some.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "../../transport/incoming.h"
#include "flow.h"
#include "machine.h"

enum {
	FLOWS = 6,
	STEPS_MAX = 256,
	FIRST_PORT = 1000, /* of the guest's; each connection has one of its own */
	SMALL_BUFFER = 4608,
	GOOD_BYTES = 20000,
	BIG_WINDOW = 256 * 1024,
};

enum what {
	PACKET,	 /* the guest sends what it may */
	RAW,	 /* or anything at all */
	CONNECT, /* a host program, or a sibling's side */
	WRITE,	 /* it writes, */
	READ,	 /* reads, */
	SHUT,	 /* closes one way, */
	CLOSE,	 /* or both */
	TIME,	 /* passes */
	OFFER,	 /* receive buffers */
	RECEIVE, /* the guest takes packets */
	ANSWER,	 /* what it says to a REQUEST from now on */
	ACCEPT,	 /* somebody at the busy port is served, and leaves */
	PAUSE,
	RESTART,
	WHATS,
	HOLD = 0x80, /* the device is not to see it before the next step */
};

/* The head of an input. */
struct head {
	uint8_t conn_buffer, buffer_total, connections, rates;
};

struct step {
	uint8_t what, flow;
	uint16_t a;
	uint32_t b;
};

struct bench {
	struct machine machine;
	struct limits limits;
	struct flow flow[FLOWS];
	uint32_t serial;
	unsigned int answer; /* 0: RESPONSE, 1: RST, 2: nothing */
	bool mean;	     /* a receive buffer has no room for a byte */
	bool moved;	     /* the guest got something other than a word on credit */
};

static struct conn *conn_of(struct bench *t, const struct flow *f)
{
	return conn_table_find(&t->machine.device.conns, f->peer_cid, f->host_port,
			       f->guest_port);
}

static struct flow *new_flow(struct bench *t, unsigned int index, uint16_t type)
{
	struct flow *f = &t->flow[index];

	flow_host_closes(f);
	*f = (struct flow){.serial = ++t->serial,
			   .type = type,
			   .peer_cid = PACKET_HOST_CID,
			   .fd = -1,
			   .guest_port = FIRST_PORT + t->serial,
			   .window = BIG_WINDOW,
			   .alloc = t->limits.conn_buffer};
	way_begin(&f->to_host, 2 * f->serial);
	way_begin(&f->to_guest, 2 * f->serial + 1);
	return f;
}

/* Sends what the flow has to say. False when the ring has no room. */
static bool send_of(struct bench *t, struct flow *f, const struct packet *packet)
{
	if (!machine_send(&t->machine, packet, flow_bytes, packet->len, 0))
		return false;
	if (f->edge < f->consumed + f->window)
		f->edge = f->consumed + f->window;
	return true;
}

static enum machine_door door_of(const struct flow *f)
{
	if (f->peer_cid == MACHINE_PEER)
		return f->type == PACKET_SEQPACKET ? MACHINE_DOOR_PEER_SEQPACKET
						   : MACHINE_DOOR_PEER;
	return f->host_port == MACHINE_SEQPACKET ? MACHINE_DOOR_SEQPACKET
						 : MACHINE_DOOR_STREAM;
}

/* Of those that raw packets asked for: they find nobody. */
static void close_strangers(void)
{
	for (int door = 0; door < MACHINE_DOORS; door++)
		if (door != MACHINE_DOOR_BUSY)
			machine_leave(door);
}

static uint32_t window_of(uint32_t choice)
{
	static const uint32_t windows[] = {BIG_WINDOW, 65536, 4096, 100, 0, UINT32_MAX};

	return windows[(choice & 0xff) % 6];
}

static void guest_asks(struct bench *t, const struct step *s)
{
	uint32_t port = 1 + (s->b & 0xff) % 5;
	uint16_t type = port == MACHINE_SEQPACKET ? PACKET_SEQPACKET : PACKET_STREAM;
	struct packet packet;
	struct flow *f;

	machine_run(&t->machine);
	close_strangers();
	/* Who is accepted then is this one's. */
	if (!machine_is_idle(&t->machine))
		return;
	f = new_flow(t, s->flow % FLOWS, s->a & 0x100 ? 3 - type : type);
	f->host_port = port;
	f->window = window_of(s->b >> 8);
	if (s->a & 0x200) {
		f->peer_cid = MACHINE_PEER;
		f->line_due = f->ok_due = true;
	}
	packet = flow_packet(f, PACKET_REQUEST);
	send_of(t, f, &packet);
	machine_run(&t->machine);
	if (f->host_port != MACHINE_BUSY || f->peer_cid == MACHINE_PEER)
		f->fd = machine_accept(door_of(f));
}

static void guest_sends_data(struct bench *t, struct flow *f, const struct step *s)
{
	uint32_t credit = f->alloc - ((uint32_t)f->to_host.sent - f->heard);
	struct packet packet = flow_packet(f, PACKET_RW);

	packet.len = s->b % (MACHINE_PAYLOAD_MAX + 1);
	if (packet.len > credit)
		packet.len = credit;
	if (f->type == PACKET_SEQPACKET)
		packet.flags = (s->a >> 8 & 1 ? PACKET_EOM : 0) |
			       (s->a >> 9 & 1 ? PACKET_EOR : 0);
	way_fill(&f->to_host, flow_bytes, packet.len);
	if (send_of(t, f, &packet) &&
	    !way_sent(&f->to_host, packet.len, packet.flags & PACKET_EOM))
		f->wild = true;
}

static void guest_sends(struct bench *t, const struct step *s)
{
	struct flow *f = &t->flow[s->flow % FLOWS];
	uint16_t op = 1 + (s->a & 0xff) % (PACKET_OPS - 1);
	struct packet packet;

	if (op == PACKET_REQUEST) {
		guest_asks(t, s);
		return;
	}
	if (!f->serial || !f->host_port)
		return;
	if (op == PACKET_RW) {
		guest_sends_data(t, f, s);
		return;
	}
	if (op == PACKET_CREDIT_UPDATE) {
		f->consumed += (s->b >> 8) % (f->to_guest.received - f->consumed + 1);
		f->window = window_of(s->b);
	}
	packet = flow_packet(f, op);
	if (op == PACKET_SHUTDOWN)
		packet.flags = s->b & PACKET_SHUT_BOTH;
	if (send_of(t, f, &packet) && op == PACKET_RST)
		f->over = true;
}

/* A packet with some fields changed, and some bytes behind it. */
static void guest_sends_raw(struct bench *t, const struct step *s)
{
	struct flow *f = &t->flow[s->flow % FLOWS];
	struct packet packet = flow_packet(f, 1 + s->b % (PACKET_OPS - 1));
	uint32_t len = s->b >> 8 & 0xff, cut = 0;

	packet.len = len;
	if (s->a & 1)
		packet.type = s->b >> 4 & 3;
	if (s->a & 2)
		packet.op = s->b >> 4;
	if (s->a & 4)
		packet.src_cid ^= s->b;
	if (s->a & 8)
		packet.dst_cid = s->b >> 4 & 15;
	if (s->a & 16)
		packet.src_port = FIRST_PORT + (s->b >> 16 & 15);
	if (s->a & 32)
		packet.dst_port = s->b >> 20 & 7;
	if (s->a & 64)
		packet.len = s->b;
	if (s->a & 128)
		packet.flags = s->b >> 16;
	if (s->a & 256)
		cut = 1 + s->b % PACKET_HEADER_SIZE;
	if (s->a & 512)
		packet.buf_alloc = s->b;
	if (s->a & 1024)
		packet.fwd_cnt = s->b;
	if (s->a & 2048)
		len = s->b % (MACHINE_PAYLOAD_MAX + 1);
	for (size_t i = 0; i < FLOWS; i++)
		if (flow_is(&t->flow[i], packet.dst_cid, packet.dst_port,
			    packet.src_port))
			t->flow[i].wild = true;
	machine_send(&t->machine, &packet, flow_bytes, cut ? 0 : len, cut);
}

static struct flow *find_flow(struct bench *t, const struct packet *packet)
{
	for (size_t i = 0; i < FLOWS; i++) {
		struct flow *f = &t->flow[i];

		if (f->serial && f->by_host && !f->host_port &&
		    f->guest_port == packet->dst_port && packet->op == PACKET_REQUEST) {
			f->host_port = packet->src_port;
			return f;
		}
		if (flow_is(f, packet->src_cid, packet->src_port, packet->dst_port))
			return f;
	}
	return NULL;
}

static bool guest_receives(struct bench *t)
{
	struct packet packet, answer;
	struct flow *f;

	if (!machine_receive(&t->machine, &packet, flow_bytes))
		return false;
	CHECK(packet.dst_cid == MACHINE_CID);
	if (packet.op != PACKET_CREDIT_REQUEST && packet.op != PACKET_CREDIT_UPDATE)
		t->moved = true;
	f = find_flow(t, &packet);
	if (!f)
		return true;
	if (!f->wild)
		flow_check_packet(f, &packet);
	if (packet.op == PACKET_RST)
		f->over = true;
	if (packet.op == PACKET_REQUEST && t->answer < 2) {
		answer = flow_packet(f, t->answer ? PACKET_RST : PACKET_RESPONSE);
		/* A host program that has no line to read learns it by the end alone.
		 */
		f->over |= send_of(t, f, &answer) && t->answer;
	}
	return true;
}

static void host_connects(struct bench *t, const struct step *s)
{
	static const enum conn_origin origins[] = {ORIGIN_HOST, ORIGIN_MAP,
						   ORIGIN_PEER};
	uint16_t type = s->a & 1 ? PACKET_SEQPACKET : PACKET_STREAM;
	enum conn_origin origin = origins[(s->a >> 1) % 3];
	struct flow *f = new_flow(t, s->flow % FLOWS, type);
	char line[64];
	int n = 0;

	f->by_host = true;
	f->window = window_of(s->b);
	f->line_due = origin != ORIGIN_MAP;
	if (origin == ORIGIN_PEER) {
		f->peer_cid = MACHINE_PEER;
		n = snprintf(line, sizeof(line), "CONNECT %u FROM %d:%u\n",
			     f->guest_port, MACHINE_PEER, FIRST_PORT + f->serial);
	} else {
		n = snprintf(line, sizeof(line), "CONNECT %u\n", f->guest_port);
	}
	f->fd = machine_connect(&t->machine, origin, type, f->guest_port,
				s->a & 0x10 ? SMALL_BUFFER : 0);
	if (origin != ORIGIN_MAP)
		n = (int)send(f->fd, line, n, MSG_NOSIGNAL);
}

static void restart(struct bench *t)
{
	machine_restart(&t->machine);
	for (size_t i = 0; i < FLOWS; i++)
		t->flow[i].over = true;
}

static void offer(struct bench *t, const struct step *s)
{
	bool mean = s->b % 64 == 63;

	/* It breaks the ring once it is to be used. */
	t->mean |= mean;
	machine_offer(&t->machine, s->a % (MACHINE_RX_SLOTS + 1),
		      mean ? s->b % (PACKET_HEADER_SIZE + 1)
			   : PACKET_HEADER_SIZE + 1 +
				      s->b % (MACHINE_RX_MAX - PACKET_HEADER_SIZE));
}

static void do_step(struct bench *t, const struct step *s)
{
	struct flow *f = &t->flow[s->flow % FLOWS];
	int fd;

	switch ((enum what)((s->what & ~HOLD) % WHATS)) {
	case PACKET:
		guest_sends(t, s);
		break;
	case RAW:
		guest_sends_raw(t, s);
		break;
	case CONNECT:
		host_connects(t, s);
		break;
	case WRITE:
		flow_host_writes(f, s->b % (FLOW_BYTES_MAX + 1),
				 s->a & 1 ? MSG_EOR : 0);
		break;
	case READ:
		flow_host_reads(f, s->b % FLOW_BYTES_MAX + 1);
		break;
	case SHUT:
		flow_host_shuts(f, s->a);
		break;
	case CLOSE:
		flow_host_closes(f);
		break;
	case TIME:
		machine_wait(&t->machine, s->b % 20000);
		break;
	case OFFER:
		offer(t, s);
		break;
	case RECEIVE:
		for (int i = s->a % MACHINE_RX_SLOTS; i >= 0; i--)
			guest_receives(t);
		break;
	case ANSWER:
		t->answer = s->a % 3;
		break;
	case ACCEPT:
		fd = machine_accept(MACHINE_DOOR_BUSY);
		if (fd >= 0)
			close(fd);
		break;
	case PAUSE:
		machine_pause(&t->machine);
		break;
	case RESTART:
		restart(t);
		break;
	case WHATS:
	case HOLD:
		break;
	}
	if (!(s->what & HOLD))
		machine_run(&t->machine);
}

/* The guest takes all there is, and says so. True when there was something. */
static bool drain_guest(struct bench *t)
{
	bool some;

	t->moved = false;
	machine_offer(&t->machine, MACHINE_RX_SLOTS, MACHINE_RX_MAX);
	machine_run(&t->machine);
	while (guest_receives(t))
		;
	some = t->moved;
	for (size_t i = 0; i < FLOWS; i++) {
		struct flow *f = &t->flow[i];
		struct packet packet;

		if (!f->serial || !f->host_port || f->over ||
		    (f->consumed == f->to_guest.received && f->window == BIG_WINDOW))
			continue;
		f->window = BIG_WINDOW;
		f->consumed = f->to_guest.received;
		packet = flow_packet(f, PACKET_CREDIT_UPDATE);
		some |= send_of(t, f, &packet);
	}
	return some;
}

static bool drain_hosts(struct bench *t)
{
	bool more = false;

	for (size_t i = 0; i < FLOWS; i++)
		while (flow_host_reads(&t->flow[i], FLOW_BYTES_MAX))
			more = true;
	return more;
}

/* Both sides take what there is for them until nothing more comes. */
static void drain(struct bench *t)
{
	for (bool more = true; more;) {
		more = drain_guest(t);
		more |= drain_hosts(t);
		/* Packets are lent to a guest that has not moved; rates have limits. */
		for (int ms = 0; !more && ms < 20000; ms += 1000) {
			machine_wait(&t->machine, 1000);
			more = drain_guest(t);
			more |= drain_hosts(t);
		}
	}
}

/* What was sent on a connection that is open both ways has arrived. */
static void check_arrived(struct bench *t)
{
	for (size_t i = 0; i < FLOWS; i++) {
		struct flow *f = &t->flow[i];
		struct conn *conn;

		if (!f->serial || !f->host_port || f->wild || f->over || f->host_shut ||
		    f->fd < 0 || f->line_due)
			continue;
		conn = conn_of(t, f);
		CHECK(conn);
		if (conn->state != CONN_OPEN || conn->guest_shut)
			continue;
		CHECK(way_is_done(&f->to_host));
		CHECK(way_is_done(&f->to_guest));
	}
}

/* Nobody is left who waits to be accepted. */
static void leave_doors(void)
{
	for (int door = 0; door < MACHINE_DOORS; door++)
		machine_leave(door);
}

/* Everybody leaves; the device holds nothing after that. */
static void clear(struct bench *t)
{
	struct device *dev = &t->machine.device;
	struct conn *conn;
	size_t at = 0;

	for (size_t i = 0; i < FLOWS; i++) {
		flow_host_closes(&t->flow[i]);
		t->flow[i].serial = 0;
	}
	leave_doors();
	drain(t);
	while ((conn = conn_table_next(&dev->conns, &at))) {
		struct packet rst = {.src_cid = MACHINE_CID,
				     .dst_cid = conn->peer_cid,
				     .src_port = conn->guest_port,
				     .dst_port = conn->host_port,
				     .type = conn->type,
				     .op = PACKET_RST};

		CHECK(machine_send(&t->machine, &rst, NULL, 0, 0));
		drain(t);
	}
	leave_doors();
	drain(t);
	CHECK(!dev->conns.count && !dev->strays && !dev->timers.count);
	CHECK(!dev->conns.privileged_count);
	CHECK(!dev->conns.common.buffers.used && !dev->conns.common.buffers.held &&
	      !dev->conns.common.buffers.wide);
}

/* A connection that keeps to all rules, whatever went before it. */
static void check_good(struct bench *t, bool seqpacket)
{
	const struct step connect = {.what = CONNECT, .a = seqpacket},
			  from_host = {.what = WRITE, .b = GOOD_BYTES},
			  from_guest = {.a = 0x100,
					.b = GOOD_BYTES % t->limits.conn_buffer};
	struct flow *f = &t->flow[0];

	t->answer = 0;
	do_step(t, &connect);
	drain(t);
	CHECK(f->host_port && !f->over && !f->line_due);
	do_step(t, &from_host);
	guest_sends_data(t, f, &from_guest);
	drain(t);
	CHECK(f->to_guest.received == GOOD_BYTES && f->to_host.sent);
	check_arrived(t);
	CHECK(conn_of(t, f) && conn_of(t, f)->state == CONN_OPEN);
	clear(t);
}

static void set_limits(struct limits *limits, const struct head *head)
{
	static const uint32_t buffers[] = {1 << 18, 1 << 16, LIMITS_CONN_BUFFER_MIN,
					   1 << 20};
	static const uint32_t totals[] = {1 << 26, 1 << 16, 1 << 13, 1 << 22};

	*limits = (struct limits)LIMITS_DEFAULT;
	limits->conn_buffer = buffers[head->conn_buffer % 4];
	limits->buffer_total = totals[head->buffer_total % 4];
	limits->max_connections = 1 + head->connections % 8;
	limits->connect_rate = head->rates & 1 ? 3 : 0;
	limits->rate = head->rates & 2 ? 1 << 20 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench bench;
	struct bench *t = &bench;
	unsigned int files, steps = 0;
	struct head head;
	struct step step;

	if (size < sizeof(head) + sizeof(step))
		return -1;
	memcpy(&head, data, sizeof(head));
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < FLOWS; i++)
		t->flow[i].fd = -1;
	set_limits(&t->limits, &head);
	machine_start(&t->machine, &t->limits);
	files = fuzz_open_files();
	for (size_t at = sizeof(head); at + sizeof(step) <= size && steps++ < STEPS_MAX;
	     at += sizeof(step)) {
		memcpy(&step, data + at, sizeof(step));
		do_step(t, &step);
	}
	if (t->machine.device.broken || t->mean)
		restart(t);
	machine_run(&t->machine);
	drain(t);
	check_arrived(t);
	clear(t);
	check_good(t, false);
	check_good(t, true);
	CHECK(fuzz_open_files() == files);
	machine_free(&t->machine);
	return 0;
}
