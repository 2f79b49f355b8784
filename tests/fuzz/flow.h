/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection as both of its ends know it, with what the host's end does, and the
 * checks of what comes out at either.
 */
#ifndef FLOW_H
#define FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "../../transport/packet.h"
#include "fuzz.h" /* for way.h */

#include "../unit/way.h"

enum {
	FLOW_BYTES_MAX = 1 << 17,
};

/* Of whatever is just being sent or received. */
extern uint8_t flow_bytes[FLOW_BYTES_MAX + 1];

struct flow {
	uint32_t serial; /* 0: none */
	uint16_t type;
	uint32_t peer_cid, host_port, guest_port;
	int fd;	       /* the host's end, -1: closed */
	bool by_host;  /* host_port is known with the REQUEST */
	bool wild;     /* the guest broke a rule: what comes of it is open */
	bool over;     /* one side knows that it has ended */
	bool line_due; /* a line is to be read before all else, */
	bool ok_due;   /* or one written */
	bool host_shut;
	uint32_t window;       /* the guest's */
	uint64_t consumed;     /* by the guest */
	uint64_t edge;	       /* how far the device may send */
	uint32_t alloc, heard; /* the device's, and of to_host what it passed on */
	struct way to_host, to_guest;
};

bool flow_is(const struct flow *f, uint64_t peer_cid, uint32_t host_port,
	     uint32_t guest_port);

/* One that the guest may send now, with no data. */
struct packet flow_packet(const struct flow *f, uint16_t op);
/* What comes to the guest, its data in flow_bytes, keeps to what was said and sent. */
void flow_check_packet(struct flow *f, const struct packet *packet);

/* With send(2)'s flags. */
void flow_host_writes(struct flow *f, uint32_t len, int flags);
/* True when something was read. */
bool flow_host_reads(struct flow *f, size_t max);
void flow_host_shuts(struct flow *f, unsigned int choice);
void flow_host_closes(struct flow *f);

#endif
