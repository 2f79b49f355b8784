/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stream ids of a connection have been used. ttrpc's PROTOCOL.md wants them
 * odd and ascending, but a client that numbers its calls in one thread and writes
 * them in another (ttrpc-rust's asynchronous one) may swap neighbours. So an id is
 * taken once, in any order, while it is not further than a window below the highest.
 */
#ifndef AGENT_STREAM_IDS_H
#define AGENT_STREAM_IDS_H

#include <stdbool.h>
#include <stdint.h>

/* In odd ids: clients with fewer calls at a time are never refused for the order. */
#define AGENT_STREAM_WINDOW 256

/* All zero is a connection's beginning. */
struct agent_stream_ids {
	uint32_t next; /* half of the highest id used, plus 1; 0: none yet */
	uint64_t used[AGENT_STREAM_WINDOW / 64]; /* a ring, by half the id */
};

/* Takes an odd id. False: it was used before, or is below the window. */
bool agent_stream_ids_take(struct agent_stream_ids *ids, uint32_t id);
/* Whether an odd id was taken, or cannot be any more. */
bool agent_stream_ids_used(const struct agent_stream_ids *ids, uint32_t id);

#endif
