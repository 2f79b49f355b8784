// SPDX-License-Identifier: Apache-2.0
#include "flow.h"

#include <sys/socket.h>
#include <unistd.h>

#include "machine.h"

uint8_t flow_bytes[FLOW_BYTES_MAX + 1];

bool flow_is(const struct flow *f, uint64_t peer_cid, uint32_t host_port,
	     uint32_t guest_port)
{
	return f->serial && f->peer_cid == peer_cid && f->host_port == host_port &&
	       f->guest_port == guest_port;
}

struct packet flow_packet(const struct flow *f, uint16_t op)
{
	return (struct packet){
		.src_cid = MACHINE_CID,
		.dst_cid = f->peer_cid,
		.src_port = f->guest_port,
		.dst_port = f->host_port,
		.type = f->type,
		.op = op,
		.buf_alloc = f->window,
		.fwd_cnt = (uint32_t)f->consumed,
	};
}

void flow_check_packet(struct flow *f, const struct packet *packet)
{
	CHECK(packet->type == f->type);
	CHECK(!packet->len || packet->op == PACKET_RW);
	if (packet->op == PACKET_RST)
		return;
	CHECK(packet->buf_alloc == f->alloc);
	CHECK(packet->fwd_cnt >= f->heard && packet->fwd_cnt <= f->to_host.sent);
	f->heard = packet->fwd_cnt;
	if (packet->op != PACKET_RW)
		return;
	CHECK(f->to_guest.received + packet->len <= f->edge);
	way_check(&f->to_guest, flow_bytes, packet->len);
	way_received(&f->to_guest, packet->len,
		     f->type == PACKET_SEQPACKET && packet->flags & PACKET_EOM);
}

void flow_host_writes(struct flow *f, uint32_t len, int flags)
{
	ssize_t n;

	if (f->fd < 0)
		return;
	if (f->ok_due) {
		f->ok_due = send(f->fd, "OK 77\n", 6, MSG_NOSIGNAL) != 6;
		return;
	}
	way_fill(&f->to_guest, flow_bytes, len);
	n = send(f->fd, flow_bytes, len, MSG_NOSIGNAL | flags);
	if (n < 0)
		return;
	if (!way_sent(&f->to_guest, n, f->type == PACKET_SEQPACKET))
		f->wild = true;
}

/* The line that comes before all else. */
static void check_line(const struct flow *f, size_t len)
{
	unsigned int a, b, c;

	flow_bytes[len] = 0;
	if (f->by_host)
		CHECK(sscanf((char *)flow_bytes, "OK %u\n", &a) == 1);
	else
		CHECK(sscanf((char *)flow_bytes, "CONNECT %u FROM %u:%u\n", &a, &b,
			     &c) == 3 &&
		      a == f->host_port && b == MACHINE_CID && c == f->guest_port);
}

bool flow_host_reads(struct flow *f, size_t max)
{
	const uint8_t *end;
	ssize_t n;

	if (f->fd < 0)
		return false;
	if (f->line_due && f->type == PACKET_STREAM) {
		n = recv(f->fd, flow_bytes, sizeof(flow_bytes) - 1, MSG_PEEK);
		if (n <= 0)
			return false;
		end = memchr(flow_bytes, '\n', (size_t)n);
		CHECK(end);
		max = (size_t)(end - flow_bytes) + 1;
	} else if (f->line_due || f->type == PACKET_SEQPACKET) {
		max = sizeof(flow_bytes) - 1;
	}
	n = recv(f->fd, flow_bytes, max, 0);
	if (n < 0)
		return false;
	/* The end looks like a message without bytes. */
	if (!n && (f->wild || f->line_due || !way_expects_empty(&f->to_host)))
		return false;
	if (f->line_due) {
		f->line_due = false;
		check_line(f, n);
	} else if (!f->wild) {
		way_check(&f->to_host, flow_bytes, n);
		way_received(&f->to_host, n, f->type == PACKET_SEQPACKET);
	}
	return true;
}

void flow_host_shuts(struct flow *f, unsigned int choice)
{
	static const int how[] = {SHUT_WR, SHUT_RD, SHUT_RDWR};

	if (f->fd < 0)
		return;
	shutdown(f->fd, how[choice % 3]);
	f->host_shut = true;
}

void flow_host_closes(struct flow *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
