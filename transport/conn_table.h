/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live connections: by id (for epoll), and by the CID and the port of the other
 * end and the guest's port (for packets).
 */
#ifndef TRANSPORT_CONN_TABLE_H
#define TRANSPORT_CONN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conn.h"
#include "limits.h"
#include "roll.h"

enum {
	/* Ports below it are privileged, in the guest's eyes too (include/net/sock.h,
	 * LAST_RESERVED_PORT of af_vsock.c). */
	CONN_TABLE_PRIVILEGED_END = 1024,
};

/* A place for a connection; its memory is touched when the first one needs it. */
struct conn_slot {
	struct conn *conn;
	uint32_t uses;	 /* how many there were */
	uint32_t unused; /* the next free one, when this one is free */
};

struct conn_table {
	struct conn_common common;
	uint32_t conn_buffer;
	uint32_t max;
	unsigned int slot_bits; /* of an id; the rest counts the slot's uses */
	uint32_t count;		/* connections */
	uint32_t used;		/* slots that were ever in use: [0, used) */
	uint32_t unused;	/* the first free one of them, or used */
	struct conn_slot *slot; /* max */
	struct conn **bucket;	/* 2^slot_bits */
	struct conn *last;	/* the one found last */
	bool privileged_used[CONN_TABLE_PRIVILEGED_END];
	uint32_t next_privileged;  /* so that a port rests before it comes again */
	uint32_t privileged_count; /* ports in use */
	uint32_t seed;
	uint32_t first_port; /* what the ports of ids begin with */
	struct roll *roll;   /* where those that are bound are noted; or NULL */
};

/* 0 or -ENOMEM. The memory takes room only as connections come. */
int conn_table_init(struct conn_table *table, const struct limits *limits);
/* Every connection has to be removed before. */
void conn_table_free(struct conn_table *table);

/*
 * Notes the bound ones from now on, and avoids the ports that an earlier process
 * gave out last: the guest may yet have sent something to them.
 */
void conn_table_keep(struct conn_table *table, struct roll *roll);

/* How many there are. */
size_t conn_table_count(const struct conn_table *table);

/*
 * A new connection, all zero but for its id and a host port that no other has
 * (from 2^30 up). NULL when there are as many as may be, or no memory.
 */
struct conn *conn_table_add(struct conn_table *table);
/* Takes it out and frees it, with what it holds. */
void conn_table_remove(struct conn_table *table, struct conn *conn);

/*
 * Gives a connection that is not bound yet a host port from 1 to 1023 instead, which
 * no other has. False when all are taken: it keeps the one it has.
 */
bool conn_table_privilege(struct conn_table *table, struct conn *conn);

/* NULL for an id that is not in use (any more). */
struct conn *conn_table_get(const struct conn_table *table, uint32_t id);

/* Makes it known, or unknown, by its ports. */
void conn_table_bind(struct conn_table *table, struct conn *conn);
void conn_table_unbind(struct conn_table *table, struct conn *conn);
struct conn *conn_table_find(struct conn_table *table, uint64_t peer_cid,
			     uint32_t host_port, uint32_t guest_port);

/*
 * Goes through all of them: *at begins with 0; NULL at the end. The one returned
 * may be removed.
 */
struct conn *conn_table_next(const struct conn_table *table, size_t *at);

#endif
