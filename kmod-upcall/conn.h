/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One client's connection: the service byte, the CONNECT message, then requests and
 * replies in turn, in whatever pieces they arrive. No thread waits for a client:
 * the socket's callbacks queue work.
 *
 * Requests of all the connections go through one queue, one at a time.
 */
#ifndef UPCALL_CONN_H
#define UPCALL_CONN_H

struct socket;

/*
 * A client gets that many milliseconds for the service byte, for the rest of a
 * message once it has begun, and for taking a reply; 0: any time. Between requests
 * it may be silent for ever. Changes hold for the next message.
 */
extern unsigned int conn_timeout_ms;

/*
 * After that many milliseconds at work, a request is taken to hang; 0: never. It is not
 * ended, which nothing can do to the kernel's calls.
 */
extern unsigned int conn_request_timeout_ms;

/* How many connections there may be; those beyond it are closed. */
extern unsigned int conn_max;

int conn_init(void);

/* How many there are. */
unsigned int conn_count(void);

/*
 * Closes every connection, after the request that is being carried out has been
 * answered; those that wait behind it are refused. Called when conn_open() cannot be
 * called any more. Nothing of this module runs on a socket's behalf afterwards.
 */
void conn_exit(void);

/*
 * Takes over a connected socket. On failure (-ENOMEM, -EMFILE) the socket remains
 * the caller's. Not to be called twice at the same time.
 */
int conn_open(struct socket *sock);

#endif
