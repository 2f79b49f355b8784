/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all connections together hold in memory: frames that are not whole yet, messages
 * and requests that their handlers have not done with, answers that are not taken. Up
 * to AGENT_BUDGET anyone may hold more; above it those may that hold less than an equal
 * part of it, so that who holds little is never kept waiting by who holds much.
 */
#ifndef AGENT_BUDGET_H
#define AGENT_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

#include "loop.h"

/* Bytes. */
#define AGENT_BUDGET (16u << 20)
/*
 * The least part of a connection, and a frame of no more is never refused: 64 KiB, the
 * messages of files and commands, with what is around them.
 */
#define AGENT_BUDGET_SHARE (72u << 10)

/* Words for who is refused, of agent->budget.used >> 10. */
#define AGENT_BUDGET_FULL \
	"%zu KiB are held for all connections already; try again later"

struct agent;

struct agent_budget {
	size_t used;
	bool short_of;		  /* somebody was told that it does not fit */
	struct agent_timer freed; /* armed for now: some has been given back since */
};

void agent_budget_init(struct agent *agent);
void agent_budget_stop(struct agent *agent);

/*
 * Whether who holds `own` bytes may hold some more. False: its session will be asked
 * again, by agent_session_reconsider(), when others have given some back.
 */
bool agent_budget_fits(struct agent *agent, size_t own, size_t more);
void agent_budget_take(struct agent *agent, size_t bytes);
void agent_budget_give_back(struct agent *agent, size_t bytes);

#endif
