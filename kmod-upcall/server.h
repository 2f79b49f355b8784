/* SPDX-License-Identifier: GPL-2.0-only */
/* The listener on UPCALL_PORT: lets the host in, and nobody else. */
#ifndef UPCALL_SERVER_H
#define UPCALL_SERVER_H

/* Begins to listen; connections go to conn_open(). Logs why, if it cannot. */
int server_start(void);

/*
 * Stops. Connections that nobody has accepted yet are closed; those that were
 * accepted go on. No conn_open() happens afterwards.
 */
void server_stop(void);

#endif
