/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a service is declared. To add one: a file with a table of methods and a
 * `const struct agent_service`, and a line in agent/services.c. Several files may have
 * methods of one service: each declares an entry of the same name.
 *
 * Handlers run in the loop, one at a time, and must not block: what may block goes
 * into a job (agent/job.h), a process that is waited for into a child
 * (agent/child.h), time into a timer (agent/loop.h).
 */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "call.h"

/* Who sends how many messages. */
enum agent_method_kind {
	AGENT_UNARY,	     /* one request, one response */
	AGENT_SERVER_STREAM, /* one request, many responses */
	AGENT_CLIENT_STREAM, /* many requests, one response */
	AGENT_BIDI_STREAM,   /* many each way, in any order */
};

struct agent_method {
	const char *name;
	enum agent_method_kind kind;
	bool changes; /* the guest: each call is logged, with what became of it */
	/*
	 * Files, on whatever disk the host likes: refused while file systems are
	 * frozen, since it would wait in the kernel until the thaw.
	 */
	bool writes;
	/* What each message is decoded as, and how many bytes it may have (0: 4 MiB).
	 */
	const ProtobufCMessageDescriptor *request;
	size_t request_max;
	const ProtobufCMessageDescriptor *response;

	/*
	 * The call begins. It may be ended here, or later from the loop. The request
	 * is valid until the handler returns. It is NULL where the client sends a
	 * stream: all of its messages come through message().
	 */
	void (*handle)(struct agent_call *call, const ProtobufCMessage *request);
	/* A message of the client's stream, valid until the handler returns. */
	void (*message)(struct agent_call *call, const ProtobufCMessage *message);
	/* The client's stream has ended well. NULL: nothing is to be done. */
	void (*end)(struct agent_call *call);
	/* There is room for what agent_call_has_room() had none for. */
	void (*room)(struct agent_call *call);
	/*
	 * The client has gone, or has given the call up, or its time is up. To be
	 * undone: timers, jobs, processes, temporary files, call->work. The call
	 * must not be touched after the return. Needed by a unary method that
	 * answers later, and by any that has something to undo. Not called for a
	 * call that the handler ended.
	 */
	void (*cancel)(struct agent_call *call);
};

struct agent_service {
	const char *name; /* as on the wire: package and service */
	const struct agent_method *methods;
	size_t n_methods;
	/* Before the first call and after the last; may be NULL. Negative errno. */
	int (*start)(struct agent *agent, struct error *err);
	void (*stop)(struct agent *agent);
};

/* Of the agent, with a NULL behind the last; and those with Kata's too. */
extern const struct agent_service *const agent_services[];
extern const struct agent_service *const agent_services_kata[];

#endif
