/* SPDX-License-Identifier: GPL-2.0-only */
/* The listener on UPCALL_PORT: lets the host in, and nobody else. */
#ifndef UPCALL_SERVER_H
#define UPCALL_SERVER_H

#include <linux/types.h>

/* The vsock port to listen on. Read by server_start(). */
extern unsigned int server_port;

/*
 * Whether a client's own port must be below 1024. Holds for the connections to
 * come.
 */
extern bool server_privileged_only;

/* Begins to listen; connections go to conn_open(). Logs why, if it cannot. */
int server_start(void);

/*
 * Stops. Connections that nobody has accepted yet are closed; those that were
 * accepted go on. No conn_open() happens afterwards.
 */
void server_stop(void);

#endif
