/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole reads and writes: against a deadline, for clients that talk to one peer, and
 * of files. Servers have an event loop and do not use the former.
 */
#ifndef PROTO_IO_H
#define PROTO_IO_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* A point on CLOCK_MONOTONIC, in nanoseconds. */
typedef uint64_t deadline_t;

#define DEADLINE_NEVER UINT64_MAX

/* Now plus milliseconds; a negative number means never. */
deadline_t deadline_after_ms(int64_t ms);
/* What is left, in ms rounded up, for poll(): -1 for never, 0 when it passed. */
int deadline_left_ms(deadline_t deadline);

/*
 * Reads exactly len bytes from a socket, or writes them. The descriptor may be
 * blocking or not; it is waited for with poll(). Errors: -ETIMEDOUT when the
 * deadline passes, -ECONNRESET (read) when the peer closes early, else the
 * system call's. *done (may be NULL) receives the bytes moved in every case.
 * Writing to a closed socket gives -EPIPE and no signal.
 */
int io_read_full(int fd, void *buf, size_t len, deadline_t deadline, size_t *done);
int io_write_full(int fd, const void *buf, size_t len, deadline_t deadline,
		  size_t *done);

/* Writes len bytes to a file, from `at` on; blocks for its disk. */
int io_pwrite_full(int fd, const void *buf, size_t len, uint64_t at);

#endif
