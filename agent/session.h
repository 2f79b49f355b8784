/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: frames in, frames out. It reads while its peer takes the answers
 * and its handlers the messages, and no faster. What it holds, with what its calls keep
 * until they are done, is counted, and budget.h bounds the sum of all connections.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "log.h"
#include "loop.h"
#include "stream_ids.h"
#include "ttrpc.h"
#include "ttrpc.pb-c.h"

/* Bytes of answers not taken yet, above which no more requests are read. */
#define AGENT_QUEUE_MAX (256u << 10)
/* The same, above which streams pause, and below which they go on. */
#define AGENT_STREAM_MAX (128u << 10)
#define AGENT_STREAM_LOW (64u << 10)
/* Bytes of streams that handlers have not taken, above which nothing is read. */
#define AGENT_BACKLOG_MAX (256u << 10)
/*
 * Calls under way on one connection; further ones are refused. Not reading on could
 * keep back the very message that one of them waits for.
 */
#define AGENT_CALLS_MAX 64

struct agent;
struct agent_call;
struct agent_frame;

struct agent_session {
	TAILQ_ENTRY(agent_session) link;
	struct agent *agent;
	struct agent_source source;
	unsigned int number; /* for log lines */
	struct ttrpc_reader reader;
	TAILQ_HEAD(agent_frame_list, agent_frame) queue;
	size_t queued; /* bytes in queue, bookkeeping included */
	TAILQ_HEAD(agent_call_list, agent_call) calls;
	unsigned int n_calls;
	size_t backlog; /* bytes that its calls keep for their handlers */
	size_t held;	/* all that it has of the agent's budget; queue, backlog too */
	size_t frame;	/* of that: for a large frame that is being read */
	struct agent_stream_ids ids;
	struct agent_log_limit refused; /* log lines on what the policy refuses */
	struct agent_timer turn;	/* armed for now: backlogs can be delivered */
	bool eof;			/* the peer sends no more */
	bool broken;	 /* to be destroyed as soon as the loop comes by */
	bool complained; /* one log line on bad frames has been written */
	bool blocked;	 /* the socket took no more when it was last asked */
	bool in_turn;	 /* a turn is on: its end sees to the events */
};

/*
 * Serves a connected socket, which the session owns from then on. Negative
 * errno, and the descriptor is still the caller's.
 */
int agent_session_create(struct agent *agent, int fd);
/* Cancels its calls, closes, frees. */
void agent_session_destroy(struct agent_session *session);

/*
 * Queues a response. It is sent when the loop comes by: the session is not
 * destroyed by this call, and a failure ends it later.
 */
void agent_session_send(struct agent_session *session, uint32_t stream_id,
			const Ttrpc__Response *response);
/* The same with a status of enum ttrpc_status; text must be valid UTF-8. */
void agent_session_send_status(struct agent_session *session, uint32_t stream_id,
			       int status, const char *text);
/*
 * Queues a data frame likewise; message may be NULL. -EMSGSIZE: nothing was queued.
 * -ENOMEM, -EPIPE: the connection ends as soon as the loop comes by.
 */
int agent_session_send_data(struct agent_session *session, uint32_t stream_id,
			    uint8_t flags, const ProtobufCMessage *message);
/* Whether a stream may queue a message of so many bytes more. */
bool agent_session_has_room(const struct agent_session *session, size_t size);
/* Whether it may hold so many bytes more; and that it does, for itself or a call. */
bool agent_session_may_hold(const struct agent_session *session, size_t bytes);
void agent_session_hold(struct agent_session *session, size_t bytes);
void agent_session_let_go(struct agent_session *session, size_t bytes);
/* To be called when others have given memory back. */
void agent_session_reconsider(struct agent_session *session);
/* To be called when a call has ended: the session may want to read again. */
void agent_session_wake(struct agent_session *session);
/* To be called when a call takes messages again: its backlog is delivered soon. */
void agent_session_wake_calls(struct agent_session *session);

#endif
