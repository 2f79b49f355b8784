// SPDX-License-Identifier: Apache-2.0
#include "traffic_service.h"

#include <stdlib.h>

#include "vmctl/agent/v1/traffic.pb-c.h"

#define FIELD_OVERHEAD 4 /* the tag of the data, and their length */

typedef Vmctl__Agent__V1__GenerateRequest GenerateRequest;
typedef Vmctl__Agent__V1__DiscardRequest DiscardRequest;

/* What is sent. Nobody writes to it: its pages are the kernel's page of zeros. */
static uint8_t zeros[TRAFFIC_MESSAGE_MAX];

struct generate {
	uint64_t left;
	uint32_t message_bytes;
};

static void generate_on(struct agent_call *call)
{
	Vmctl__Agent__V1__GenerateResponse response =
		VMCTL__AGENT__V1__GENERATE_RESPONSE__INIT;
	struct generate *g = call->work;

	response.data.data = zeros;
	response.data.len = g->message_bytes;
	while (g->left && agent_call_has_room_for(call, g->message_bytes)) {
		if (response.data.len > g->left)
			response.data.len = g->left;
		if (agent_call_send(call, &response.base))
			return;
		g->left -= response.data.len;
	}
	if (g->left)
		return;
	free(g);
	agent_call_finish(call);
}

static void generate(struct agent_call *call, const ProtobufCMessage *message)
{
	const GenerateRequest *request = (const GenerateRequest *)message;
	struct generate *g;

	if (!request->message_bytes || request->message_bytes > TRAFFIC_MESSAGE_MAX) {
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"messages of %u bytes; they can have 1 to %u",
				request->message_bytes, TRAFFIC_MESSAGE_MAX);
		return;
	}
	g = malloc(sizeof(*g));
	if (!g) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	g->left = request->bytes;
	g->message_bytes = request->message_bytes;
	call->work = g;
	generate_on(call);
}

static void forget(struct agent_call *call)
{
	free(call->work);
}

/* The answer as it is so far. */
typedef Vmctl__Agent__V1__DiscardResponse Discarded;

static void discard(struct agent_call *call, const ProtobufCMessage *message)
{
	static const Discarded none = VMCTL__AGENT__V1__DISCARD_RESPONSE__INIT;
	Discarded *discarded = malloc(sizeof(*discarded));

	(void)message; /* all come through discard_message() */
	if (!discarded) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	*discarded = none;
	call->work = discarded;
}

static void discard_message(struct agent_call *call, const ProtobufCMessage *message)
{
	Discarded *discarded = call->work;

	discarded->bytes += ((const DiscardRequest *)message)->data.len;
	discarded->messages++;
}

static void discard_end(struct agent_call *call)
{
	Discarded *discarded = call->work;

	agent_call_reply(call, &discarded->base);
	free(discarded);
}

static const struct agent_method methods[] = {
	{
		.name = "Generate",
		.kind = AGENT_SERVER_STREAM,
		.request = &vmctl__agent__v1__generate_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__generate_response__descriptor,
		.handle = generate,
		.room = generate_on,
		.cancel = forget,
	},
	{
		.name = "Discard",
		.kind = AGENT_CLIENT_STREAM,
		.request = &vmctl__agent__v1__discard_request__descriptor,
		.request_max = TRAFFIC_MESSAGE_MAX + FIELD_OVERHEAD,
		.response = &vmctl__agent__v1__discard_response__descriptor,
		.handle = discard,
		.message = discard_message,
		.end = discard_end,
		.cancel = forget,
	},
};

const struct agent_service traffic_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
