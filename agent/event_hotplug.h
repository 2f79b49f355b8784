/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the upcall module says on generic netlink (proto/upcall_netlink.h), as events;
 * and whether it is there, which the kernel's own group "notify" tells.
 */
#ifndef AGENT_EVENT_HOTPLUG_H
#define AGENT_EVENT_HOTPLUG_H

#include "loop.h"

struct agent_events;
struct nl_sock;

struct event_hotplug {
	struct agent_events *events;
	struct nl_sock *sk; /* NULL: there is no generic netlink */
	struct agent_source source;
};

/* What fails is logged. */
void event_hotplug_start(struct event_hotplug *hotplug, struct agent_events *events);
void event_hotplug_stop(struct event_hotplug *hotplug);

#endif
