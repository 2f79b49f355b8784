/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pressure as events: the kernel says when tasks have waited for a resource for 200 ms
 * of 2 s. Once in 2 s at most for each resource.
 */
#ifndef AGENT_EVENT_PRESSURE_H
#define AGENT_EVENT_PRESSURE_H

#include "loop.h"
#include "pressure.h"

struct agent_events;

struct event_pressure {
	struct agent_events *events;
	struct event_pressure_source {
		struct agent_source source; /* fd -1: the kernel does not tell */
		struct event_pressure *pressure;
	} sources[PRESSURE_COUNT];
};

/* A kernel without is logged, and no failure. */
void event_pressure_start(struct event_pressure *pressure, struct agent_events *events);
void event_pressure_stop(struct event_pressure *pressure);

#endif
