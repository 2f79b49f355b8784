// SPDX-License-Identifier: Apache-2.0
#include "accounts.h"

#include "fuzz.h"

/* The device's accounts of one connection. */
static void check_conn(struct device *dev, struct conn *conn)
{
	const struct credit *c = &conn->credit;
	uint32_t packets = 0;

	CHECK(conn->state != CONN_DEAD);
	CHECK(conn->in_control == (conn->want != 0));
	CHECK(conn->in_ready == conn_can_send(conn));
	CHECK((conn->deadline != 0) == (conn->timer != 0));
	CHECK(conn->backlog.len <= c->buf_alloc);
	CHECK(c->rx_cnt - c->fwd_cnt <= c->buf_alloc);
	for (unsigned int i = 0; i < c->marks; i++)
		packets += c->mark[(c->first_mark + i) % CREDIT_MARKS].packets;
	CHECK(packets == c->packets);
	if (conn->state == CONN_OPEN || conn->state == CONN_LINGER)
		CHECK(c->rx_cnt - c->fwd_cnt == conn->backlog.len);
	if (conn->bound)
		CHECK(conn_table_find(&dev->conns, conn->peer_cid, conn->host_port,
				      conn->guest_port) == conn);
	if (!conn->messages)
		return;
	CHECK(conn->messages->count <= c->buf_alloc);
	CHECK(conn->messages->part <= conn->backlog.len);
	CHECK(conn->messages->rest.len <= MESSAGES_LONGEST);
}

/* What a connection has of a pool is added to the sum. */
static void add(struct backlog_pool *sum, const struct conn *conn)
{
	sum->used += conn->backlog.size;
	sum->held += conn->backlog.len;
	sum->wide += conn->backlog.wide;
	if (!conn->messages)
		return;
	sum->used += conn->messages->rest.size + conn->messages->lengths.size;
	sum->held += conn->messages->rest.len;
}

static void check_pool(const struct backlog_pool *pool, const struct backlog_pool *sum)
{
	CHECK(sum->used == pool->used && sum->held == pool->held);
	CHECK(sum->used <= pool->max && sum->wide == pool->wide);
}

void accounts_check(struct device *dev)
{
	const struct conn_table *table = &dev->conns;
	const struct stats *stats = &table->common.stats;
	struct backlog_pool all = {.used = 0}, siblings = {.used = 0};
	size_t at = 0, count = 0, begun = 0;
	struct conn *conn;

	while ((conn = conn_table_next(table, &at))) {
		check_conn(dev, conn);
		count++;
		begun += conn->state < CONN_OPEN;
		add(&all, conn);
		if (conn->origin == ORIGIN_PEER)
			add(&siblings, conn);
	}
	CHECK(count == table->count && count <= table->max);
	check_pool(&table->common.buffers, &all);
	check_pool(&table->common.sibling_buffers, &siblings);
	CHECK(stats->asked_by_guest + stats->asked_by_host ==
	      stats->opened + stats->refused + begun);
}
