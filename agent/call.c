// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "decode.h"
#include "log.h"
#include "service.h"
#include "session.h"

/* What a ttrpc.Response adds to its payload: a tag and a length of up to 4 bytes. */
#define RESPONSE_OVERHEAD 5

/* A data frame that waits for its handler. */
struct agent_call_message {
	TAILQ_ENTRY(agent_call_message) link;
	uint8_t flags;
	size_t len;
	uint8_t data[];
};

static bool client_streams(const struct agent_method *method)
{
	return method->kind == AGENT_CLIENT_STREAM || method->kind == AGENT_BIDI_STREAM;
}

/* Takes the first out, to be freed. */
static struct agent_call_message *backlog_take_first(struct agent_call *call)
{
	struct agent_call_message *first = TAILQ_FIRST(&call->backlog);

	TAILQ_REMOVE(&call->backlog, first, link);
	call->session->backlog -= sizeof(*first) + first->len;
	agent_session_let_go(call->session, sizeof(*first) + first->len);
	return first;
}

bool agent_call_may_hold(const struct agent_call *call, size_t bytes)
{
	return agent_session_may_hold(call->session, bytes);
}

void agent_call_hold(struct agent_call *call, size_t bytes)
{
	call->held += bytes;
	agent_session_hold(call->session, bytes);
}

void agent_call_let_go(struct agent_call *call, size_t bytes)
{
	call->held -= bytes;
	agent_session_let_go(call->session, bytes);
}

static void end(struct agent_call *call)
{
	struct agent_session *session = call->session;

	while (!TAILQ_EMPTY(&call->backlog))
		free(backlog_take_first(call));
	agent_call_let_go(call, call->held);
	agent_loop_disarm(&call->agent->loop, &call->timer);
	TAILQ_REMOVE(&session->calls, call, link);
	session->n_calls--;
	call->ended = true;
	if (!call->busy)
		free(call);
	agent_session_wake(session);
}

/* Around each call of a handler, which may end the call. */
static void hold(struct agent_call *call)
{
	call->busy = true;
}

/* False: the call has ended, and is gone now. */
static bool release(struct agent_call *call)
{
	call->busy = false;
	if (!call->ended)
		return true;
	free(call);
	return false;
}

static void log_outcome(const struct agent_call *call, int status, const char *text)
{
	char more[AGENT_OUTCOME_TEXT + 128];

	if (!call->method->changes)
		return;
	agent_outcome_text(&call->outcome, more, sizeof(more));
	agent_log(status || call->outcome.failed ? AGENT_LOG_WARNING : AGENT_LOG_INFO,
		  "connection %u: %s/%s: %s%s%s%s", call->session->number,
		  call->service->name, call->method->name, ttrpc_status_name(status),
		  *text ? ": " : "", text, more);
}

static void cancel(struct agent_call *call)
{
	if (call->method->cancel)
		call->method->cancel(call);
}

static void end_with_status(struct agent_call *call, int status, const char *fmt,
			    va_list args)
{
	char text[512], printable[512];

	vsnprintf(text, sizeof(text), fmt, args);
	agent_log_printable(text, printable, sizeof(printable));
	log_outcome(call, status, printable);
	agent_session_send_status(call->session, call->stream_id, status, printable);
	end(call);
}

void agent_call_fail(struct agent_call *call, int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_with_status(call, status, fmt, args);
	va_end(args);
}

void agent_call_give_up(struct agent_call *call, int status, const char *fmt, ...)
{
	va_list args;

	cancel(call);
	va_start(args, fmt);
	end_with_status(call, status, fmt, args);
	va_end(args);
}

void agent_call_abandon(struct agent_call *call)
{
	cancel(call);
	log_outcome(call, TTRPC_CANCELLED, "the connection has gone");
	end(call);
}

static int status_of(int code)
{
	switch (-code) {
	case ENOENT:
		return TTRPC_NOT_FOUND;
	case EINVAL:
		return TTRPC_INVALID_ARGUMENT;
	case EACCES:
	case EPERM:
		return TTRPC_PERMISSION_DENIED;
	case EOPNOTSUPP:
		return TTRPC_UNIMPLEMENTED;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
		return TTRPC_RESOURCE_EXHAUSTED;
	case EBUSY:
	case EEXIST:
	case EROFS:
	case ENOTDIR:
		return TTRPC_FAILED_PRECONDITION;
	case ETIMEDOUT:
		return TTRPC_DEADLINE_EXCEEDED;
	default:
		return TTRPC_INTERNAL;
	}
}

void agent_call_fail_error(struct agent_call *call, const struct error *err)
{
	agent_call_fail(call, status_of(err->code), "%s", err->text);
}

static void note_response(struct agent_call *call, const ProtobufCMessage *message)
{
	if (call->method->changes)
		agent_outcome_response(&call->outcome, message);
}

void agent_call_reply(struct agent_call *call, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	uint8_t *packed;

	if (size > TTRPC_PAYLOAD_MAX - RESPONSE_OVERHEAD) {
		agent_call_fail(
			call, TTRPC_RESOURCE_EXHAUSTED,
			"the answer would take %zu bytes, more than a message may",
			size);
		return;
	}
	if (size > AGENT_BUDGET_SHARE &&
	    !agent_budget_fits(call->agent, call->session->queued, size)) {
		agent_call_fail(
			call, TTRPC_RESOURCE_EXHAUSTED,
			"no room for an answer of %zu bytes: " AGENT_BUDGET_FULL, size,
			call->agent->budget.used >> 10);
		return;
	}
	packed = malloc(size + 1); /* + 1: not NULL for an empty message */
	if (!packed) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED,
				"no memory for an answer of %zu bytes", size);
		return;
	}
	protobuf_c_message_pack(message, packed);
	response.payload.data = packed;
	response.payload.len = size;
	agent_session_send(call->session, call->stream_id, &response);
	free(packed);
	note_response(call, message);
	log_outcome(call, TTRPC_OK, "");
	end(call);
}

int agent_call_send(struct agent_call *call, const ProtobufCMessage *message)
{
	note_response(call, message);
	return agent_session_send_data(call->session, call->stream_id, 0, message);
}

void agent_call_finish(struct agent_call *call)
{
	agent_session_send_data(call->session, call->stream_id,
				TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, NULL);
	log_outcome(call, TTRPC_OK, "");
	end(call);
}

bool agent_call_has_room_for(struct agent_call *call, size_t size)
{
	if (agent_session_has_room(call->session, size))
		return true;
	call->wants_room = size;
	return false;
}

bool agent_call_has_room(struct agent_call *call)
{
	return agent_call_has_room_for(call, AGENT_CALL_MESSAGE);
}

void agent_call_give_room(struct agent_call *call)
{
	call->wants_room = 0;
	if (call->method->room) {
		hold(call);
		call->method->room(call);
		release(call);
	}
}

const char *agent_call_metadata(const struct agent_call *call, const char *key)
{
	for (size_t i = 0; call->envelope && i < call->envelope->n_metadata; i++)
		if (!strcmp(call->envelope->metadata[i]->key, key))
			return call->envelope->metadata[i]->value;
	return NULL;
}

void agent_call_pause(struct agent_call *call)
{
	call->paused = true;
}

void agent_call_resume(struct agent_call *call)
{
	call->paused = false;
	if (!TAILQ_EMPTY(&call->backlog))
		agent_session_wake_calls(call->session);
}

/* Ends a call for a bad message: with nothing to cancel if it is the first. */
__attribute__((format(printf, 3, 4))) static void reject(struct agent_call *call,
							 int status, const char *fmt,
							 ...)
{
	va_list args;

	if (!call->envelope)
		cancel(call);
	va_start(args, fmt);
	end_with_status(call, status, fmt, args);
	va_end(args);
}

/* Decodes one message and runs a handler on it. False: the call has ended. */
static bool run(struct agent_call *call,
		void (*handler)(struct agent_call *call,
				const ProtobufCMessage *message),
		const uint8_t *data, size_t len)
{
	const struct agent_method *method = call->method;
	ProtobufCMessage *message;

	if (method->request_max && len > method->request_max) {
		reject(call, TTRPC_RESOURCE_EXHAUSTED,
		       "a %s message of %zu bytes; the limit is %zu", method->name, len,
		       method->request_max);
		return false;
	}
	message = agent_decode(method->request, data, len);
	if (!message) {
		reject(call, TTRPC_INVALID_ARGUMENT,
		       "the payload is no %s, or has too many fields",
		       method->request->name);
		return false;
	}
	if (method->changes)
		agent_outcome_request(&call->outcome, message);
	hold(call);
	handler(call, message);
	agent_decode_free(message);
	return release(call);
}

static void keep(struct agent_call *call, uint8_t flags, const uint8_t *data,
		 size_t len)
{
	struct agent_call_message *message = malloc(sizeof(*message) + len);

	if (!message) {
		agent_call_give_up(call, TTRPC_RESOURCE_EXHAUSTED,
				   "no memory for a message of %zu bytes", len);
		return;
	}
	message->flags = flags;
	message->len = len;
	if (len)
		memcpy(message->data, data, len);
	TAILQ_INSERT_TAIL(&call->backlog, message, link);
	call->session->backlog += sizeof(*message) + len;
	agent_session_hold(call->session, sizeof(*message) + len);
}

/*
 * A message may come with the stream's end. A handler that pauses at the message is not
 * done with it yet: the end waits for its resume.
 */
static void deliver(struct agent_call *call, uint8_t flags, const uint8_t *data,
		    size_t len)
{
	if (!(flags & TTRPC_NO_DATA) && !run(call, call->method->message, data, len))
		return;
	if (!(flags & TTRPC_REMOTE_CLOSED) || !call->method->end)
		return;
	if (call->paused) {
		keep(call, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, NULL, 0);
		return;
	}
	hold(call);
	call->method->end(call);
	release(call);
}

bool agent_call_deliver(struct agent_call *call)
{
	struct agent_call_message *first = TAILQ_FIRST(&call->backlog);

	if (!first || call->paused)
		return false;
	backlog_take_first(call);
	deliver(call, first->flags, first->data, first->len);
	free(first);
	return true;
}

static void take(struct agent_call *call, uint8_t flags, const uint8_t *data,
		 size_t len)
{
	if (flags & TTRPC_REMOTE_CLOSED)
		call->client_ended = true;
	if (call->paused || !TAILQ_EMPTY(&call->backlog))
		keep(call, flags, data, len);
	else
		deliver(call, flags, data, len);
}

/*
 * ttrpc has no word for a client that wants no more. Here it is a frame that neither
 * has data nor closes, which means nothing otherwise.
 */
void agent_call_take(struct agent_call *call, const struct ttrpc_header *header,
		     const uint8_t *payload)
{
	bool has_data = !(header->flags & TTRPC_NO_DATA);
	bool closes = header->flags & TTRPC_REMOTE_CLOSED;

	if (!has_data && header->length)
		agent_call_give_up(call, TTRPC_INVALID_ARGUMENT,
				   "a data frame that says that it has no data, and "
				   "has");
	else if (!has_data && !closes)
		agent_call_give_up(call, TTRPC_CANCELLED, "the caller gave it up");
	else if (call->client_ended)
		agent_call_give_up(call, TTRPC_INVALID_ARGUMENT,
				   "data sent to a call whose caller sends no more");
	else if (client_streams(call->method))
		take(call, header->flags, payload, header->length);
	else if (has_data)
		agent_call_give_up(call, TTRPC_INVALID_ARGUMENT, "%s takes no stream",
				   call->method->name);
	else
		call->client_ended = true;
}

static void time_is_up(struct agent_timer *timer)
{
	struct agent_call *call = agent_container(timer, struct agent_call, timer);

	agent_call_give_up(
		call, TTRPC_DEADLINE_EXCEEDED,
		"%s was not done in time and has been given up; what it had done "
		"so far remains",
		call->method->name);
}

static struct agent_call *create(struct agent_session *session,
				 const struct agent_service *service,
				 const struct agent_method *method, uint32_t stream_id)
{
	struct agent_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->agent = session->agent;
	call->session = session;
	call->service = service;
	call->method = method;
	call->stream_id = stream_id;
	call->timer.fire = time_is_up;
	TAILQ_INIT(&call->backlog);
	TAILQ_INSERT_TAIL(&session->calls, call, link);
	session->n_calls++;
	return call;
}

/* False: the call has ended. */
static bool start(struct agent_call *call, const Ttrpc__Request *envelope)
{
	const struct agent_method *method = call->method;

	if (!client_streams(method))
		return run(call, method->handle, envelope->payload.data,
			   envelope->payload.len);
	hold(call);
	method->handle(call, NULL);
	return release(call);
}

void agent_call_begin(struct agent_session *session,
		      const struct agent_service *service,
		      const struct agent_method *method, uint32_t stream_id,
		      const Ttrpc__Request *envelope, bool client_ended,
		      int64_t timeout_ms)
{
	struct agent_call *call = create(session, service, method, stream_id);
	uint8_t flags = client_ended ? TTRPC_REMOTE_CLOSED : 0;

	if (!call) {
		agent_session_send_status(session, stream_id, TTRPC_RESOURCE_EXHAUSTED,
					  "no memory for another call");
		return;
	}
	if (method->kind == AGENT_UNARY &&
	    (timeout_ms < 0 || timeout_ms > AGENT_CALL_LIMIT_MS))
		timeout_ms = AGENT_CALL_LIMIT_MS;
	if (timeout_ms >= 0)
		agent_loop_arm(&call->agent->loop, &call->timer,
			       deadline_after_ms(timeout_ms));
	call->envelope = envelope;
	call->client_ended = client_ended;
	if (!start(call, envelope))
		return;
	call->envelope = NULL;
	if (method->kind == AGENT_UNARY && !method->cancel) {
		agent_call_fail(call, TTRPC_INTERNAL, "%s gave no answer",
				method->name);
		return;
	}
	if (!envelope->payload.len)
		flags |= TTRPC_NO_DATA;
	/* The first message of a client's stream may come with the request. */
	if (client_streams(method) && flags != TTRPC_NO_DATA)
		take(call, flags, envelope->payload.data, envelope->payload.len);
}
