/* SPDX-License-Identifier: Apache-2.0 */
#include "roll.h"

#include <stdlib.h>

bool roll_init(struct roll *roll, struct state *state)
{
	*roll = (struct roll){.state = state};
	for (uint32_t i = 0; state && i < state_conns_used(state); i++) {
		if (!state->conn[i].used)
			continue;
		roll->next = i + 1;
		roll->lost_count++;
	}
	if (!roll->lost_count)
		return true;
	roll->spares_max = roll->next;
	roll->spare = calloc(roll->spares_max, sizeof(*roll->spare));
	roll->lost = calloc(roll->lost_count, sizeof(*roll->lost));
	if (!roll->spare || !roll->lost)
		return false;
	for (uint32_t i = 0, n = 0; i < roll->next; i++) {
		if (state->conn[i].used && n < roll->lost_count)
			roll->lost[n++] = i;
		else
			roll->spare[roll->spares++] = i;
	}
	roll->settled = roll->spares;
	return true;
}

void roll_free(struct roll *roll)
{
	free(roll->spare);
	free(roll->lost);
	*roll = (struct roll){.state = NULL};
}

/* A place, or ROLL_NONE. */
static uint32_t find_place(struct roll *roll)
{
	if (roll->settled) {
		uint32_t at = roll->spare[--roll->settled];

		roll->spare[roll->settled] = roll->spare[--roll->spares];
		return at;
	}
	return roll->next < roll->state->conns_max ? roll->next++ : ROLL_NONE;
}

uint32_t roll_add(struct roll *roll, const struct roll_name *name)
{
	struct state_conn *conn;
	uint32_t at;

	if (!roll->state)
		return ROLL_NONE;
	at = find_place(roll);
	if (at == ROLL_NONE)
		return at;
	state_use_conn(roll->state, at);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	conn = &roll->state->conn[at];
	conn->peer_cid = name->peer_cid;
	conn->host_port = name->host_port;
	conn->guest_port = name->guest_port;
	conn->type = name->type;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	conn->used = true;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return at;
}

void roll_remove(struct roll *roll, uint32_t at)
{
	if (at == ROLL_NONE || !roll->state)
		return;
	if (roll->spares == roll->spares_max) {
		size_t max = roll->spares_max ? roll->spares_max * 2 : 32;
		uint32_t *more = realloc(roll->spare, max * sizeof(*more));

		/* The place is lost for this process, and there are others. */
		if (!more) {
			roll->state->conn[at].used = false;
			return;
		}
		roll->spare = more;
		roll->spares_max = max;
	}
	roll->spare[roll->spares++] = at;
}

void roll_settle(struct roll *roll)
{
	while (roll->state && roll->settled < roll->spares)
		roll->state->conn[roll->spare[roll->settled++]].used = false;
}

bool roll_has_lost(const struct roll *roll)
{
	return roll->lost_told < roll->lost_count;
}

bool roll_next_lost(struct roll *roll, struct roll_name *name)
{
	const struct state_conn *conn;

	if (roll->lost_asked == roll->lost_count)
		return false;
	conn = &roll->state->conn[roll->lost[roll->lost_asked++]];
	*name = (struct roll_name){
		.peer_cid = conn->peer_cid,
		.host_port = conn->host_port,
		.guest_port = conn->guest_port,
		.type = conn->type,
	};
	return true;
}

void roll_told(struct roll *roll)
{
	while (roll->lost_told < roll->lost_asked)
		roll_remove(roll, roll->lost[roll->lost_told++]);
	roll_settle(roll);
}

void roll_forget_lost(struct roll *roll)
{
	roll->lost_asked = roll->lost_count;
	roll_told(roll);
}
