/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vsock device tells its driver through the third ring (virtio 1.2, section
 * 5.10.6.7), where the front-end hands that over: QEMU keeps it to itself, Cloud
 * Hypervisor and crosvm do not.
 */
#ifndef TRANSPORT_EVENT_H
#define TRANSPORT_EVENT_H

#include "error.h"
#include "memory.h"
#include "vring.h"

enum event_id {
	EVENT_TRANSPORT_RESET, /* no connection of the guest's is left */
};

/*
 * 1: it is told; 0: the driver has given no buffer, and kicks the ring when it has;
 * a negative errno when the ring is broken.
 */
int event_put(struct vring *ring, struct memory *memory, enum event_id id,
	      struct error *err);

#endif
