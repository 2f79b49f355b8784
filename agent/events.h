/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events and those who want to know: calls of SubscribeEvents. The sources are open
 * while there is a subscriber. What a subscriber has no room for is counted, and it is
 * told how much that was; nothing is kept for it.
 */
#ifndef AGENT_EVENTS_H
#define AGENT_EVENTS_H

#include <stdint.h>
#include <sys/queue.h>

#include "call.h"
#include "event_hotplug.h"
#include "event_oom.h"
#include "event_pressure.h"
#include "vmctl/agent/v1/event.pb-c.h"

#define AGENT_SUBSCRIBERS_MAX 64

struct agent_events {
	struct agent *agent;
	uint64_t started; /* the agent's start, CLOCK_BOOTTIME, ns */
	TAILQ_HEAD(agent_subscribers, agent_subscriber) subscribers;
	unsigned int n_subscribers;
	struct event_hotplug hotplug;
	struct event_pressure pressure;
	struct event_oom oom;
};

/* NULL: no memory. To be freed when the last subscriber has gone. */
struct agent_events *agent_events_create(struct agent *agent);
void agent_events_free(struct agent_events *events);

/* Takes a call in, which gets its first event; or fails it. */
void agent_events_subscribe(struct agent_events *events, struct agent_call *call,
			    const Vmctl__Agent__V1__SubscribeEventsRequest *request);
/* The call has room again; the call has gone. */
void agent_events_room(struct agent_call *call);
void agent_events_unsubscribe(struct agent_call *call);

/* For the sources: sends an event, whose kind and body are set. */
void agent_events_publish(struct agent_events *events, Vmctl__Agent__V1__Event *event);

#endif
