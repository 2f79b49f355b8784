/* SPDX-License-Identifier: Apache-2.0 */
/* From a request frame to the handler of its service and method. */
#ifndef AGENT_DISPATCH_H
#define AGENT_DISPATCH_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "call.h"
#include "session.h"
#include "ttrpc.h"

struct agent_method {
	const char *name;
	/* What the payload is decoded as, and how many bytes it may have. */
	const ProtobufCMessageDescriptor *request;
	size_t request_max;
	/*
	 * Answers the call, or sees to it that it is answered (agent/call.h). The
	 * request is valid until the handler returns.
	 */
	void (*handle)(struct agent_call *call, const ProtobufCMessage *request);
};

struct agent_service {
	const char *name; /* as on the wire: package and service */
	const struct agent_method *methods;
	size_t n_methods;
};

/*
 * Takes a frame of type request, whose stream id has been checked. Whatever is in
 * the payload, the stream gets one answer, now or later.
 */
void agent_dispatch(struct agent_session *session, const struct ttrpc_header *header,
		    const uint8_t *payload);

#endif
