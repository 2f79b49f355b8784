/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of the guest's memory this process has written to: a bitmap that it
 * shares with the front-end, which takes the bits out while the guest is moved to
 * another host.
 */
#ifndef TRANSPORT_DIRTY_LOG_H
#define TRANSPORT_DIRTY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "memory.h"

enum {
	DIRTY_LOG_PAGE = 4096
};

struct dirty_log {
	uint8_t *bits;	 /* from guest physical address 0 on; NULL: there is none */
	uint64_t size;	 /* bytes */
	uint64_t offset; /* in the file */
	dev_t dev;	 /* which file it is */
	ino_t ino;
	void *map;
	size_t map_len;
	int call_fd; /* told of marks; -1: nobody wants to hear of them. Owned. */
	bool marked; /* since call_fd was written to */
	struct memory *memory; /* that it is for */
};

void dirty_log_init(struct dirty_log *log, struct memory *memory);
/* Unmaps it and closes what it has. */
void dirty_log_free(struct dirty_log *log);

/*
 * Maps the log in place of the one before. It must hold all of the memory that is
 * there. The descriptor stays the caller's. Negative errno: nothing has changed.
 */
int dirty_log_map(struct dirty_log *log, int fd, uint64_t size, uint64_t offset,
		  struct error *err);

/* To be called after the write. What the log has no bit for is told in our log. */
void dirty_log_mark(struct dirty_log *log, uint64_t guest, uint64_t len);

/* The same for memory by its place in this process. */
void dirty_log_mark_host(struct dirty_log *log, const void *host, uint64_t len);

/* Tells whoever wants to hear of marks. */
void dirty_log_tell(struct dirty_log *log);

#endif
