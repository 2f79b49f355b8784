/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of bytes that both ends check, through a fake guest.
 */
#ifndef FAKE_FLOW_H
#define FAKE_FLOW_H

#include "fake_guest.h"

/* A byte stream that both ends can check: never the same pattern twice. */
static inline uint8_t pattern(uint64_t at)
{
	return (uint8_t)((at * 0x9e3779b97f4a7c15ULL) >> 56);
}

static inline void fill(uint8_t *buf, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(at + i);
}

static inline void check(const uint8_t *buf, size_t len, uint64_t at)
{
	for (size_t i = 0; i < len; i++) {
		if (buf[i] != pattern(at + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(at + i));
	}
}

/* The guest's end of a connection. */
struct flow {
	uint32_t guest_port, host_port;
	uint64_t sent, received, host_sent, host_received;
	uint32_t peer_fwd, peer_alloc, told;
	uint64_t peer_cid; /* the other guest; 0: the host */
};

static inline void flow_address(struct guest *g, const struct flow *f,
				struct packet *packet)
{
	packet->src_cid = g->cid;
	if (f->peer_cid)
		packet->dst_cid = f->peer_cid;
}

/* Takes what has come for the flow; tells how much it consumed when that is due. */
static inline void flow_receive(struct guest *g, struct flow *f)
{
	static uint8_t payload[RX_STRIDE];
	struct packet packet, update;

	while (guest_try_receive(g, &packet, payload)) {
		assert_int_equal(packet.dst_port, f->guest_port);
		f->peer_fwd = packet.fwd_cnt;
		f->peer_alloc = packet.buf_alloc;
		if (packet.op == PACKET_RW) {
			check(payload, packet.len, f->received);
			f->received += packet.len;
			assert_true(f->received - f->told <= GUEST_BUFALLOC);
		} else if (packet.op == PACKET_CREDIT_REQUEST) {
			f->told = (uint32_t)f->received - GUEST_BUFALLOC;
		} else {
			assert_int_equal(packet.op, PACKET_CREDIT_UPDATE);
		}
		if ((uint32_t)f->received - f->told < GUEST_BUFALLOC * 3 / 4)
			continue;
		update = guest_packet(PACKET_CREDIT_UPDATE, f->guest_port, f->host_port,
				      0);
		update.fwd_cnt = f->told = (uint32_t)f->received;
		flow_address(g, f, &update);
		guest_send(g, &update, NULL);
	}
}

/* Sends the next len bytes if there is credit for them. */
static inline bool flow_send(struct guest *g, struct flow *f, uint32_t len,
			     unsigned int parts)
{
	static uint8_t payload[65536];
	struct packet rw = guest_packet(PACKET_RW, f->guest_port, f->host_port, len);

	if (f->peer_alloc - ((uint32_t)f->sent - f->peer_fwd) < len)
		return false;
	fill(payload, len, f->sent);
	rw.fwd_cnt = f->told = (uint32_t)f->received;
	flow_address(g, f, &rw);
	guest_send_parts(g, &rw, payload, parts);
	f->sent += len;
	return true;
}

static inline void host_read_some(int fd, struct flow *f)
{
	static uint8_t buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n > 0) {
		check(buf, n, f->host_received);
		f->host_received += n;
	}
}

static inline void host_write_some(int fd, struct flow *f, uint64_t total)
{
	static uint8_t buf[65536];
	size_t len =
		total - f->host_sent < sizeof(buf) ? total - f->host_sent : sizeof(buf);
	ssize_t n;

	if (!len)
		return;
	fill(buf, len, f->host_sent);
	n = send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		f->host_sent += n;
}

static inline struct flow flow_of(uint32_t guest_port, uint32_t host_port)
{
	return (struct flow){.guest_port = guest_port,
			     .host_port = host_port,
			     .peer_alloc = 256 * 1024};
}

#endif
