// SPDX-License-Identifier: Apache-2.0
#include "events.h"

#include <stdlib.h>
#include <time.h>

#include "agent.h"

#define KIND_ALL UINT32_MAX

struct agent_subscriber {
	TAILQ_ENTRY(agent_subscriber) link;
	struct agent_events *events;
	struct agent_call *call;
	uint32_t kinds; /* bits */
	uint64_t lost;	/* since it was last told */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct agent_events *agent_events_create(struct agent *agent)
{
	struct agent_events *events = calloc(1, sizeof(*events));

	if (!events)
		return NULL;
	events->agent = agent;
	events->started = clock_ns(CLOCK_BOOTTIME);
	TAILQ_INIT(&events->subscribers);
	return events;
}

void agent_events_free(struct agent_events *events)
{
	free(events);
}

static void stamp(Vmctl__Agent__V1__Event *event)
{
	event->time_nano = (int64_t)clock_ns(CLOCK_REALTIME);
	event->uptime_nano = clock_ns(CLOCK_BOOTTIME);
}

static void send_to(struct agent_subscriber *s, const Vmctl__Agent__V1__Event *event)
{
	struct agent_figures *figures = &s->events->agent->figures;

	if (s->lost || !agent_call_has_room(s->call) ||
	    agent_call_send(s->call, &event->base) < 0) {
		s->lost++;
		figures->events_lost++;
		return;
	}
	figures->events++;
}

void agent_events_publish(struct agent_events *events, Vmctl__Agent__V1__Event *event)
{
	struct agent_subscriber *s;

	stamp(event);
	TAILQ_FOREACH(s, &events->subscribers, link)
	if (s->kinds >> event->kind & 1)
		send_to(s, event);
}

void agent_events_room(struct agent_call *call)
{
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;
	struct agent_subscriber *s = call->work;

	if (!s->lost)
		return;
	event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_LOST;
	event.number = s->lost;
	stamp(&event);
	if (!agent_call_send(call, &event.base))
		s->lost = 0;
}

static uint32_t kinds_of(const Vmctl__Agent__V1__SubscribeEventsRequest *request)
{
	uint32_t kinds = 1u << VMCTL__AGENT__V1__EVENT_KIND__EVENT_LOST;

	if (!request->n_kinds)
		return KIND_ALL;
	for (size_t i = 0; i < request->n_kinds; i++)
		if (request->kinds[i] > 0 && (int)request->kinds[i] < 32)
			kinds |= 1u << request->kinds[i];
	return kinds;
}

static void start_sources(struct agent_events *events)
{
	event_hotplug_start(&events->hotplug, events);
	event_pressure_start(&events->pressure, events);
	event_oom_start(&events->oom, events);
}

static void stop_sources(struct agent_events *events)
{
	event_hotplug_stop(&events->hotplug);
	event_pressure_stop(&events->pressure);
	event_oom_stop(&events->oom);
}

void agent_events_subscribe(struct agent_events *events, struct agent_call *call,
			    const Vmctl__Agent__V1__SubscribeEventsRequest *request)
{
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;
	struct agent_subscriber *s;

	if (events->n_subscribers == AGENT_SUBSCRIBERS_MAX) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"there are %d subscribers already",
				AGENT_SUBSCRIBERS_MAX);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	s->events = events;
	s->call = call;
	s->kinds = kinds_of(request);
	call->work = s;
	TAILQ_INSERT_TAIL(&events->subscribers, s, link);
	if (!events->n_subscribers++)
		start_sources(events);
	event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_AGENT_START;
	event.number = events->started;
	event.text = (char *)VMCTL_VERSION;
	stamp(&event);
	send_to(s, &event);
}

void agent_events_unsubscribe(struct agent_call *call)
{
	struct agent_subscriber *s = call->work;
	struct agent_events *events = s->events;

	TAILQ_REMOVE(&events->subscribers, s, link);
	free(s);
	if (!--events->n_subscribers)
		stop_sources(events);
}
