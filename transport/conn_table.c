/* SPDX-License-Identifier: Apache-2.0 */
#include "conn_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	PORT_FIRST = 1 << 30,
	PORT_MASK = PORT_FIRST - 1
};

#define SLOT(id) ((id) & ((1u << CONN_TABLE_SLOT_BITS) - 1))

_Static_assert(CONN_TABLE_MAX < CONN_TABLE_PRIVILEGED_END, "a port is always left");
_Static_assert(CONN_TABLE_MAX <= 1 << CONN_TABLE_SLOT_BITS, "slots fit into an id");

void conn_table_init(struct conn_table *table)
{
	memset(table, 0, sizeof(*table));
	for (size_t i = 0; i < CONN_TABLE_MAX; i++)
		table->unused[i] = CONN_TABLE_MAX - 1 - i;
	table->unused_count = CONN_TABLE_MAX;
	/* Only so that a guest cannot choose which bucket gets long. */
	if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) < 0)
		table->seed = 0x9e3779b9;
}

size_t conn_table_count(const struct conn_table *table)
{
	return CONN_TABLE_MAX - table->unused_count;
}

struct conn *conn_table_add(struct conn_table *table)
{
	struct conn *conn;
	uint16_t slot;

	if (!table->unused_count)
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	slot = table->unused[--table->unused_count];
	table->slot[slot] = conn;
	conn->id = table->uses[slot]++ << CONN_TABLE_SLOT_BITS | slot;
	/* Live slots differ, so live ports do. */
	conn->host_port = PORT_FIRST + (conn->id & PORT_MASK);
	conn->type = PACKET_STREAM;
	conn->peer_cid = PACKET_HOST_CID;
	conn->fd = -1;
	return conn;
}

void conn_table_privilege(struct conn_table *table, struct conn *conn)
{
	uint32_t port = table->next_privileged;

	do {
		port = port % (CONN_TABLE_PRIVILEGED_END - 1) + 1;
	} while (table->privileged_used[port]);
	table->privileged_used[port] = true;
	table->next_privileged = port;
	conn->host_port = port;
	conn->privileged = true;
}

void conn_table_remove(struct conn_table *table, struct conn *conn)
{
	uint16_t slot = SLOT(conn->id);

	if (conn->privileged)
		table->privileged_used[conn->host_port] = false;
	conn_table_unbind(table, conn);
	conn_free(conn);
	table->slot[slot] = NULL;
	table->unused[table->unused_count++] = slot;
	free(conn);
}

struct conn *conn_table_get(const struct conn_table *table, uint32_t id)
{
	struct conn *conn;

	if (SLOT(id) >= CONN_TABLE_MAX)
		return NULL;
	conn = table->slot[SLOT(id)];
	return conn && conn->id == id ? conn : NULL;
}

static size_t bucket_of(const struct conn_table *table, uint64_t peer_cid,
			uint32_t host_port, uint32_t guest_port)
{
	uint64_t key = (uint64_t)host_port << 32 | guest_port;

	key = (key ^ table->seed) * 0x9e3779b97f4a7c15ULL;
	key = (key ^ key >> 32 ^ peer_cid) * 0xbf58476d1ce4e5b9ULL;
	return key >> 32 & (CONN_TABLE_BUCKETS - 1);
}

void conn_table_bind(struct conn_table *table, struct conn *conn)
{
	size_t at = bucket_of(table, conn->peer_cid, conn->host_port, conn->guest_port);

	if (conn->bound)
		return;
	conn->chain = table->bucket[at];
	table->bucket[at] = conn;
	conn->bound = true;
}

void conn_table_unbind(struct conn_table *table, struct conn *conn)
{
	struct conn **link;

	if (!conn->bound)
		return;
	link = &table->bucket[bucket_of(table, conn->peer_cid, conn->host_port,
					conn->guest_port)];
	while (*link != conn)
		link = &(*link)->chain;
	*link = conn->chain;
	conn->bound = false;
}

struct conn *conn_table_find(const struct conn_table *table, uint64_t peer_cid,
			     uint32_t host_port, uint32_t guest_port)
{
	struct conn *conn =
		table->bucket[bucket_of(table, peer_cid, host_port, guest_port)];

	while (conn && (conn->peer_cid != peer_cid || conn->host_port != host_port ||
			conn->guest_port != guest_port))
		conn = conn->chain;
	return conn;
}

struct conn *conn_table_next(const struct conn_table *table, size_t *at)
{
	while (*at < CONN_TABLE_MAX) {
		struct conn *conn = table->slot[(*at)++];

		if (conn)
			return conn;
	}
	return NULL;
}
