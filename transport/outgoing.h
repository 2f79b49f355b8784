/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's REQUESTs on their way to whoever is to answer them.
 */
#ifndef TRANSPORT_OUTGOING_H
#define TRANSPORT_OUTGOING_H

#include "device.h"

/*
 * The guest asks for a connection. 0 when there is one now, be it open or not yet;
 * or the negative errno for which there is none, and *reason for the counters
 * (RESET_REASONS when it was counted already).
 */
int outgoing_begin(struct device *dev, const struct packet *request,
		   enum reset_reason *reason);

/* A connection in CONN_DIALLING: its socket has something to say, or time is up. */
void outgoing_on_socket(struct device *dev, struct conn *conn, uint32_t events);
void outgoing_on_timeout(struct device *dev, struct conn *conn);

#endif
