/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Round trips of one small message: from the guest to a host program and back.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stddef.h>
#include <stdint.h>

#include "instance.h"
#include "task.h"

enum {
	LATENCY_SIZE = 64, /* bytes of the message */
};

/* All that were measured, so that percentiles are exact. */
struct latencies {
	uint32_t *ns;
	size_t count, room;
};

void latency_add(struct latencies *l, uint64_t ns);
/* The one that p percent are not above. Sorts them. */
double latency_percentile(struct latencies *l, double p);
void latency_free(struct latencies *l);

/*
 * For options.seconds. Blocking: the driver sleeps until an interrupt, the host's
 * program in a read. spin: both of them spin, on the host's CPU.
 */
void latency_round_trips(struct latencies *to, struct instance *inst, bool spin);

/* A host program that sends back what it reads from *(int *)task->arg. */
void latency_echo(struct task *task);

#endif
