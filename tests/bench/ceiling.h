/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sockets and wake-ups underneath can do: the same work, without a
 * back-end, by threads on the same CPUs.
 */
#ifndef BENCH_CEILING_H
#define BENCH_CEILING_H

#include "latency.h"
#include "meter.h"

/* The same messages through a Unix socket pair; CPU time: of the back-end's side. */
struct sample ceiling_flow(bool to_host, uint32_t size);

/*
 * There and back through an eventfd, a socket pair and an eventfd, with a wake-up
 * at each; or, if spin, through memory and a socket pair with none.
 */
void ceiling_round_trips(struct latencies *to, bool spin);

/* Connections a second through a listening Unix socket; line: with CONNECT and OK. */
double ceiling_connects(bool line);

#endif
