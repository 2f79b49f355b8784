/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: frames in, frames out. It reads while its peer takes the
 * answers and has few calls under way, and no faster; so its memory is bounded
 * by one frame of the largest size each way plus AGENT_QUEUE_MAX.
 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "loop.h"
#include "ttrpc.h"
#include "ttrpc.pb-c.h"

/* Bytes of answers not taken yet, above which no more requests are read. */
#define AGENT_QUEUE_MAX (256u << 10)
/* Calls under way on one connection, above which likewise. */
#define AGENT_CALLS_MAX 16

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
	uint32_t last_stream_id; /* of requests; they must ascend */
	bool eof;		 /* the peer sends no more */
	bool broken;		 /* to be destroyed as soon as the loop comes by */
	bool complained;	 /* one log line on bad frames has been written */
	bool in_turn;		 /* session_ready() is at work: it sees to the events */
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
/* To be called when a call has ended: the session may want to read again. */
void agent_session_wake(struct agent_session *session);

#endif
