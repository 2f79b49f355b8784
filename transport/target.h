/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest's connection leads to: for a port of the host, the address that
 * --connect gives it, or else the Unix socket "<uds>_<port>", or else, with
 * --forward, the same port of another CID; for a port of a sibling, that one's
 * socket in the directory of --peers.
 *
 * Nothing here waits. A connection that may lead to several places tries them in
 * order: those are its choices, counted from 0.
 */
#ifndef TRANSPORT_TARGET_H
#define TRANSPORT_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "map.h"

struct routes {
	uint32_t guest_cid;
	const char *uds;
	const char *peers; /* a directory; NULL: no siblings */
	struct maps connect;
	uint32_t forward_cid; /* 0: none */
};

enum {
	TARGET_TEXT_MAX = ENDPOINT_TEXT_MAX
};

/*
 * Dials the given choice for a port of a peer; type is PACKET_STREAM or
 * PACKET_SEQPACKET. A non-blocking socket, which is connected unless *pending is
 * set: then it is when it can be written to. Or a negative errno: -ENOENT or
 * -ECONNREFUSED when nobody listens, -EAGAIN when the listener's queue is full,
 * and others; -ERANGE when there is no such choice.
 */
int target_dial(const struct routes *routes, uint32_t peer_cid, uint32_t port,
		uint16_t type, unsigned int choice, bool *pending);

/* Whether a choice that failed so leaves the next one to be tried. */
bool target_has_more(const struct routes *routes, uint32_t peer_cid, uint32_t port,
		     unsigned int choice, int error);

/* The choice in words, for the log; returns buf. */
const char *target_describe(const struct routes *routes, uint32_t peer_cid,
			    uint32_t port, uint16_t type, unsigned int choice,
			    char buf[static TARGET_TEXT_MAX]);

/* The path of a guest's own socket among its siblings; false: too long. */
bool target_peer_path(const char *peers, uint32_t cid, uint16_t type,
		      struct address *address);

/* Refuses paths that leave no room for the longest names. Negative errno. */
int target_check(const struct routes *routes, struct error *err);

#endif
