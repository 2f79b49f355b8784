/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vsock device of one virtual machine: joins the rings, the connections and
 * the host's sockets. from_guest.c and to_guest.c move the packets.
 */
#ifndef TRANSPORT_DEVICE_H
#define TRANSPORT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/queue.h>

#include "bucket.h"
#include "conn_table.h"
#include "keeper.h"
#include "error.h"
#include "loop.h"
#include "packet.h"
#include "roll.h"
#include "target.h"
#include "timers.h"
#include "vhost_user.h"

enum device_ring {
	DEVICE_RX, /* to the guest */
	DEVICE_TX, /* from the guest */
	DEVICE_EVENT,
};

enum {
	DEVICE_STRAYS_MAX = 256, /* RSTs that belong to no connection */
	DEVICE_GATHER_MAX = 256, /* packets in one write */
};

TAILQ_HEAD(conn_list, conn);

/* Packets of one connection, the chains still ours, that one write is worth. */
struct gather {
	struct conn *conn; /* NULL: there are none */
	struct vring_chain chain[DEVICE_GATHER_MAX];
	size_t chains, pieces, bytes;
};

struct device {
	struct packet_rules rules;
	const struct routes *routes;
	struct loop *loop;
	struct vhost_user front;
	struct keeper keeper;
	struct roll roll;
	uint8_t config[8]; /* le64 guest_cid */

	bool front_pending; /* the front-end may have sent something */
	bool resuming;	    /* the guest's rings go on where an earlier process was */
	bool running;	    /* both rings may be worked on */
	bool broken;	    /* the guest broke a ring: nothing until it starts again */
	bool tx_pending;    /* the guest may send without a kick: to be looked at */
	bool tx_blocked;    /* it has, but its answer has to wait for room */
	bool rx_starved;    /* something is to be sent, and the guest gave no buffer */
	bool rx_armed;	    /* it says so, by a kick, when it gives one */
	bool worked;	    /* packets went one way or the other */
	bool suspended;	    /* stopped, and may go on where it was */
	bool told_down;	    /* it was logged that a host program found no guest */
	uint32_t rx_at, tx_at; /* where it was */

	uint64_t now; /* loop_now() at the beginning of the turn */

	struct conn_table conns;
	struct conn_list control; /* those with packets of their own to send */
	struct conn_list ready;	  /* those with bytes to send */
	struct timers timers;
	struct bucket connects;		/* what limits.connect_rate allows */
	struct bucket sibling_connects; /* the same, for siblings that connect */
	uint32_t siblings;		/* their connections */
	struct bucket tokens[2]; /* what limits.rate allows on each ring, in bytes */
	bool no_tokens[2];	 /* it was found, and counted, that there are none */

	gid_t privileged_group; /* its members get privileged ports, as root does */
	struct packet stray[DEVICE_STRAYS_MAX];
	size_t first_stray, strays;

	struct gather gather;
	uint8_t *bounce; /* of MESSAGES_LONGEST bytes, for message_out.c; owned */
	struct iovec iov[VRING_PIECES_MAX];	/* of the chains at hand */
	struct iovec payload[VRING_PIECES_MAX]; /* of their data */
};

/*
 * dev is all zero: most of it is not touched before it is needed. routes stay the
 * caller's. privileged_group may be PEER_NO_GROUP. 0 or -ENOMEM.
 */
int device_init(struct device *dev, const struct routes *routes, gid_t privileged_group,
		const struct limits *limits, struct loop *loop);
/* Ends the front-end's connection and all others. */
void device_free(struct device *dev);

/*
 * From now on the next process can take this one's place; state stays the caller's.
 * Takes the place of an earlier one, if there was one. 0 or -ENOMEM: where its
 * front-end cannot be served on, that is disconnected.
 */
int device_keep(struct device *dev, struct state *state);
/* device_free() is to leave the front-end to the next process. */
void device_leave(struct device *dev);

/* A front-end has connected; fd becomes the device's. Negative errno. */
int device_attach(struct device *dev, int fd);
bool device_is_attached(const struct device *dev);
void device_on_front(struct device *dev, uint32_t events);
void device_on_kick(struct device *dev, uint32_t index, uint32_t events);

void device_on_conn(struct device *dev, uint32_t id, uint32_t events);

/* A turn begins: what time it is. */
void device_tick(struct device *dev);
/* Does what is to be done now, in bounded time; true when there is more. */
bool device_run(struct device *dev);

/*
 * Before the daemon sleeps: asks the guest to be woken. True when there is something
 * to do already.
 */
bool device_arm(struct device *dev);

/* Milliseconds until device_run() has something to do by the clock; -1: never. */
int device_timeout(const struct device *dev);

/* For device_keep.c. */

/* Watches the front-end's connection; closes it when it cannot. Negative errno. */
int device_watch_front(struct device *dev, int fd);
/* Ends the front-end's connection. */
void device_detach(struct device *dev);
/*
 * Has the guest told of the connections that ended with an earlier process, as many as
 * there is room for.
 */
void device_reset_lost(struct device *dev);

/* For from_guest.c and to_guest.c. */

/* Whether the limit lets bytes pass on the ring. */
bool device_has_tokens(struct device *dev, enum device_ring ring);

/* Puts a connection that something happened to into the lists it belongs in. */
void device_settle(struct device *dev, struct conn *conn);

/*
 * A new connection of that type in no state yet, or NULL. Siblings get no more than
 * half of what there can be, and of the memory behind backlogs.
 */
struct conn *device_new_conn(struct device *dev, uint16_t type,
			     enum conn_origin origin);

/*
 * How often those of that origin may connect. Siblings have a share of their own, so
 * that one that floods this device keeps neither its guest nor the host out.
 */
struct bucket *device_connects(struct device *dev, enum conn_origin origin);
/* Watches a connection's socket. False: it was reset. */
bool device_watch(struct device *dev, struct conn *conn);

/* The guest broke a ring: says so, and leaves it alone until it is reset. */
void device_break(struct device *dev, enum device_ring ring, const struct error *why);

#endif
