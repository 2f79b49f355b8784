/* SPDX-License-Identifier: Apache-2.0 */
#include "conn_message.h"

#include <errno.h>

#include "log.h"

void conn_refuse_message(struct conn *conn, const char *why)
{
	log_limited(LOG_LEVEL_WARNING, "connection " CONN_NAME " is reset: %s",
		    CONN_NAME_ARGS(conn), why);
	conn_reset(conn, RESET_MESSAGE, why);
}

void conn_cut_message(struct conn *conn)
{
	uint32_t bytes;

	if (!conn->messages || !conn->messages->part)
		return;
	bytes = messages_cut(conn->messages, &conn->backlog);
	conn->credit.kept = 0;
	credit_forward(&conn->credit, bytes);
	log_limited(LOG_LEVEL_WARNING,
		    "connection " CONN_NAME
		    ": the guest left a message without its end, %u "
		    "bytes of it are dropped",
		    CONN_NAME_ARGS(conn), bytes);
}

void conn_take_message(struct conn *conn, const struct packet *packet,
		       const struct iovec *payload, size_t count)
{
	ssize_t n =
		messages_send(conn->messages, &conn->backlog, conn->fd, payload, count,
			      packet->len, packet->flags, conn->credit.buf_alloc);

	if (n == -EMSGSIZE) {
		conn_refuse_message(conn, "a message of the guest's is longer than the "
					  "socket takes; net.core.wmem_max allows "
					  "more");
		return;
	}
	if (n == -EOVERFLOW) {
		conn_refuse_message(conn, "too many messages of the guest's wait for "
					  "the host program");
		return;
	}
	conn_on_written(conn, n);
	if (!conn->messages)
		return;
	conn->credit.kept = conn->messages->part;
	/* Its end needs credit that there will never be. */
	if (conn->messages->part >= conn->credit.buf_alloc)
		conn_refuse_message(conn, "a message of the guest's is longer than "
					  "--conn-buffer allows");
}
