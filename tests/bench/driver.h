/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's virtio-vsock driver and the program above it, as Linux has them: the
 * rings with their buffers, the connections, credit. It is one thread's at a time.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <linux/virtio_vsock.h>

#include "front.h"

enum {
	DRIVER_CONNS = 16384, /* of each kind */
	/* The guest's ports: of connections that it makes, and that it accepts. */
	DRIVER_PORT = 100000,
	DRIVER_LISTEN_PORT = 200000,
	DRIVER_BUFFER = 256 * 1024, /* buf_alloc, Linux's default */
	DRIVER_PACKET_MAX = 64 * 1024,
	DRIVER_EVENTS = 8,
	DRIVER_DRAINED = 64,
};

enum guest_state {
	GUEST_CLOSED,
	GUEST_REQUESTED,
	GUEST_OPEN,
	GUEST_CLOSING, /* SHUTDOWN is sent, RST is to come */
};

struct guest_conn {
	uint32_t guest_port, host_port;
	enum guest_state state;
	bool peer_closed; /* the host sends no more */
	bool drained;	  /* and listed as such */
	/* Credit, both ways (virtio 1.2, 5.10.6.3). */
	uint32_t peer_alloc, peer_fwd, tx_cnt;
	uint32_t fwd_cnt, told_fwd;
	uint64_t sent, received;
};

struct driver {
	struct front front;
	struct guest_conn *conn; /* DRIVER_CONNS made, then as many accepted */
	bool verify;
	bool tx_interrupts, eager_credit;

	unsigned int rx_buffers, rx_size, rx_stride;
	bool rx_split;
	uint8_t *rx;
	uint64_t rx_addr;

	enum tx_layout tx_layout;
	unsigned int tx_slots;
	struct virtio_vsock_hdr *tx_header; /* one a slot, TX_STRIDE apart */
	uint64_t tx_addr;
	uint16_t *tx_free; /* a stack */
	unsigned int tx_free_count;

	uint8_t *events;
	uint64_t events_addr;

	/* Counted: opened, closed by RST, turned down, device resets. */
	uint64_t opened, closed, refused, resets;
	uint64_t waits, packets_in, packets_out;

	/* Those that the guest's programs have just read from. */
	struct guest_conn *drained[DRIVER_DRAINED];
	unsigned int drained_count;
};

/* Connects to the back-end at path and starts the device. */
void driver_start(struct driver *d, const char *path);
/* Stops the device and leaves. */
void driver_stop(struct driver *d);

/* The connection with that guest port, NULL when it can be none. */
struct guest_conn *driver_conn(struct driver *d, uint32_t guest_port);

/* Sends REQUEST. The connection must be closed. */
void driver_connect(struct driver *d, uint32_t guest_port, uint32_t host_port);
/* Sends SHUTDOWN. */
void driver_close(struct driver *d, struct guest_conn *conn);

/* How many bytes the guest may send now: no more than one packet. */
uint32_t driver_may_send(const struct guest_conn *conn);
/* Sends a packet; false when the ring is full. */
bool driver_send(struct driver *d, struct guest_conn *conn, uint32_t len);

/* Takes what has come on either ring. False: nothing. */
bool driver_poll(struct driver *d);
/* Shows the device all that was added, and kicks it if it wants that. */
void driver_publish(struct driver *d);
/* Sleeps until the device interrupts, unless something is there. */
void driver_wait(struct driver *d);
/* Makes driver_wait() return, from another thread. */
void driver_wake(struct driver *d);
/* One of the two above: publishes, polls, and waits if there was nothing. */
void driver_turn(struct driver *d, bool spin);

#endif
