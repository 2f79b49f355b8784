/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that come in from the host's side, and who they may claim to be.
 */
#ifndef TRANSPORT_INCOMING_H
#define TRANSPORT_INCOMING_H

#include "device.h"

/*
 * Somebody has connected by a door of that origin and type (and, of ORIGIN_MAP, for
 * that port of the guest). fd becomes the device's, which closes it at once when no
 * guest is there, its driver does not know the type, or there are too many
 * connections.
 */
void incoming_accept(struct device *dev, int fd, enum conn_origin origin, uint16_t type,
		     uint32_t port);

/*
 * A connection of ORIGIN_PEER has said who it is and what it wants, and the guest
 * was not asked yet. Turns it away unless that is true and can be.
 */
void incoming_check_peer(struct device *dev, struct conn *conn);

#endif
