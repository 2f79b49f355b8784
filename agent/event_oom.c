// SPDX-License-Identifier: Apache-2.0
#include "event_oom.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "events.h"
#include "sysfile.h"

#define PERIOD_MS 1000

/* What it was, where the kernel does not count. */
static uint64_t read_kills(const struct event_oom *oom)
{
	static const char field[] = "\noom_kill ";
	char text[SYSFILE_MAX];
	const char *at;

	if (sysfile_read(oom->events->agent->options->root, "/proc/vmstat", text,
			 sizeof(text), NULL) < 0)
		return oom->kills;
	at = strstr(text, field);
	return at ? strtoull(at + strlen(field), NULL, 10) : oom->kills;
}

static void fired(struct agent_timer *timer)
{
	struct event_oom *oom = agent_container(timer, struct event_oom, timer);
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;
	uint64_t kills = read_kills(oom);

	if (kills > oom->kills) {
		event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_OOM_KILL;
		event.number = kills - oom->kills;
		agent_events_publish(oom->events, &event);
	}
	oom->kills = kills;
	agent_loop_arm(&oom->events->agent->loop, timer, deadline_after_ms(PERIOD_MS));
}

void event_oom_start(struct event_oom *oom, struct agent_events *events)
{
	oom->events = events;
	oom->timer.fire = fired;
	oom->kills = 0;
	oom->kills = read_kills(oom);
	agent_loop_arm(&events->agent->loop, &oom->timer, deadline_after_ms(PERIOD_MS));
}

void event_oom_stop(struct event_oom *oom)
{
	agent_loop_disarm(&oom->events->agent->loop, &oom->timer);
}
