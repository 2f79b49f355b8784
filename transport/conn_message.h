/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sets a connection of SOCK_SEQPACKET apart from one of SOCK_STREAM.
 */
#ifndef TRANSPORT_CONN_MESSAGE_H
#define TRANSPORT_CONN_MESSAGE_H

#include "conn.h"

/* A message of the guest's has come, or a part of one. */
void conn_take_message(struct conn *conn, const struct packet *packet,
		       const struct iovec *payload, size_t count);

/* The guest will say no more: what began a message, if something did, is none. */
void conn_cut_message(struct conn *conn);

/* Ends it since a message cannot be passed on whole; says so in the log. */
void conn_refuse_message(struct conn *conn, const char *why);

#endif
