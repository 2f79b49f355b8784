/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's vsock driver, played over the memory that fake_front.h shares, and
 * the programs on both sides.
 */
#ifndef FAKE_GUEST_H
#define FAKE_GUEST_H

#include "fake_ring.h"

/* Sets one ring up and starts it where base says. */
static inline void guest_start_ring(struct guest *g, unsigned int index, uint32_t base)
{
	struct fake_ring *r = &g->ring[index];
	struct {
		uint32_t index, flags;
		uint64_t desc, used, avail, log;
	} addr = {.index = index,
		  .desc = USER_A + RING_AT(index) - REGION_A,
		  .avail = USER_A + RING_AT(index) + 0x4000 - REGION_A,
		  .used = USER_A + RING_AT(index) + 0x8000 - REGION_A};

	if (r->kick < 0) {
		r->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	front_ok_fd(g, VHOST_USER_SET_VRING_CALL, index, r->call);
	front_ok_fd(g, VHOST_USER_SET_VRING_ERR, index, r->err);
	front_ok_state(g, VHOST_USER_SET_VRING_NUM, index, r->num);
	front_ok_state(g, VHOST_USER_SET_VRING_BASE, index, base);
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0),
		0);
	front_ok_fd(g, VHOST_USER_SET_VRING_KICK, index, r->kick);
	front_ok_state(g, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static inline uint32_t guest_stop_ring(struct guest *g, unsigned int index)
{
	uint32_t state[2] = {index, 0};

	front_ok_state(g, VHOST_USER_SET_VRING_ENABLE, index, 0);
	front_message(g, VHOST_USER_GET_VRING_BASE, VHOST_USER_VERSION, state,
		      sizeof(state), NULL, 0);
	front_reply(g, VHOST_USER_GET_VRING_BASE, state, sizeof(state));
	return state[1];
}

/* Puts the receive buffer of a slot: rx_parts descriptors, the first ones small. */
static inline void guest_put_rx(struct guest *g, unsigned int slot)
{
	struct vring_desc *desc = g->ring[0].desc + (size_t)slot * g->rx_parts;
	uint64_t at = RX_AT + (uint64_t)slot * RX_STRIDE;
	uint32_t left = g->rx_size;

	for (unsigned int i = 0; i < g->rx_parts; i++) {
		bool last = i + 1 == g->rx_parts;
		uint32_t len = last ? left : 20 + i;

		desc[i] = (struct vring_desc){
			.addr = at,
			.len = len,
			.flags = VRING_DESC_WRITE | (last ? 0 : VRING_DESC_NEXT),
			.next = slot * g->rx_parts + i + 1,
		};
		at += len;
		left -= len;
	}
	fake_put(g, 0, slot * g->rx_parts);
}

static inline void guest_offer_rx(struct guest *g, unsigned int slot)
{
	guest_put_rx(g, slot);
	fake_publish(g, 0);
}

/* The guest's driver comes up: both rings from 0, receive buffers offered. */
static inline void guest_start(struct guest *g)
{
	if (g->front < 0)
		guest_connect(g);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
	guest_share_memory(g);
	for (unsigned int i = 0; i < 2; i++) {
		fake_ring_clear(g, i);
		guest_start_ring(g, i, fake_first_base(g));
	}
	for (unsigned int i = 0; i < g->rx_slots; i++)
		guest_offer_rx(g, i);
}

/* A packet from the guest's port to the host's. */
static inline struct packet guest_packet(enum packet_op op, uint32_t guest_port,
					 uint32_t host_port, uint32_t len)
{
	return (struct packet){
		.src_cid = GUEST_CID,
		.dst_cid = PACKET_HOST_CID,
		.src_port = guest_port,
		.dst_port = host_port,
		.len = len,
		.type = PACKET_STREAM,
		.op = op,
		.buf_alloc = GUEST_BUFALLOC,
	};
}

/*
 * Puts bytes into a slot and makes them a chain of that many descriptors; seen with
 * fake_publish().
 */
static inline void guest_put_tx(struct guest *g, unsigned int slot, const uint8_t *head,
				const void *payload, uint32_t len, unsigned int parts)
{
	uint64_t at = TX_AT + (uint64_t)slot * TX_STRIDE,
		 table = INDIRECT_AT + (uint64_t)slot * 256;
	uint32_t total = PACKET_HEADER_SIZE + len, part = total / parts;
	struct vring_desc *desc = g->use_indirect ? guest_ptr(g, table)
						  : g->ring[1].desc + slot * TX_DESCS;
	uint16_t first = g->use_indirect ? 0 : slot * TX_DESCS;

	guest_copy_in(g, at, head, PACKET_HEADER_SIZE);
	guest_copy_in(g, at + PACKET_HEADER_SIZE, payload, len);
	for (unsigned int i = 0; i < parts; i++) {
		bool last = i + 1 == parts;

		desc[i] = (struct vring_desc){
			.addr = at,
			.len = last ? total : part,
			.flags = last ? 0 : VRING_DESC_NEXT,
			.next = first + i + 1,
		};
		at += part;
		total -= part;
	}
	if (g->use_indirect)
		g->ring[1].desc[slot * TX_DESCS] = (struct vring_desc){
			.addr = table, .len = parts * 16, .flags = VRING_DESC_INDIRECT};
	fake_put(g, 1, slot * TX_DESCS);
}

static inline void guest_offer_tx(struct guest *g, unsigned int slot,
				  const uint8_t *head, const void *payload,
				  uint32_t len, unsigned int parts)
{
	guest_put_tx(g, slot, head, payload, len, parts);
	fake_publish(g, 1);
}

/* Sends a packet in that many descriptors and waits until it was taken. */
static inline void guest_send_parts(struct guest *g, const struct packet *packet,
				    const void *payload, unsigned int parts)
{
	uint8_t head[PACKET_HEADER_SIZE];
	uint32_t id, len;

	packet_encode(packet, head);
	guest_offer_tx(g, g->ring[1].next % TX_SLOTS, head, payload, packet->len,
		       parts);
	while (!fake_reap(g, 1, &id, &len))
		fake_wait(g, 1);
	assert_int_equal(len, 0);
}

static inline void guest_send(struct guest *g, const struct packet *packet,
			      const void *payload)
{
	guest_send_parts(g, packet, payload, packet->len ? 2 : 1);
}

/* A packet that has come for the guest: false if there is none. 4096 bytes fit. */
static inline bool guest_try_receive(struct guest *g, struct packet *packet,
				     void *payload)
{
	uint8_t bytes[RX_STRIDE];
	uint32_t id, len;

	if (!fake_reap(g, 0, &id, &len))
		return false;
	assert_true(len >= PACKET_HEADER_SIZE && len <= g->rx_size);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = *(uint8_t *)guest_ptr(
			g, RX_AT + (uint64_t)(id / g->rx_parts) * RX_STRIDE + i);
	packet_decode(packet, bytes);
	assert_int_equal(packet->len, len - PACKET_HEADER_SIZE);
	if (g->from_cid)
		assert_int_equal(packet->src_cid, g->from_cid);
	assert_int_equal(packet->dst_cid, g->cid);
	if (packet->len && payload)
		memcpy(payload, bytes + PACKET_HEADER_SIZE, packet->len);
	guest_offer_rx(g, id / g->rx_parts);
	return true;
}

static inline void guest_receive(struct guest *g, struct packet *packet, void *payload)
{
	while (!guest_try_receive(g, packet, payload))
		fake_wait(g, 0);
}

/* The next packet must be this operation on this pair of ports. */
static inline struct packet guest_expect(struct guest *g, enum packet_op op,
					 uint32_t guest_port, uint32_t host_port)
{
	static uint8_t ignored[RX_STRIDE];
	struct packet packet;

	guest_receive(g, &packet, ignored);
	assert_string_equal(packet_op_name(packet.op), packet_op_name(op));
	assert_int_equal(packet.dst_port, guest_port);
	assert_int_equal(packet.src_port, host_port);
	return packet;
}

/*
 * Shows that nothing is on its way to the guest: what an own question brings is
 * the very next thing to come.
 */
static inline void guest_expect_nothing(struct guest *g)
{
	struct packet probe = guest_packet(PACKET_CREDIT_REQUEST, 1, 0xfffffff0, 0);

	guest_send(g, &probe, NULL);
	guest_expect(g, PACKET_RST, 1, 0xfffffff0);
}

static inline void host_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next bytes at the host program must be these. */
static inline void host_expect(int fd, const char *text)
{
	char buf[4096];
	size_t have = 0, want = strlen(text);

	while (have < want) {
		ssize_t n;

		wait_fd(fd, POLLIN);
		n = recv(fd, buf + have, want - have, 0);
		assert_true(n > 0);
		have += n;
	}
	assert_memory_equal(buf, text, want);
}

static inline void host_expect_eof(int fd)
{
	char byte;

	wait_fd(fd, POLLIN);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Closed, whether or not something that was sent went unread. */
static inline void host_expect_closed(int fd)
{
	char byte;

	wait_fd(fd, POLLIN);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static inline unsigned int host_read_ok(int fd)
{
	char line[HYBRID_LINE_MAX] = "";
	uint32_t port = 0;
	size_t have = 0;

	while (!have || line[have - 1] != '\n') {
		assert_true(have < sizeof(line));
		wait_fd(fd, POLLIN);
		assert_int_equal(recv(fd, line + have, 1, 0), 1);
		have++;
	}
	assert_int_equal(hybrid_parse_ok(line, have, &port), have);
	return port;
}

/* A host program connects to the guest's port, which accepts. */
static inline int join_in(struct guest *g, uint32_t guest_port, uint32_t *host_port)
{
	int fd = connect_unix(g->uds);
	struct packet packet, answer;
	char line[HYBRID_LINE_MAX + 1] = "";

	assert_true(fd >= 0);
	hybrid_format_connect(line, guest_port);
	host_send(fd, line);
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.dst_port, guest_port);
	answer = guest_packet(PACKET_RESPONSE, guest_port, packet.src_port, 0);
	guest_send(g, &answer, NULL);
	*host_port = packet.src_port;
	assert_int_equal(host_read_ok(fd), packet.src_port);
	return fd;
}

/* The guest ends a connection; nothing more comes of it. */
static inline void part(struct guest *g, int fd, uint32_t guest_port,
			uint32_t host_port)
{
	struct packet rst = guest_packet(PACKET_RST, guest_port, host_port, 0);

	guest_send(g, &rst, NULL);
	host_expect_eof(fd);
	close(fd);
}

/* The guest connects to a port of the host; returns what the host program has. */
static inline int join_out(struct guest *g, uint32_t guest_port, uint32_t host_port)
{
	struct packet request = guest_packet(PACKET_REQUEST, guest_port, host_port, 0);
	int listener = listen_port(g, host_port), fd;

	guest_send(g, &request, NULL);
	fd = accept_port(listener);
	close(listener);
	guest_expect(g, PACKET_RESPONSE, guest_port, host_port);
	return fd;
}

static inline int setup_guest(void **state)
{
	struct guest *g = guest_new();

	alarm(PATIENCE * 3 / 1000);
	guest_start(g);
	*state = g;
	return 0;
}

static inline int setup_daemon(void **state)
{
	alarm(PATIENCE * 3 / 1000);
	*state = guest_new();
	return 0;
}

static inline int teardown_guest(void **state)
{
	guest_free(*state);
	return 0;
}

#define test_guest(name) \
	cmocka_unit_test_setup_teardown(name, setup_guest, teardown_guest)
#define test_daemon(name) \
	cmocka_unit_test_setup_teardown(name, setup_daemon, teardown_guest)

#endif
