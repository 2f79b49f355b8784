/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from the guest that the host program's socket has not taken yet. There
 * is memory behind it only while there are such bytes; credit.h bounds them for
 * each connection, a pool for all of them together.
 */
#ifndef TRANSPORT_BACKLOG_H
#define TRANSPORT_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What all backlogs of a device, or some of them, have together. */
struct backlog_pool {
	struct backlog_pool *whole; /* that this one is a share of; NULL: of none */
	size_t used, max;	    /* bytes of memory */
	size_t held;		    /* bytes in it, of those that do not count apart */
	size_t wide; /* bytes that sockets may hold that hold more than others */
};

/* A pool of at most half of the other one. */
void backlog_pool_share(struct backlog_pool *pool, struct backlog_pool *whole);

/* All zero, but for the pool, is an empty one. */
struct backlog {
	struct backlog_pool *pool;
	char *data;
	size_t size; /* of data, a power of two */
	size_t start;
	size_t len;  /* bytes held */
	size_t wide; /* bytes that its socket may hold, if that is more than others */
	bool apart;  /* what it holds is not the guest's or the host program's */
};

/*
 * Appends len bytes from offset on. 0, -ENOMEM, or -EDQUOT when the pool has no
 * more; on an error nothing was added.
 */
int backlog_add(struct backlog *backlog, const struct iovec *iov, size_t count,
		size_t offset, size_t len);

/* Where the bytes are, the oldest first; returns the number of pieces. */
size_t backlog_peek(const struct backlog *backlog, struct iovec out[static 2]);

/* Drop the oldest, or the newest, len bytes (at most all). */
void backlog_consume(struct backlog *backlog, size_t len);
void backlog_cut(struct backlog *backlog, size_t len);

/*
 * Both write to a socket without waiting and never raise SIGPIPE. They return how
 * many bytes it took, 0 when it is full, -EPIPE when nobody will read any more, or
 * another negative errno. backlog_send() keeps what of its len bytes the socket
 * did not take, behind what is held already (-ENOMEM, -EDQUOT); backlog_flush()
 * writes what is held.
 *
 * A socket that was full once is made to hold more: what it takes at once need not
 * be copied here first. That is memory too, so only some sockets may have it.
 */
ssize_t backlog_send(struct backlog *backlog, int fd, const struct iovec *iov,
		     size_t count, size_t len);
ssize_t backlog_flush(struct backlog *backlog, int fd);

/* Its socket was made to hold more than others, by somebody else. */
void backlog_raised(struct backlog *backlog, int fd);

/*
 * Nothing more will be written. False when the socket holds more than it would if it
 * were like others: that still counts, and epoll tells of room when there is a change.
 */
bool backlog_narrow(struct backlog *backlog, int fd);

/* Drops everything. */
void backlog_clear(struct backlog *backlog);
/* Drops everything; the socket is gone. */
void backlog_end(struct backlog *backlog);

#endif
