// SPDX-License-Identifier: Apache-2.0
#include "dispatch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"
#include "guest_agent.h"
#include "log.h"

#define NS_PER_MS 1000000

enum service {
	SERVICE_GUEST_AGENT,
	SERVICE_COUNT,
};

static const struct agent_service *const services[SERVICE_COUNT] = {
	[SERVICE_GUEST_AGENT] = &guest_agent_service,
};

static const struct agent_service *find_service(const char *name)
{
	for (size_t i = 0; i < SERVICE_COUNT; i++)
		if (services[i] && !strcmp(services[i]->name, name))
			return services[i];
	return NULL;
}

static const struct agent_method *find_method(const struct agent_service *service,
					      const char *name)
{
	for (size_t i = 0; i < service->n_methods; i++)
		if (service->methods[i].handle &&
		    !strcmp(service->methods[i].name, name))
			return &service->methods[i];
	return NULL;
}

__attribute__((format(printf, 4, 5))) static void refuse(struct agent_session *session,
							 uint32_t stream_id, int status,
							 const char *fmt, ...)
{
	char text[256], printable[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	agent_session_send_status(
		session, stream_id, status,
		agent_log_printable(text, printable, sizeof(printable)));
}

static int64_t timeout_ms(int64_t nano)
{
	if (!nano)
		return AGENT_CALL_LIMIT_MS;
	return nano / NS_PER_MS + !!(nano % NS_PER_MS);
}

static void start_call(struct agent_session *session, const struct agent_method *method,
		       uint32_t stream_id, const Ttrpc__Request *envelope)
{
	ProtobufCMessage *request;
	struct agent_call *call;

	if (envelope->payload.len > method->request_max) {
		refuse(session, stream_id, TTRPC_RESOURCE_EXHAUSTED,
		       "a %s request of %zu bytes; the limit is %zu", method->name,
		       envelope->payload.len, method->request_max);
		return;
	}
	request = agent_decode(method->request, envelope->payload.data,
			       envelope->payload.len);
	if (!request) {
		refuse(session, stream_id, TTRPC_INVALID_ARGUMENT,
		       "the payload is no %s, or has too many fields",
		       method->request->name);
		return;
	}
	call = agent_call_create(session, method, stream_id,
				 timeout_ms(envelope->timeout_nano));
	if (call)
		method->handle(call, request);
	else
		refuse(session, stream_id, TTRPC_RESOURCE_EXHAUSTED,
		       "no memory for another call");
	agent_decode_free(request);
}

static void route(struct agent_session *session, const struct ttrpc_header *header,
		  const Ttrpc__Request *envelope)
{
	const struct agent_service *service = find_service(envelope->service);
	const struct agent_method *method =
		service ? find_method(service, envelope->method) : NULL;

	if (!service)
		refuse(session, header->stream_id, TTRPC_UNIMPLEMENTED,
		       "no service '%.64s' here", envelope->service);
	else if (!method)
		refuse(session, header->stream_id, TTRPC_UNIMPLEMENTED,
		       "service %s has no method '%.64s'", service->name,
		       envelope->method);
	else if (header->flags & TTRPC_REMOTE_OPEN)
		refuse(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
		       "%s is a unary call and takes no stream", method->name);
	else if (envelope->timeout_nano < 0)
		refuse(session, header->stream_id, TTRPC_DEADLINE_EXCEEDED,
		       "the time-out had passed when the call was sent");
	else
		start_call(session, method, header->stream_id, envelope);
}

void agent_dispatch(struct agent_session *session, const struct ttrpc_header *header,
		    const uint8_t *payload)
{
	ProtobufCMessage *envelope =
		agent_decode(&ttrpc__request__descriptor, payload, header->length);

	if (!envelope) {
		refuse(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
		       "the message is no ttrpc.Request, or has too many fields");
		return;
	}
	route(session, header, (const Ttrpc__Request *)envelope);
	agent_decode_free(envelope);
}
