/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmit ring: packets from the guest to their connections.
 */
#ifndef TRANSPORT_FROM_GUEST_H
#define TRANSPORT_FROM_GUEST_H

#include "device.h"

/*
 * Takes packets for one turn. True when there are more. It goes on while the
 * guest takes nothing; only a packet that needs an answer waits, in the ring,
 * when there is no room left to keep one.
 */
bool from_guest_run(struct device *dev);

#endif
