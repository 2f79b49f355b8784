/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device, and each of its connections, has done so far. Plain counters that
 * only grow, incremented where things happen.
 */
#ifndef TRANSPORT_STATS_H
#define TRANSPORT_STATS_H

#include <stdint.h>

/* Why a connection ended, or did not begin, with an RST in place of a close. */
enum reset_reason {
	RESET_GUEST,	       /* the guest sent one */
	RESET_GUEST_REFUSED,   /* nobody listens in the guest */
	RESET_GUEST_SILENT,    /* the guest did not answer */
	RESET_PROTOCOL,	       /* the guest broke a rule */
	RESET_CREDIT,	       /* the guest sent more than it had credit for */
	RESET_UNKNOWN,	       /* the guest's packet belongs to no connection */
	RESET_HOST_REFUSED,    /* nobody listens, or accepts, on the host */
	RESET_HOST_LEFT,       /* the host program left before the guest answered */
	RESET_HOST_SOCKET,     /* the host program's socket failed */
	RESET_MAX_CONNECTIONS, /* limits, as in limits.h */
	RESET_CONNECT_RATE,
	RESET_BUFFER_TOTAL,
	RESET_NO_MEMORY,
	RESET_MESSAGE, /* a message is longer than the other side can take */
	RESET_RESTART, /* it ended with the process before this one */
	RESET_REASONS,
};

/* Packets are those with data. */
struct stats {
	uint64_t to_guest_packets, to_guest_bytes;
	uint64_t from_guest_packets, from_guest_bytes;
	uint64_t asked_by_guest, asked_by_host; /* connections that were tried */
	uint64_t opened;			/* of them, those that came to be */
	uint64_t refused;			/* and those that did not */
	uint64_t resets[RESET_REASONS];
	uint64_t credit_stalls; /* times that data waited for the guest's credit */
	uint64_t rate_stalls;	/* times that it waited for limits.rate */
	uint64_t accept_stalls; /* times that host programs waited for a limit */
	uint64_t dropped;	/* packets that no answer could be given to */
};

struct conn_stats {
	uint64_t to_guest_packets, to_guest_bytes;
	uint64_t from_guest_packets, from_guest_bytes;
	uint32_t credit_stalls;
};

/* In lower case, with underscores. */
const char *reset_reason_name(enum reset_reason reason);

#endif
