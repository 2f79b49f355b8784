/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service with a stream of each kind, for the tests of streams and of other clients:
 *
 *   Count   as many messages as it is told, of as many bytes, which begin with a number
 *   Sum     says how many bytes came, in how many messages
 *   Echo    sends back what comes
 *   Silent  a unary method that forgets to answer
 *   Hang    one that answers never
 *
 * A message is a PingRequest: bytes. Count's request is an OnlineCpusRequest with two
 * numbers. The metadata "pace" makes Sum take messages slowly, or never.
 */
#ifndef STREAM_SERVICE_H
#define STREAM_SERVICE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../agent/agent.h"
#include "../../agent/log.h"
#include "../../agent/service.h"
#include "vmctl/agent/v1/agent.pb-c.h"

#define TEST_SERVICE "vmctl.test.Streams"
#define HANGS	     999999999u /* a Count that has nothing to send */

typedef Vmctl__Agent__V1__PingRequest Chunk;

struct count {
	struct agent_call *call;
	uint32_t next, n, size;
};

static void count_on(struct agent_call *call)
{
	Chunk chunk = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	struct count *count = call->work;

	chunk.payload.data = calloc(1, count->size + sizeof(count->next));
	chunk.payload.len = count->size + sizeof(count->next);
	while (count->next < count->n && count->n != HANGS &&
	       agent_call_has_room(call)) {
		memcpy(chunk.payload.data, &count->next, sizeof(count->next));
		agent_call_send(call, &chunk.base);
		count->next++;
	}
	free(chunk.payload.data);
	if (count->next == count->n) {
		free(count);
		agent_call_finish(call);
	}
}

static void count(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__OnlineCpusRequest *request =
		(const Vmctl__Agent__V1__OnlineCpusRequest *)message;
	struct count *work = calloc(1, sizeof(*work));

	if (request->n_cpus != 2) {
		free(work);
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT, "two numbers, please");
		return;
	}
	work->n = request->cpus[0];
	work->size = request->cpus[1];
	call->work = work;
	count_on(call);
}

static void forget(struct agent_call *call)
{
	agent_log(AGENT_LOG_INFO, "%s cancelled", call->method->name);
	free(call->work);
}

/* Sum: how many bytes came in all. It may be slow. */
struct sum {
	struct agent_call *call;
	struct agent_timer timer;
	uint32_t bytes, messages;
	bool slow;
};

static void sum_wakes(struct agent_timer *timer)
{
	struct sum *sum = agent_container(timer, struct sum, timer);

	agent_call_resume(sum->call);
}

static void sum_begin(struct agent_call *call, const ProtobufCMessage *message)
{
	struct sum *sum = calloc(1, sizeof(*sum));
	const char *pace = agent_call_metadata(call, "pace");

	(void)message;
	sum->call = call;
	sum->timer.fire = sum_wakes;
	sum->slow = pace && !strcmp(pace, "slow");
	call->work = sum;
	if (pace && !strcmp(pace, "never"))
		agent_call_pause(call);
}

static void sum_message(struct agent_call *call, const ProtobufCMessage *message)
{
	struct sum *sum = call->work;

	sum->bytes += ((const Chunk *)message)->payload.len;
	sum->messages++;
	if (sum->slow) {
		agent_call_pause(call);
		agent_loop_arm(&call->agent->loop, &sum->timer, deadline_after_ms(1));
	}
}

static void sum_end(struct agent_call *call)
{
	Chunk chunk = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	struct sum *sum = call->work;
	char text[64];

	snprintf(text, sizeof(text), "%u bytes in %u", sum->bytes, sum->messages);
	chunk.payload.data = (uint8_t *)text;
	chunk.payload.len = strlen(text);
	agent_call_reply(call, &chunk.base);
	agent_loop_disarm(&call->agent->loop, &sum->timer);
	free(sum);
}

static void sum_cancel(struct agent_call *call)
{
	struct sum *sum = call->work;

	agent_log(AGENT_LOG_INFO, "Sum cancelled");
	agent_loop_disarm(&call->agent->loop, &sum->timer);
	free(sum);
}

/* Echo: each message comes back; no more is taken than can be sent. */
static void echo_begin(struct agent_call *call, const ProtobufCMessage *message)
{
	(void)call;
	(void)message;
}

static void echo_message(struct agent_call *call, const ProtobufCMessage *message)
{
	agent_call_send(call, message);
	if (!agent_call_has_room(call))
		agent_call_pause(call);
}

static void silent(struct agent_call *call, const ProtobufCMessage *message)
{
	(void)call;
	(void)message;
}

static const struct agent_method stream_methods[] = {
	{
		.name = "Hang",
		.request = &vmctl__agent__v1__ping_request__descriptor,
		.response = &vmctl__agent__v1__ping_request__descriptor,
		.handle = silent,
		.cancel = forget,
	},
	{
		.name = "Count",
		.kind = AGENT_SERVER_STREAM,
		.request = &vmctl__agent__v1__online_cpus_request__descriptor,
		.response = &vmctl__agent__v1__ping_request__descriptor,
		.handle = count,
		.room = count_on,
		.cancel = forget,
	},
	{
		.name = "Sum",
		.kind = AGENT_CLIENT_STREAM,
		.changes = true,
		.request = &vmctl__agent__v1__ping_request__descriptor,
		.request_max = 1u << 20,
		.response = &vmctl__agent__v1__ping_request__descriptor,
		.handle = sum_begin,
		.message = sum_message,
		.end = sum_end,
		.cancel = sum_cancel,
	},
	{
		.name = "Echo",
		.kind = AGENT_BIDI_STREAM,
		.request = &vmctl__agent__v1__ping_request__descriptor,
		.response = &vmctl__agent__v1__ping_request__descriptor,
		.handle = echo_begin,
		.message = echo_message,
		.end = agent_call_finish,
		.room = agent_call_resume,
		.cancel = forget,
	},
	{
		.name = "Silent",
		.request = &vmctl__agent__v1__ping_request__descriptor,
		.response = &vmctl__agent__v1__ping_request__descriptor,
		.handle = silent,
	},
};

static const struct agent_service stream_service = {
	.name = TEST_SERVICE,
	.methods = stream_methods,
	.n_methods = sizeof(stream_methods) / sizeof(stream_methods[0]),
};

#endif
