/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection has to say to the guest. */
#include "conn.h"

/* In which order the notes are told; a REQUEST or RESPONSE opens, an RST ends. */
static const uint8_t order[] = {
	PACKET_REQUEST,	       PACKET_RESPONSE, PACKET_CREDIT_UPDATE,
	PACKET_CREDIT_REQUEST, PACKET_SHUTDOWN, PACKET_RST,
};

/* Of a message that was begun. */
static bool has_rest(const struct conn *conn)
{
	return conn->messages && conn->messages->rest.len;
}

static bool has_bytes(const struct conn *conn)
{
	return conn->state == CONN_OPEN && (conn->readable || has_rest(conn)) &&
	       !(conn->host_shut & PACKET_SHUT_SEND) &&
	       !(conn->guest_shut & PACKET_SHUT_RCV);
}

static bool has_room(const struct conn *conn)
{
	/* Its first packets are of no use to the guest without the last. */
	if (has_rest(conn))
		return credit_bytes(&conn->credit);
	return credit_bytes(&conn->credit) && credit_packets(&conn->credit);
}

bool conn_can_send(const struct conn *conn)
{
	return has_bytes(conn) && has_room(conn);
}

bool conn_is_blocked(const struct conn *conn)
{
	return has_bytes(conn) && !has_room(conn);
}

bool conn_owes(const struct conn *conn)
{
	/* A message that has no end yet is not owed. */
	return conn->messages ? conn->messages->count : conn->backlog.len;
}

bool conn_wants_room(const struct conn *conn)
{
	return conn->state == CONN_DIALLING || conn_owes(conn) || conn->leaving;
}

void conn_packet(struct conn *conn, enum packet_op op, uint32_t len,
		 struct packet *packet)
{
	*packet = (struct packet){
		.src_cid = conn->peer_cid,
		.src_port = conn->host_port,
		.dst_port = conn->guest_port,
		.len = len,
		.type = conn->type,
		.op = op,
	};
	credit_tell(&conn->credit, packet);
}

bool conn_next_packet(struct conn *conn, struct packet *packet)
{
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (!(conn->want & CONN_WANT(order[i])))
			continue;
		conn->want &= ~CONN_WANT(order[i]);
		conn_packet(conn, order[i], 0, packet);
		if (order[i] == PACKET_SHUTDOWN)
			packet->flags = conn->host_shut;
		if (order[i] == PACKET_RST)
			conn_over(conn);
		return true;
	}
	return false;
}
