/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory as the front-end shares it: regions that are mapped here,
 * and the translation of the two kinds of address that come in: guest physical
 * ones (in descriptors) and the front-end's own (for the rings). Every address
 * and length is taken as hostile.
 */
#ifndef TRANSPORT_MEMORY_H
#define TRANSPORT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "error.h"

enum {
	MEMORY_TABLE_MAX = 8,	  /* vhost-user: regions of one SET_MEM_TABLE */
	MEMORY_REGIONS_MAX = 509, /* memory slots: as many as QEMU can plug */
};

/* A region as the message describes it (vhost-user, "Memory region description"). */
struct memory_layout {
	uint64_t guest;	 /* guest physical address */
	uint64_t size;	 /* bytes */
	uint64_t user;	 /* address in the front-end */
	uint64_t offset; /* of the region in the file behind its descriptor */
};

struct memory_region {
	uint64_t guest;
	uint64_t size;
	uint64_t user;
	uint8_t *host; /* where the region begins here */
	void *map;
	size_t map_len;
	uint64_t offset; /* in the file */
	dev_t dev;	 /* which file it is of */
	ino_t ino;
};

struct memory {
	struct memory_region region[MEMORY_REGIONS_MAX]; /* by guest address */
	size_t count;
	size_t last; /* where the last address was found: the next one is there too */
};

/*
 * Maps count regions, the i-th from fds[i], and puts them in place of what was
 * there; on an error (negative errno) the old ones stay. The descriptors stay
 * the caller's and may be closed afterwards. A file that is shorter than its
 * region is refused, since touching what is missing would be a SIGBUS.
 */
int memory_map(struct memory *memory, const struct memory_layout *layout,
	       const int *fds, size_t count, struct error *err);
void memory_unmap(struct memory *memory);

/* One region more. On an error nothing has changed. */
int memory_add(struct memory *memory, const struct memory_layout *layout, int fd,
	       struct error *err);
/* One less: the one of this guest address, size and address in the front-end. */
int memory_remove(struct memory *memory, const struct memory_layout *layout,
		  struct error *err);

/*
 * Fills iov with where [guest, guest + len) is; more than one piece where the
 * range goes across regions that follow each other. Returns the number of pieces
 * (0 for len 0), -EFAULT when some of it is not the guest's memory, -ENOBUFS
 * when max pieces are not enough.
 */
int memory_translate(struct memory *memory, uint64_t guest, uint32_t len,
		     struct iovec *iov, size_t max);

/* Copies len bytes out. 0 or -EFAULT. */
int memory_read(struct memory *memory, uint64_t guest, void *buf, uint32_t len);

/*
 * Where the len bytes at the front-end's address are, in one piece; NULL when
 * they are not all in one region.
 */
void *memory_from_user(const struct memory *memory, uint64_t user, uint64_t len);

/* The other way round. False where that is not the guest's memory. */
bool memory_to_guest(const struct memory *memory, const void *host, uint64_t *guest);

/* The last guest physical address of all; 0 when there is no memory. */
uint64_t memory_last(const struct memory *memory);

#endif
