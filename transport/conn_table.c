/* SPDX-License-Identifier: Apache-2.0 */
#include "conn_table.h"
#include "sandbox_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

SANDBOX_CALLS("getrandom");

enum {
	PORT_FIRST = 1 << 30,
	PORT_MASK = PORT_FIRST - 1,
	PORT_STEP = 0x2545f491, /* odd, and far: from one process to the next */
	PRIVILEGED_MAX = CONN_TABLE_PRIVILEGED_END - 1,
};

_Static_assert(LIMITS_CONNECTIONS_MAX <= 1 << 20, "an id has bits to count uses with");

static uint32_t slot_of(const struct conn_table *table, uint32_t id)
{
	return id & ((1u << table->slot_bits) - 1);
}

int conn_table_init(struct conn_table *table, const struct limits *limits)
{
	memset(table, 0, sizeof(*table));
	table->common.buffers.max = limits->buffer_total;
	backlog_pool_share(&table->common.sibling_buffers, &table->common.buffers);
	table->conn_buffer = limits->conn_buffer;
	table->max = limits->max_connections;
	while (1u << table->slot_bits < table->max)
		table->slot_bits++;
	table->slot = calloc(table->max, sizeof(*table->slot));
	table->bucket = calloc(1u << table->slot_bits, sizeof(struct conn *));
	if (!table->slot || !table->bucket) {
		conn_table_free(table);
		return -ENOMEM;
	}
	/* Only so that a guest cannot choose which bucket gets long. */
	if (getrandom(&table->seed, sizeof(table->seed), GRND_NONBLOCK) < 0)
		table->seed = 0x9e3779b9;
	return 0;
}

void conn_table_free(struct conn_table *table)
{
	free(table->slot);
	free(table->bucket);
	table->slot = NULL;
	table->bucket = NULL;
}

void conn_table_keep(struct conn_table *table, struct roll *roll)
{
	table->roll = roll;
	table->first_port = state_age(roll->state) * PORT_STEP;
	table->next_privileged = *state_privileged_port(roll->state) % PRIVILEGED_MAX;
}

size_t conn_table_count(const struct conn_table *table)
{
	return table->count;
}

static uint32_t take_slot(struct conn_table *table)
{
	uint32_t slot = table->unused;

	if (slot == table->used)
		table->unused = ++table->used;
	else
		table->unused = table->slot[slot].unused;
	return slot;
}

static void give_slot(struct conn_table *table, uint32_t slot)
{
	table->slot[slot].conn = NULL;
	table->slot[slot].unused = table->unused;
	table->unused = slot;
}

struct conn *conn_table_add(struct conn_table *table)
{
	struct conn *conn;
	uint32_t slot;

	if (table->count == table->max)
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	slot = take_slot(table);
	table->slot[slot].conn = conn;
	table->count++;
	conn->id = table->slot[slot].uses++ << table->slot_bits | slot;
	/* Live slots differ, so live ports do. */
	conn->host_port = PORT_FIRST + ((table->first_port + conn->id) & PORT_MASK);
	conn->roll_at = ROLL_NONE;
	conn->type = PACKET_STREAM;
	conn->peer_cid = PACKET_HOST_CID;
	conn->fd = -1;
	conn->common = &table->common;
	conn->backlog.pool = &table->common.buffers;
	conn->credit.buf_alloc = table->conn_buffer;
	return conn;
}

bool conn_table_privilege(struct conn_table *table, struct conn *conn)
{
	uint32_t port = table->next_privileged;

	if (table->privileged_count == PRIVILEGED_MAX)
		return false;
	do {
		port = port % PRIVILEGED_MAX + 1;
	} while (table->privileged_used[port]);
	table->privileged_used[port] = true;
	table->privileged_count++;
	table->next_privileged = port;
	if (table->roll)
		*state_privileged_port(table->roll->state) = port;
	conn->host_port = port;
	conn->privileged = true;
	return true;
}

void conn_table_remove(struct conn_table *table, struct conn *conn)
{
	if (conn->privileged) {
		table->privileged_used[conn->host_port] = false;
		table->privileged_count--;
	}
	conn_table_unbind(table, conn);
	conn_die(conn);
	give_slot(table, slot_of(table, conn->id));
	table->count--;
	free(conn);
}

struct conn *conn_table_get(const struct conn_table *table, uint32_t id)
{
	uint32_t slot = slot_of(table, id);
	struct conn *conn;

	if (slot >= table->used)
		return NULL;
	conn = table->slot[slot].conn;
	return conn && conn->id == id ? conn : NULL;
}

static size_t bucket_of(const struct conn_table *table, uint64_t peer_cid,
			uint32_t host_port, uint32_t guest_port)
{
	uint64_t key = (uint64_t)host_port << 32 | guest_port;

	key = (key ^ table->seed) * 0x9e3779b97f4a7c15ULL;
	key = (key ^ key >> 32 ^ peer_cid) * 0xbf58476d1ce4e5b9ULL;
	return key >> 32 & ((1u << table->slot_bits) - 1);
}

void conn_table_bind(struct conn_table *table, struct conn *conn)
{
	size_t at;

	if (conn->bound)
		return;
	at = bucket_of(table, conn->peer_cid, conn->host_port, conn->guest_port);
	conn->chain = table->bucket[at];
	table->bucket[at] = conn;
	conn->bound = true;
	if (table->roll)
		conn->roll_at =
			roll_add(table->roll, &(struct roll_name){
						      .peer_cid = conn->peer_cid,
						      .host_port = conn->host_port,
						      .guest_port = conn->guest_port,
						      .type = conn->type,
					      });
}

void conn_table_unbind(struct conn_table *table, struct conn *conn)
{
	struct conn **link;

	if (!conn->bound)
		return;
	if (table->last == conn)
		table->last = NULL;
	link = &table->bucket[bucket_of(table, conn->peer_cid, conn->host_port,
					conn->guest_port)];
	while (*link != conn)
		link = &(*link)->chain;
	*link = conn->chain;
	conn->bound = false;
	if (table->roll)
		roll_remove(table->roll, conn->roll_at);
	conn->roll_at = ROLL_NONE;
}

static bool is_known_as(const struct conn *conn, uint64_t peer_cid, uint32_t host_port,
			uint32_t guest_port)
{
	return conn->host_port == host_port && conn->guest_port == guest_port &&
	       conn->peer_cid == peer_cid;
}

struct conn *conn_table_find(struct conn_table *table, uint64_t peer_cid,
			     uint32_t host_port, uint32_t guest_port)
{
	struct conn *conn = table->last;

	/* Packets come in runs of one connection. */
	if (conn && is_known_as(conn, peer_cid, host_port, guest_port))
		return conn;
	conn = table->bucket[bucket_of(table, peer_cid, host_port, guest_port)];
	while (conn && !is_known_as(conn, peer_cid, host_port, guest_port))
		conn = conn->chain;
	if (conn)
		table->last = conn;
	return conn;
}

struct conn *conn_table_next(const struct conn_table *table, size_t *at)
{
	while (*at < table->used) {
		struct conn *conn = table->slot[(*at)++].conn;

		if (conn)
			return conn;
	}
	return NULL;
}
