/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device within the fuzzer's own process: a guest's memory and rings, those who
 * listen on the host's side, and a clock that stands still until it is moved on.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "../../transport/device.h"
#include "fuzz.h"

enum {
	MACHINE_CID = 42,
	MACHINE_PEER = 7, /* a sibling, played by the fuzzer */
	MACHINE_TX_SLOTS = 32,
	MACHINE_RX_SLOTS = 64,
	MACHINE_PAYLOAD_MAX = 1 << 16,
	MACHINE_RX_MAX = 4096, /* bytes of a receive buffer */
};

/* Ports of the host, and who is there. */
enum machine_port {
	MACHINE_STREAM = 1,
	MACHINE_SEQPACKET,
	MACHINE_BUSY,	/* whose queue is soon full */
	MACHINE_NOBODY, /* and on all above */
};

enum machine_door {
	MACHINE_DOOR_STREAM,
	MACHINE_DOOR_SEQPACKET,
	MACHINE_DOOR_BUSY,
	MACHINE_DOOR_PEER,
	MACHINE_DOOR_PEER_SEQPACKET,
	MACHINE_DOORS,
};

struct machine_ring {
	struct vring_desc *desc;
	uint16_t *avail, *used;
	uint16_t next, seen;
};

struct machine {
	struct device device;
	struct loop loop;
	struct routes routes;
	struct machine_ring rx, tx;
	uint32_t rx_size[MACHINE_RX_SLOTS];
	uint16_t spare[MACHINE_RX_SLOTS]; /* receive buffers that are not offered */
	size_t spares;
};

/* The rings run, no receive buffer is offered yet. */
void machine_start(struct machine *m, const struct limits *limits);
/* Ends all of it; nobody is left in a listener's queue. */
void machine_free(struct machine *m);
/* The guest's driver begins anew. */
void machine_restart(struct machine *m);
/* The machine is paused, and goes on. */
void machine_pause(struct machine *m);

/*
 * Puts a packet into the ring, with len bytes behind its header, whatever that says;
 * cut: only that many bytes of the header. False when the ring is full.
 */
bool machine_send(struct machine *m, const struct packet *packet, const void *payload,
		  uint32_t len, uint32_t cut);

/* Whether the device has taken all that was sent. */
bool machine_is_idle(const struct machine *m);

/* Offers at most count receive buffers of that size. */
void machine_offer(struct machine *m, size_t count, uint32_t size);

/* A packet that has come; false: there is none. payload has MACHINE_RX_MAX bytes. */
bool machine_receive(struct machine *m, struct packet *packet, uint8_t *payload);

/* The daemon's turns, until it would sleep; then its accounts are checked. */
void machine_run(struct machine *m);
/* Time passes, and whatever is due at each millisecond happens then. */
void machine_wait(struct machine *m, uint64_t ms);

/* Who has connected there: a non-blocking socket, or -1. */
int machine_accept(enum machine_door door);
/* Whoever has connected there is left. */
void machine_leave(enum machine_door door);
/*
 * Somebody connects to the device, as conn_accept() has it: their non-blocking socket.
 * buffer: bytes of both ends' send buffers; 0: the kernel's default.
 */
int machine_connect(struct machine *m, enum conn_origin origin, uint16_t type,
		    uint32_t port, int buffer);

#endif
