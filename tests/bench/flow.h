/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection through a back-end on which one side sends as fast as it can.
 */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include "instance.h"
#include "meter.h"
#include "stream.h"

struct flow {
	struct instance *inst;
	struct guest_conn *conn;
	bool to_host;
	uint32_t size; /* of each message */
	struct task driver;
	struct stream host;
	uint64_t host_sent; /* in all rounds */
};

void flow_open(struct flow *flow, struct instance *inst, bool to_host, uint32_t size);
/* Sends for options.seconds. All of it has arrived at the end. */
struct sample flow_round(struct flow *flow);
void flow_close(struct flow *flow);

#endif
