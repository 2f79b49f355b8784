/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doors by which connections come in from the host's side, each a listening
 * socket: where host programs connect, for streams and for messages; where
 * siblings do; and those that --listen has opened onto one port of the guest.
 */
#ifndef TRANSPORT_DOOR_H
#define TRANSPORT_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device.h"
#include "error.h"
#include "listener.h"
#include "loop.h"
#include "map.h"

struct door {
	struct listener listener;
	enum conn_origin origin;
	uint16_t type; /* PACKET_STREAM or PACKET_SEQPACKET */
	uint32_t port; /* of ORIGIN_MAP: the guest's */
};

struct doors {
	struct loop *loop;
	struct door *door; /* owned */
	size_t count;
};

/*
 * Opens them all and has them watched, as LOOP_DOOR and their number. Negative
 * errno; doors_close() is to be called then, too.
 */
int doors_open(struct doors *doors, const struct routes *routes,
	       const struct maps *listen, struct loop *loop, struct error *err);
void doors_close(struct doors *doors);
/* Leaves them open for the next process. */
void doors_leave(struct doors *doors);

/* Somebody knocks: takes in as many as one turn allows. */
void doors_accept(struct doors *doors, uint32_t number, struct device *dev);

/* Watches those again whose rest is over. Negative errno. */
int doors_run(struct doors *doors, struct error *err);
/* Milliseconds until doors_run() has something to do; -1: never. */
int doors_timeout(const struct doors *doors);

#endif
