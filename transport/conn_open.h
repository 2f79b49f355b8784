/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection comes to be, until it is CONN_OPEN: somebody on the host's side
 * connects and says which port it wants, or the guest does and somebody there is to
 * be reached first.
 */
#ifndef TRANSPORT_CONN_OPEN_H
#define TRANSPORT_CONN_OPEN_H

#include "conn.h"

/*
 * Somebody has connected from the host's side; fd becomes the connection's. One of
 * ORIGIN_MAP goes straight to conn->guest_port.
 */
void conn_accept(struct conn *conn, int fd, enum conn_origin origin, uint64_t now);

/*
 * The guest has sent a REQUEST. It stands in CONN_DIALLING, where its socket is yet
 * to be had: with fd -1 the caller tries again later, else fd is on its way to be
 * connected.
 */
void conn_request(struct conn *conn, const struct packet *request, uint64_t now);
void conn_dialling(struct conn *conn, int fd, uint64_t now);
/* fd is connected, and is the guest's peer. */
void conn_dialled(struct conn *conn, int fd);
/* fd is connected, to a sibling's side that is to be told who asks. */
void conn_greet(struct conn *conn, int fd, uint32_t guest_cid, uint64_t now);

/* epoll has something to say about a socket in CONN_LINE or CONN_GREETING. */
void conn_open_on_socket(struct conn *conn, uint32_t events, uint64_t now);
/* The guest has said yes. */
void conn_open_on_response(struct conn *conn);

#endif
