/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kills for want of memory, which the kernel counts in /proc/vmstat: the counter is
 * read each second. The kernel log names the victim, but its reading needs a
 * capability, and its words change.
 */
#ifndef AGENT_EVENT_OOM_H
#define AGENT_EVENT_OOM_H

#include <stdint.h>

#include "loop.h"

struct agent_events;

struct event_oom {
	struct agent_events *events;
	struct agent_timer timer;
	uint64_t kills; /* as it was last read */
};

void event_oom_start(struct event_oom *oom, struct agent_events *events);
void event_oom_stop(struct event_oom *oom);

#endif
