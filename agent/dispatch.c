// SPDX-License-Identifier: Apache-2.0
#include "dispatch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decode.h"
#include "agent.h"
#include "log.h"
#include "service.h"

#define NS_PER_MS 1000000

static const struct agent_method *find_method(const struct agent_service *service,
					      const char *name)
{
	for (size_t i = 0; i < service->n_methods; i++)
		if (service->methods[i].handle &&
		    !strcmp(service->methods[i].name, name))
			return &service->methods[i];
	return NULL;
}

/*
 * Finds the method, and the service of that name that has it: each of the files that
 * make up a service has an entry. Without the method, *service is any of that name.
 */
static const struct agent_method *find(const struct agent *agent, const char *name,
				       const char *method_name,
				       const struct agent_service **service)
{
	const struct agent_service *const *s = agent->options->services;
	const struct agent_method *method = NULL;

	*service = NULL;
	for (; *s && !method; s++) {
		if (strcmp((*s)->name, name))
			continue;
		*service = *s;
		method = find_method(*s, method_name);
	}
	return method;
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
		return -1;
	return nano / NS_PER_MS + !!(nano % NS_PER_MS);
}

static bool client_has_ended(const struct agent_method *method, uint8_t flags)
{
	if (method->kind == AGENT_UNARY)
		return true;
	/* Some clients open every stream as one of both ways. */
	if (method->kind == AGENT_SERVER_STREAM)
		return !(flags & TTRPC_REMOTE_OPEN);
	return flags & TTRPC_REMOTE_CLOSED;
}

static void refuse_by_policy(struct agent_session *session, uint32_t stream_id,
			     const struct agent_service *service,
			     const struct agent_method *method, unsigned int line)
{
	const char *path = session->agent->options->policy;
	unsigned int skipped;

	if (agent_log_permit(&session->refused, &skipped))
		agent_log(AGENT_LOG_WARNING,
			  "connection %u: %s/%s refused by %s, line %u (%u more since "
			  "the last such line)",
			  session->number, service->name, method->name, path, line,
			  skipped);
	refuse(session, stream_id, TTRPC_PERMISSION_DENIED,
	       "%s is refused by the guest's policy, %s line %u", method->name, path,
	       line);
}

static void route(struct agent_session *session, const struct ttrpc_header *header,
		  const Ttrpc__Request *envelope)
{
	const struct agent_service *service;
	const struct agent_method *method =
		find(session->agent, envelope->service, envelope->method, &service);
	unsigned int line = service && method
				    ? agent_policy_refuses(&session->agent->policy,
							   service->name, method->name)
				    : 0;

	if (!service)
		refuse(session, header->stream_id, TTRPC_UNIMPLEMENTED,
		       "no service '%.64s' here", envelope->service);
	else if (!method)
		refuse(session, header->stream_id, TTRPC_UNIMPLEMENTED,
		       "service %s has no method '%.64s'", service->name,
		       envelope->method);
	else if (line)
		refuse_by_policy(session, header->stream_id, service, method, line);
	else if (method->kind == AGENT_UNARY && header->flags & TTRPC_REMOTE_OPEN)
		refuse(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
		       "%s is a unary call and takes no stream", method->name);
	else if (method->writes && session->agent->frozen)
		refuse(session, header->stream_id, TTRPC_FAILED_PRECONDITION,
		       "%s writes files, and file systems of the guest are frozen",
		       method->name);
	else if (envelope->timeout_nano < 0)
		refuse(session, header->stream_id, TTRPC_DEADLINE_EXCEEDED,
		       "the time-out had passed when the call was sent");
	else
		agent_call_begin(session, service, method, header->stream_id, envelope,
				 client_has_ended(method, header->flags),
				 timeout_ms(envelope->timeout_nano));
}

void agent_dispatch(struct agent_session *session, const struct ttrpc_header *header,
		    const uint8_t *payload)
{
	ProtobufCMessage *envelope =
		agent_decode(&ttrpc__request__descriptor, payload, header->length);

	session->agent->figures.calls++;
	if (!envelope) {
		refuse(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
		       "the message is no ttrpc.Request, or has too many fields");
		return;
	}
	route(session, header, (const Ttrpc__Request *)envelope);
	agent_decode_free(envelope);
}
