/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request under way, from its dispatch to its answer. A handler answers at
 * once, or sets `cancel` and answers later from the loop. Each call is answered
 * once: the two functions below that answer also free it.
 */
#ifndef AGENT_CALL_H
#define AGENT_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <sys/queue.h>

#include "loop.h"
#include "ttrpc.h"

/* A call without a time-out, or with a longer one, is given up after this. */
#define AGENT_CALL_LIMIT_MS 300000

struct agent_session;
struct agent_method;

struct agent_call {
	TAILQ_ENTRY(agent_call) link; /* in the session */
	struct agent_session *session;
	const struct agent_method *method;
	uint32_t stream_id;
	struct agent_timer timer;
	/*
	 * Set by a handler that answers later. Called when the caller has gone or
	 * the time is up; from then on the call must not be touched.
	 */
	void (*cancel)(struct agent_call *call);
	void *work; /* the handler's own */
};

/* NULL when memory runs out. timeout_ms > 0. */
struct agent_call *agent_call_create(struct agent_session *session,
				     const struct agent_method *method,
				     uint32_t stream_id, int64_t timeout_ms);

/* Answers with a message of the method's response type, which is only read. */
void agent_call_reply(struct agent_call *call, const ProtobufCMessage *message);
/* Answers with a status of enum ttrpc_status; what is not ASCII becomes '?'. */
void agent_call_fail(struct agent_call *call, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* For the session that goes: ends the call with no answer. */
void agent_call_abandon(struct agent_call *call);

#endif
