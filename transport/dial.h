/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a guest's connection to a port of the host goes: the Unix socket
 * "<uds>_<port>".
 */
#ifndef TRANSPORT_DIAL_H
#define TRANSPORT_DIAL_H

#include <stdint.h>

#include "error.h"

/*
 * A connected, non-blocking socket, or a negative errno: -ENOENT or -ECONNREFUSED
 * when nobody listens, -EAGAIN when the listener's queue is full.
 */
int dial_port(const char *uds, uint32_t port);

/* Refuses a path that leaves no room for the longest port. Negative errno. */
int dial_check(const char *uds, struct error *err);

#endif
