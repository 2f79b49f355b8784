/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two formats note in ring->inflight, where that is not NULL.
 */
#ifndef TRANSPORT_VRING_INFLIGHT_H
#define TRANSPORT_VRING_INFLIGHT_H

#include "inflight.h"
#include "vring_format.h"

/*
 * Takes over what the process before left, which moves where the ring begins; fresh:
 * the ring knows better. Negative errno.
 */
int inflight_split_start(struct vring *ring, bool fresh, struct error *err);
void inflight_split_take(struct vring *ring, uint16_t head);
void inflight_split_put_back(struct vring *ring, uint16_t head);
void inflight_split_give_back(struct vring *ring, uint16_t head);
/* The used index is out, with so many more. */
void inflight_split_publish(struct vring *ring, uint16_t count);

int inflight_packed_start(struct vring *ring, bool fresh, struct error *err);
/* The entry that stands for the chain of so many descriptors at the place. */
uint16_t inflight_packed_take(struct vring *ring, struct vring_place place,
			      uint16_t descs);
void inflight_packed_put_back(struct vring *ring, uint16_t head);
/* The batch of these entries is about to be published, and was. */
void inflight_packed_begin(struct vring *ring, const uint16_t *heads, uint16_t count,
			   struct vring_place used);
void inflight_packed_end(struct vring *ring, const uint16_t *heads, uint16_t count);

#endif
