/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a virtio-vsock packet (virtio 1.2, section 5.10.6).
 */
#ifndef TRANSPORT_PACKET_H
#define TRANSPORT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_HEADER_SIZE 44
#define PACKET_HOST_CID	   2
/* A guest's CID is none of 0, 1 and 2, nor 2^32 - 1. */
#define PACKET_GUEST_CID_MIN 3
#define PACKET_GUEST_CID_MAX 4294967294

enum packet_type {
	PACKET_STREAM = 1,
	PACKET_SEQPACKET = 2,
};

enum packet_op {
	PACKET_INVALID,
	PACKET_REQUEST,
	PACKET_RESPONSE,
	PACKET_RST,
	PACKET_SHUTDOWN,
	PACKET_RW,
	PACKET_CREDIT_UPDATE,
	PACKET_CREDIT_REQUEST,
	PACKET_OPS,
};

/* Flags of SHUTDOWN: what its sender will not do any more. They add up. */
enum packet_shutdown {
	PACKET_SHUT_RCV = 1,
	PACKET_SHUT_SEND = 2,
	PACKET_SHUT_BOTH = 3,
};

/* Flags of RW on a SEQPACKET connection: it ends a message, or a record. */
enum packet_message {
	PACKET_EOM = 1,
	PACKET_EOR = 2,
};

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len; /* payload bytes */
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt; /* of the sender, as in credit.h */
};

/* What to do with a packet from the guest. */
enum packet_verdict {
	PACKET_ACCEPT,
	PACKET_REJECT, /* answer with RST */
	PACKET_DROP,   /* not from this guest, or an RST that answers nothing */
};

void packet_decode(struct packet *packet,
		   const uint8_t from[static PACKET_HEADER_SIZE]);
void packet_encode(const struct packet *packet, uint8_t to[static PACKET_HEADER_SIZE]);

/* What a guest may say, and to whom. */
struct packet_rules {
	uint64_t guest_cid;
	bool siblings;	/* other guests can be spoken to */
	bool no_stream; /* what the driver did not say that it knows */
	bool no_seqpacket;
};

/*
 * Judges a header that came with payload_len bytes behind it. *why says what is
 * wrong, unless the verdict is PACKET_ACCEPT.
 */
enum packet_verdict packet_check(const struct packet *packet,
				 const struct packet_rules *rules, size_t payload_len,
				 const char **why);

/* The RST that answers a packet. */
struct packet packet_reset(const struct packet *packet);

/* "REQUEST" and so on, "?" for what is none. */
const char *packet_op_name(uint16_t op);

#endif
