// SPDX-License-Identifier: Apache-2.0
#include "event_service.h"

#include <errno.h>

#include "agent.h"
#include "events.h"

static int start(struct agent *agent, struct error *err)
{
	agent->events = agent_events_create(agent);
	return agent->events ? 0 : error_set(err, -ENOMEM, "no memory");
}

static void stop(struct agent *agent)
{
	agent_events_free(agent->events);
	agent->events = NULL;
}

static void subscribe(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_events_subscribe(
		call->agent->events, call,
		(const Vmctl__Agent__V1__SubscribeEventsRequest *)request);
}

static const struct agent_method methods[] = {
	{
		.name = "SubscribeEvents",
		.kind = AGENT_SERVER_STREAM,
		.request = &vmctl__agent__v1__subscribe_events_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__event__descriptor,
		.handle = subscribe,
		.room = agent_events_room,
		.cancel = agent_events_unsubscribe,
	},
};

const struct agent_service event_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
	.start = start,
	.stop = stop,
};
