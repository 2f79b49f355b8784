/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections with a deadline, the earliest first: a binary heap, in which each
 * connection knows its place.
 */
#ifndef TRANSPORT_TIMERS_H
#define TRANSPORT_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct conn;

/* All zero is an empty one. */
struct timers {
	struct conn **heap;
	size_t count, size;
};

/* Makes room for count connections. 0 or -ENOMEM. */
int timers_reserve(struct timers *timers, size_t count);
void timers_free(struct timers *timers);

/* Puts a connection where its deadline belongs; takes it out when that is 0. */
void timers_settle(struct timers *timers, struct conn *conn);
void timers_remove(struct timers *timers, struct conn *conn);

/* The earliest, or NULL. */
struct conn *timers_first(const struct timers *timers);

#endif
