/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <endian.h>
#include <string.h>

/* The header as it is in memory. */
struct wire {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
} __attribute__((packed));

_Static_assert(sizeof(struct wire) == PACKET_HEADER_SIZE, "virtio 1.2, 5.10.6");

static const char *const op_name[PACKET_OPS] = {
	[PACKET_INVALID] = "INVALID",
	[PACKET_REQUEST] = "REQUEST",
	[PACKET_RESPONSE] = "RESPONSE",
	[PACKET_RST] = "RST",
	[PACKET_SHUTDOWN] = "SHUTDOWN",
	[PACKET_RW] = "RW",
	[PACKET_CREDIT_UPDATE] = "CREDIT_UPDATE",
	[PACKET_CREDIT_REQUEST] = "CREDIT_REQUEST",
};

void packet_decode(struct packet *packet, const uint8_t from[static PACKET_HEADER_SIZE])
{
	struct wire wire;

	memcpy(&wire, from, sizeof(wire));
	*packet = (struct packet){
		.src_cid = le64toh(wire.src_cid),
		.dst_cid = le64toh(wire.dst_cid),
		.src_port = le32toh(wire.src_port),
		.dst_port = le32toh(wire.dst_port),
		.len = le32toh(wire.len),
		.type = le16toh(wire.type),
		.op = le16toh(wire.op),
		.flags = le32toh(wire.flags),
		.buf_alloc = le32toh(wire.buf_alloc),
		.fwd_cnt = le32toh(wire.fwd_cnt),
	};
}

void packet_encode(const struct packet *packet, uint8_t to[static PACKET_HEADER_SIZE])
{
	struct wire wire = {
		.src_cid = htole64(packet->src_cid),
		.dst_cid = htole64(packet->dst_cid),
		.src_port = htole32(packet->src_port),
		.dst_port = htole32(packet->dst_port),
		.len = htole32(packet->len),
		.type = htole16(packet->type),
		.op = htole16(packet->op),
		.flags = htole32(packet->flags),
		.buf_alloc = htole32(packet->buf_alloc),
		.fwd_cnt = htole32(packet->fwd_cnt),
	};

	memcpy(to, &wire, sizeof(wire));
}

static const char *find_fault(const struct packet *packet,
			      const struct packet_rules *rules, size_t payload_len)
{
	if (packet->dst_cid != PACKET_HOST_CID &&
	    (!rules->siblings || packet->dst_cid == rules->guest_cid ||
	     packet->dst_cid < PACKET_GUEST_CID_MIN ||
	     packet->dst_cid > PACKET_GUEST_CID_MAX))
		return rules->siblings ? "it is not for the host or another guest"
				       : "it is not for the host";
	if (packet->type != PACKET_STREAM && packet->type != PACKET_SEQPACKET)
		return "its socket type is not known";
	if (packet->type == PACKET_STREAM ? rules->no_stream : rules->no_seqpacket)
		return "its socket type was not negotiated";
	if (packet->op == PACKET_INVALID || packet->op >= PACKET_OPS)
		return "its operation is not known";
	if (packet->len > payload_len)
		return "it is longer than its descriptors";
	if (packet->len && packet->op != PACKET_RW)
		return "only RW carries data";
	return NULL;
}

enum packet_verdict packet_check(const struct packet *packet,
				 const struct packet_rules *rules, size_t payload_len,
				 const char **why)
{
	if (packet->src_cid != rules->guest_cid) {
		*why = "its source is not this guest";
		return PACKET_DROP;
	}
	*why = find_fault(packet, rules, payload_len);
	if (!*why)
		return PACKET_ACCEPT;
	return packet->op == PACKET_RST ? PACKET_DROP : PACKET_REJECT;
}

struct packet packet_reset(const struct packet *packet)
{
	return (struct packet){
		.src_cid = packet->dst_cid,
		.dst_cid = packet->src_cid,
		.src_port = packet->dst_port,
		.dst_port = packet->src_port,
		.type = packet->type,
		.op = PACKET_RST,
	};
}

const char *packet_op_name(uint16_t op)
{
	return op < PACKET_OPS && op_name[op] ? op_name[op] : "?";
}
