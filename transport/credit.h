/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flow control of one connection (virtio 1.2, section 5.10.6.3), both ways.
 * Counters are of payload bytes, start at 0 and wrap at 2^32.
 *
 * Linux from 6.12.92 on also limits how many packets it queues: it resets a
 * connection when their number times the size of a socket buffer's bookkeeping
 * (576 bytes on x86-64) goes past its buf_alloc, or later merges them at some
 * cost. So packets on their way are counted too, at 1024 bytes each. A guest whose
 * program waits for more than those packets hold gets some more after a while, at
 * most half as many again.
 */
#ifndef TRANSPORT_CREDIT_H
#define TRANSPORT_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

enum {
	CREDIT_PACKET_COST = 1024, /* bytes of the guest's window */
	CREDIT_MARKS = 8,
};

/* A run of packets: they are consumed when the guest's fwd_cnt reaches end. */
struct credit_mark {
	uint32_t end;
	uint32_t lent; /* packets allowed beyond the limit, for now */
	uint32_t packets;
};

struct credit {
	/* Toward the guest. */
	uint32_t tx_cnt;	 /* bytes sent */
	uint32_t peer_fwd_cnt;	 /* of them, consumed by the guest */
	uint32_t peer_buf_alloc; /* the guest's window, capped */
	uint32_t lent;		 /* packets allowed beyond the limit, for now */
	uint32_t packets;	 /* sent and not known to be consumed */
	struct credit_mark mark[CREDIT_MARKS];
	uint8_t first_mark, marks;
	/* From the guest. */
	uint32_t buf_alloc; /* what we offer to hold */
	uint32_t rx_cnt;    /* bytes taken */
	uint32_t fwd_cnt;   /* of them, passed on to the host program */
	uint32_t told;	    /* fwd_cnt as the guest last heard it */
	uint32_t kept; /* bytes taken that can only be passed on with what follows */
};

/* Takes the guest's word from any packet of the connection. True if it moved on. */
bool credit_hear(struct credit *credit, const struct packet *packet);

/* Puts our word into a packet that is about to be sent. */
void credit_tell(struct credit *credit, struct packet *packet);

/* Bytes, and packets, that may be sent now. */
uint32_t credit_bytes(const struct credit *credit);
uint32_t credit_packets(const struct credit *credit);

/* Bytes on their way that the guest is not known to have consumed. */
uint32_t credit_in_flight(const struct credit *credit);

/* Bytes that the guest may send now. */
uint32_t credit_of_guest(const struct credit *credit);

/* The guest has not moved for a while: one packet more, within bounds. */
void credit_lend(struct credit *credit);

/* Counts what was sent. */
void credit_sent(struct credit *credit, uint32_t bytes, uint32_t packets);

/* Whether so many packets are on their way that it is time to ask how it goes. */
bool credit_should_ask(const struct credit *credit);

/* Counts len bytes from the guest; false when that is more than was offered. */
bool credit_take(struct credit *credit, uint32_t len);

/* Counts len bytes passed on. */
void credit_forward(struct credit *credit, uint32_t len);

/*
 * Whether the guest should be told that there is room again: soon enough that it
 * never stalls, seldom enough to be cheap.
 */
bool credit_should_tell(const struct credit *credit);

#endif
