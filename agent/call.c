// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent.h"
#include "dispatch.h"
#include "log.h"
#include "session.h"

/* What a ttrpc.Response adds to its payload: a tag and a length of up to 4 bytes. */
#define RESPONSE_OVERHEAD 5

static void end(struct agent_call *call)
{
	struct agent_session *session = call->session;

	agent_loop_disarm(&session->agent->loop, &call->timer);
	TAILQ_REMOVE(&session->calls, call, link);
	session->n_calls--;
	free(call);
	agent_session_wake(session);
}

static void time_is_up(struct agent_timer *timer)
{
	struct agent_call *call = agent_container(timer, struct agent_call, timer);

	agent_call_fail(
		call, TTRPC_DEADLINE_EXCEEDED,
		"%s was not done in time and has been given up; what it had done "
		"so far remains",
		call->method->name);
}

struct agent_call *agent_call_create(struct agent_session *session,
				     const struct agent_method *method,
				     uint32_t stream_id, int64_t timeout_ms)
{
	struct agent_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	if (timeout_ms > AGENT_CALL_LIMIT_MS)
		timeout_ms = AGENT_CALL_LIMIT_MS;
	call->session = session;
	call->method = method;
	call->stream_id = stream_id;
	call->timer.fire = time_is_up;
	agent_loop_arm(&session->agent->loop, &call->timer,
		       deadline_after_ms(timeout_ms));
	TAILQ_INSERT_TAIL(&session->calls, call, link);
	session->n_calls++;
	return call;
}

void agent_call_reply(struct agent_call *call, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	uint8_t *packed;

	if (size > TTRPC_PAYLOAD_MAX - RESPONSE_OVERHEAD) {
		call->cancel = NULL;
		agent_call_fail(
			call, TTRPC_RESOURCE_EXHAUSTED,
			"the answer would take %zu bytes, more than a message may",
			size);
		return;
	}
	packed = malloc(size + 1); /* + 1: not NULL for an empty message */
	if (!packed) {
		call->cancel = NULL;
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"no memory for an answer of %zu bytes", size);
		return;
	}
	protobuf_c_message_pack(message, packed);
	response.payload.data = packed;
	response.payload.len = size;
	agent_session_send(call->session, call->stream_id, &response);
	free(packed);
	end(call);
}

void agent_call_fail(struct agent_call *call, int status, const char *fmt, ...)
{
	char text[512], printable[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (call->cancel)
		call->cancel(call);
	agent_session_send_status(
		call->session, call->stream_id, status,
		agent_log_printable(text, printable, sizeof(printable)));
	end(call);
}

void agent_call_abandon(struct agent_call *call)
{
	if (call->cancel)
		call->cancel(call);
	end(call);
}
