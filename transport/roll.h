/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's connections, called by name: which there are is noted in the state
 * (state.h), so that those that end with this process can be reset in the guest's
 * eyes by the next one. Without that a guest's program that only waits for bytes
 * would wait for ever.
 */
#ifndef TRANSPORT_ROLL_H
#define TRANSPORT_ROLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "state.h"

#define ROLL_NONE UINT32_MAX

struct roll_name {
	uint64_t peer_cid;
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct roll {
	struct state *state; /* NULL: nothing is noted */
	uint32_t next;	     /* none from here on was used yet */
	uint32_t *spare;     /* places that were: first those that are free again, */
	size_t settled;	     /* so many, then those that are still noted */
	size_t spares, spares_max;
	uint32_t *lost; /* the places of those that an earlier process had */
	size_t lost_count, lost_told, lost_asked;
};

/* Finds those that an earlier process had. False: no memory. */
bool roll_init(struct roll *roll, struct state *state);
void roll_free(struct roll *roll);

/* Notes a connection; where, or ROLL_NONE when it could not be. */
uint32_t roll_add(struct roll *roll, const struct roll_name *name);
/*
 * It is over. It stays noted until roll_settle(), since the guest may not be able to
 * see its RST yet; to be told twice does no harm. ROLL_NONE is ignored.
 */
void roll_remove(struct roll *roll, uint32_t at);
/* All that the guest was told until now is where it sees it. */
void roll_settle(struct roll *roll);

/* Whether some of the earlier process's are yet to be crossed out. */
bool roll_has_lost(const struct roll *roll);
/* The next of them that the guest is to be told of. */
bool roll_next_lost(struct roll *roll, struct roll_name *name);
/* Those that roll_next_lost() gave have been told, where the guest sees it. */
void roll_told(struct roll *roll);
/* The guest does not know them any more. */
void roll_forget_lost(struct roll *roll);

#endif
