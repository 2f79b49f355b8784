/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receive ring: what the connections have for the guest, their control
 * packets first, then their bytes by turns.
 */
#ifndef TRANSPORT_TO_GUEST_H
#define TRANSPORT_TO_GUEST_H

#include "device.h"

/* Sends for one turn. True when there is more to send and room for it. */
bool to_guest_run(struct device *dev);

/* For message_out.c. */

enum to_guest_outcome {
	TO_GUEST_SENT,
	TO_GUEST_STARVED, /* the guest has given no buffer */
	TO_GUEST_BROKEN,
};

/*
 * Takes a chain that has room for a header and, if payload is asked for, that much
 * more; returns as vring_pop() does.
 */
int to_guest_take(struct device *dev, struct iovec *iov, size_t max, size_t payload,
		  struct vring_chain *chain, struct error *err);
/* Writes the packet's header, whose data is there, and gives the chain back. */
void to_guest_put(struct device *dev, const struct vring_chain *chain,
		  struct packet *packet);
/* The guest broke the receive ring. */
enum to_guest_outcome to_guest_fail(struct device *dev, const struct error *err);

/*
 * A read from the connection's socket gave nothing: its end (n is 0), or errno. The
 * chains that it was to fill have been put back.
 */
enum to_guest_outcome to_guest_unread(struct device *dev, struct conn *conn, ssize_t n);

#endif
