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

#endif
