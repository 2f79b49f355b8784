// SPDX-License-Identifier: Apache-2.0
#include "event_pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "events.h"
#include "log.h"
#include "sysfile.h"

/* A window of whole 2 s is let anyone have, from 6.5 on; before, CAP_SYS_RESOURCE. */
static const char trigger[] = "some 200000 2000000";

static void close_source(struct event_pressure_source *s)
{
	if (s->source.fd < 0)
		return;
	agent_loop_remove(&s->pressure->events->agent->loop, &s->source);
	close(s->source.fd);
	s->source.fd = -1;
}

static void publish(struct event_pressure_source *s)
{
	struct agent_events *events = s->pressure->events;
	const char *name = pressure_names[s - s->pressure->sources];
	Vmctl__Agent__V1__PressureEvent body = VMCTL__AGENT__V1__PRESSURE_EVENT__INIT;
	Vmctl__Agent__V1__Event event = VMCTL__AGENT__V1__EVENT__INIT;
	struct pressure now;

	if (pressure_read(events->agent->options->root, name, &now) < 0)
		return;
	body.resource = (char *)name;
	body.some_avg10 = now.some.avg10;
	body.full_avg10 = now.full.avg10;
	body.some_total_usec = now.some.total_usec;
	body.full_total_usec = now.full.total_usec;
	event.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_PRESSURE;
	event.pressure = &body;
	agent_events_publish(events, &event);
}

static void ready(struct agent_source *source, uint32_t happened)
{
	struct event_pressure_source *s =
		agent_container(source, struct event_pressure_source, source);

	if (happened & EPOLLPRI)
		publish(s);
	if (happened & EPOLLERR)
		close_source(s);
}

static int open_trigger(const char *root, const char *name)
{
	cleanup_close int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/pressure/%s", name);
	fd = sysfile_open(root, path, O_RDWR | O_NONBLOCK, NULL);
	if (fd < 0)
		return fd;
	if (write(fd, trigger, sizeof(trigger)) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int start_source(struct event_pressure_source *s, const char *name)
{
	struct agent *agent = s->pressure->events->agent;
	int ret = open_trigger(agent->options->root, name);

	s->source.ready = ready;
	s->source.fd = ret;
	if (ret < 0)
		return ret;
	ret = agent_loop_add(&agent->loop, &s->source, EPOLLPRI);
	if (ret < 0) {
		close(s->source.fd);
		s->source.fd = -1;
	}
	return ret;
}

void event_pressure_start(struct event_pressure *pressure, struct agent_events *events)
{
	int ret, failed = 0;

	pressure->events = events;
	for (int i = 0; i < PRESSURE_COUNT; i++) {
		pressure->sources[i].pressure = pressure;
		ret = start_source(&pressure->sources[i], pressure_names[i]);
		if (ret)
			failed = ret;
	}
	if (failed)
		agent_log(AGENT_LOG_WARNING,
			  "the kernel tells no pressure: /proc/pressure: %s",
			  strerror(-failed));
}

void event_pressure_stop(struct event_pressure *pressure)
{
	for (int i = 0; i < PRESSURE_COUNT; i++)
		close_source(&pressure->sources[i]);
}
