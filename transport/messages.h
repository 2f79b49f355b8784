/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a SOCK_SEQPACKET connection. One of the guest's is one of the
 * host program's socket, whole or not at all: its packets are put together before
 * anything is written, and what the socket does not take waits, with its length.
 * One of the host program's that the guest has no room for now waits too, cut where
 * it was.
 */
#ifndef TRANSPORT_MESSAGES_H
#define TRANSPORT_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "backlog.h"

enum {
	MESSAGES_LONGEST = 512 * 1024, /* that the host program may send */
};

struct messages {
	/* From the guest. The bytes are in the connection's backlog. */
	struct backlog lengths; /* of whole messages, the oldest first */
	uint32_t count;		/* of these */
	uint32_t part;		/* bytes of the one that has no end yet */
	/* To the guest. */
	struct backlog rest; /* of the message that is being sent */
	bool rest_eor;	     /* it ends a record too */
};

/* NULL when there is no memory. */
struct messages *messages_new(struct backlog_pool *pool);
void messages_free(struct messages *messages);

/*
 * Readies a socket that is to carry messages of up to that many bytes, and to take them
 * out of the backlog.
 */
void messages_prepare(struct backlog *bytes, int fd, uint32_t longest);

/*
 * Takes a packet's len bytes, which end a message (PACKET_EOM in flags) or do not.
 * Writes what it can without waiting; never raises SIGPIPE. Returns how many bytes
 * the socket took, -EPIPE when nobody will read any more, -EMSGSIZE when a message
 * is longer than the socket can take, -EOVERFLOW when max messages wait already, or
 * another negative errno.
 */
ssize_t messages_send(struct messages *messages, struct backlog *bytes, int fd,
		      const struct iovec *iov, size_t count, uint32_t len,
		      uint32_t flags, uint32_t max);

/* Writes what waits; returns as messages_send(). */
ssize_t messages_flush(struct messages *messages, struct backlog *bytes, int fd);

/* The message that has no end will get none. Returns its bytes. */
uint32_t messages_cut(struct messages *messages, struct backlog *bytes);

/* Forgets what is to be written; the bytes are the caller's to forget. */
void messages_clear(struct messages *messages);

#endif
