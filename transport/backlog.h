/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from the guest that the host program's socket has not taken yet. There
 * is memory behind it only while there are such bytes; credit.h bounds them.
 */
#ifndef TRANSPORT_BACKLOG_H
#define TRANSPORT_BACKLOG_H

#include <stddef.h>
#include <sys/uio.h>

#include "credit.h"

enum {
	BACKLOG_MAX = CREDIT_BUF_ALLOC
};

/* All zero is an empty one. */
struct backlog {
	char *data;
	size_t size; /* of data, a power of two */
	size_t start;
	size_t len; /* bytes held */
};

/*
 * Appends len bytes from offset on. 0, -ENOMEM, or -ENOBUFS beyond BACKLOG_MAX;
 * on an error nothing was added.
 */
int backlog_add(struct backlog *backlog, const struct iovec *iov, size_t count,
		size_t offset, size_t len);

/* Where the bytes are, the oldest first; returns the number of pieces. */
size_t backlog_peek(const struct backlog *backlog, struct iovec out[static 2]);

/* Drops the oldest len bytes (at most all). */
void backlog_consume(struct backlog *backlog, size_t len);

/* Drops everything. */
void backlog_clear(struct backlog *backlog);

#endif
