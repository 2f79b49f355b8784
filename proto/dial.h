/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling a guest's port without waiting, for a program with an event loop.
 * endpoint_dial() waits between the steps.
 */
#ifndef PROTO_DIAL_H
#define PROTO_DIAL_H

#include <stdbool.h>

#include "endpoint.h"
#include "hybrid.h"

struct dial {
	const struct endpoint *ep; /* stays the caller's */
	uint32_t port;
	const struct addrinfo *at; /* the address that is tried, of a TCP name */
	deadline_t turn;	   /* then the next one's, if there is one */
	int fd;			   /* -1: see dial_events() */
	bool connected;		   /* and the CONNECT line, if there is one, is sent */
	char line[HYBRID_LINE_MAX];
	size_t len; /* of the answer so far */
};

/*
 * list: what endpoint_look_up() gave, which stays the caller's. Its addresses are
 * tried in turn until one of them connects.
 */
void dial_begin(struct dial *d, const struct endpoint *ep, uint32_t port,
		const struct addrinfo *list);

/*
 * Goes as far as it can be gone. 0: d->fd is the connection, non-blocking, and the
 * caller may take it. -EAGAIN: again after dial_events(). Other errors as
 * endpoint_dial().
 */
int dial_step(struct dial *d, struct error *err);

/* The words for -errno that it ended with at this point; returns it. */
int dial_fail(const struct dial *d, int ret, struct error *err);

/* What to poll d->fd for. 0: nothing, ask again in a few ms (a full backlog). */
short dial_events(const struct dial *d);

/* How long at most, with another address to try; -1: there is none. */
int dial_turn_ms(const struct dial *d);

/* Closes what has not been taken. */
void dial_end(struct dial *d);

#endif
