/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that writes to a socket or reads from it, as a host program does and
 * as both sides of the ceiling do.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include "task.h"

struct stream {
	struct task task; /* its bytes: what was written or read so far */
	int fd;
	size_t size; /* of each write, or of each piece of a read */
	unsigned int pieces;
	bool verify;
	uint64_t at; /* bytes before this task */
};

/* Pieces of a read: of a host program, and of what stands for the back-end. */
enum {
	STREAM_HOST_PIECE = 4096,
	STREAM_HOST_PIECES = 16,
	STREAM_GUEST_PIECE = 3732,
	STREAM_GUEST_PIECES = 18,
	STREAM_PIECES_MAX = 18,
};

/* Reads until the end of the stream. */
void stream_read(struct stream *s, int cpu);
/* Writes until it is stopped; never a part of a message. */
void stream_write(struct stream *s, int cpu);

#endif
