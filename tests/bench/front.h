/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtual machine monitor's side of vhost-user: the guest's memory, and the
 * messages that set a device up, as each of three monitors sends them.
 */
#ifndef BENCH_FRONT_H
#define BENCH_FRONT_H

#include "bench.h"
#include "ring.h"

enum {
	RING_RX,
	RING_TX,
	RING_EVENT, /* QEMU keeps it for itself */
	RINGS,
};

#define FEATURE_INDIRECT_DESC	  (1ULL << 28)
#define FEATURE_EVENT_IDX	  (1ULL << 29)
#define FEATURE_PROTOCOL_FEATURES (1ULL << 30) /* vhost-user's own */
#define FEATURE_VERSION_1	  (1ULL << 32)
#define FEATURE_RING_PACKED	  (1ULL << 34)

struct front {
	int fd;
	enum sequence sequence;
	pid_t peer; /* who listens at the socket */

	int memfd;
	uint8_t *memory;
	uint64_t memory_size, memory_used;

	struct ring ring[RINGS];
	unsigned int rings; /* that the back-end is given */
	uint64_t offered, features, protocol;
	uint64_t guest_cid; /* as the configuration says */
};

/*
 * Connects to the back-end and asks what it can do; allocates the guest's memory.
 * The rings have their sizes and options already.
 */
void front_connect(struct front *front, const char *path, uint64_t memory_size);

/* Guest memory that nobody else gets; its guest physical address. */
void *front_alloc(struct front *front, uint64_t size, uint64_t *addr);

/* Makes the rings' parts in guest memory and their descriptors. */
void front_make_ring(struct front *front, unsigned int index);

/* The guest's driver has said DRIVER_OK. */
void front_start(struct front *front);

/* The guest's driver has reset the device. */
void front_stop(struct front *front);

void front_disconnect(struct front *front);

#endif
