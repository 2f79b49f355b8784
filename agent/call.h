/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call under way, from its request to its end: what a service's handlers work
 * with. How a service is declared is in agent/service.h.
 *
 * A unary call ends with agent_call_reply(). A stream that the agent sends gets any
 * number of agent_call_send() and ends with agent_call_finish(). A stream that the
 * client sends, and nothing else, ends with agent_call_reply(). Each may end with
 * agent_call_fail() instead. A call that was ended must not be touched any more.
 *
 * Whatever a handler sends is queued: none of these functions blocks, calls a
 * handler, or ends a call other than the one that it is given.
 */
#ifndef AGENT_CALL_H
#define AGENT_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "error.h"
#include "loop.h"
#include "outcome.h"
#include "ttrpc.h"
#include "ttrpc.pb-c.h"

/* A unary call without a time-out, or with a longer one, is given up after this. */
#define AGENT_CALL_LIMIT_MS 300000

/* Bytes of a stream's message that agent_call_has_room() has room for. */
#define AGENT_CALL_MESSAGE (65u << 10)

struct agent;
struct agent_call_message;
struct agent_method;
struct agent_service;
struct agent_session;

struct agent_call {
	/* For handlers to read. */
	struct agent *agent; /* its loop, jobs, options */
	const struct agent_method *method;

	void *work; /* the handler's own; NULL to begin with */

	/* The room's own. */
	TAILQ_ENTRY(agent_call) link; /* in the session */
	struct agent_session *session;
	const struct agent_service *service;
	const Ttrpc__Request *envelope; /* while handle() runs, else NULL */
	uint32_t stream_id;
	struct agent_timer timer;
	TAILQ_HEAD(agent_call_messages, agent_call_message) backlog;
	size_t wants_room; /* room() is to be called when there is so much; 0: no */
	struct agent_outcome outcome; /* for the log; a handler may set its note */
	size_t held;	   /* bytes of the session's that the call answers for */
	bool client_ended; /* the client sends no more messages */
	bool paused;	   /* the handler takes no messages for now */
	bool busy;	   /* a handler runs: the memory stays until it returns */
	bool ended;
};

/* Ends a call with a message of the method's response type, which is only read. */
void agent_call_reply(struct agent_call *call, const ProtobufCMessage *message);

/* Ends a call with a status of enum ttrpc_status; what is not ASCII becomes '?'. */
void agent_call_fail(struct agent_call *call, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Ends a call with the words of err and the status that fits its code: NOT_FOUND for
 * -ENOENT, INVALID_ARGUMENT for -EINVAL, PERMISSION_DENIED for -EACCES and -EPERM,
 * UNIMPLEMENTED for -EOPNOTSUPP, RESOURCE_EXHAUSTED for -ENOMEM, -ENOSPC, -EDQUOT and
 * -EMFILE, FAILED_PRECONDITION for -EBUSY, -EEXIST, -EROFS and -ENOTDIR,
 * DEADLINE_EXCEEDED for -ETIMEDOUT, otherwise INTERNAL.
 */
void agent_call_fail_error(struct agent_call *call, const struct error *err);

/*
 * Sends one message of a stream, which is only read. It may be sent without room
 * too, so that one event need not be kept back; but whoever has more to send asks
 * agent_call_has_room() first.
 * -EMSGSIZE: it is above ttrpc's limit and was not sent. -ENOMEM, -EPIPE: the
 * connection is done for, and cancel() will be called soon.
 */
int agent_call_send(struct agent_call *call, const ProtobufCMessage *message);

/*
 * Whether the connection's output has room. When it has none, the method's room()
 * will be called once as soon as there is.
 */
bool agent_call_has_room(struct agent_call *call);
/* The same for messages that have more than AGENT_CALL_MESSAGE bytes. */
bool agent_call_has_room_for(struct agent_call *call, size_t size);

/*
 * What a handler keeps of the client's for longer than it runs is counted: whether
 * there is memory for it, to be asked before large or many things are kept, that it is
 * kept, and that it is not any more, which the end of the call says of all that is
 * left.
 */
bool agent_call_may_hold(const struct agent_call *call, size_t bytes);
void agent_call_hold(struct agent_call *call, size_t bytes);
void agent_call_let_go(struct agent_call *call, size_t bytes);

/* Ends a stream well, after what was sent. */
void agent_call_finish(struct agent_call *call);

/*
 * No more message() until the resume: what the client sends meanwhile is kept, up to
 * AGENT_BACKLOG_MAX, and from there on its connection is not read. Messages that
 * were kept come from the loop, not within the resume.
 */
void agent_call_pause(struct agent_call *call);
void agent_call_resume(struct agent_call *call);

/*
 * The first value of a key in the request's metadata, or NULL. Only within
 * handle(), and valid until it returns.
 */
const char *agent_call_metadata(const struct agent_call *call, const char *key);

/*
 * What follows is for the session and the dispatch.
 */

/* Takes over a new call and runs its handler. timeout_ms < 0: none. */
void agent_call_begin(struct agent_session *session,
		      const struct agent_service *service,
		      const struct agent_method *method, uint32_t stream_id,
		      const Ttrpc__Request *envelope, bool client_ended,
		      int64_t timeout_ms);
/* A data frame for the call. */
void agent_call_take(struct agent_call *call, const struct ttrpc_header *header,
		     const uint8_t *payload);
/* Cancels, and answers with a status. */
void agent_call_give_up(struct agent_call *call, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Cancels, with no answer: the connection goes. */
void agent_call_abandon(struct agent_call *call);
/* Gives the handler one message of the backlog. False: there is none for it now. */
bool agent_call_deliver(struct agent_call *call);
/* Calls room(), which was promised. */
void agent_call_give_room(struct agent_call *call);

#endif
