/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that a process of its own answers, with code that may block: reads and writes
 * of regular files do, for as long as a disk or a server likes, and no O_NONBLOCK and
 * no epoll changes that. The process has one packet socket to the agent, which passes
 * messages on. What a full socket holds back is held back all the way: the process
 * while the client does not read, the client while the process does not.
 *
 * When the client goes, the socket is closed. A process with something to undo sees
 * that and does; others are killed. It is the same when the agent dies.
 */
#ifndef AGENT_TASK_H
#define AGENT_TASK_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "error.h"
#include "service.h"

/* At the same time; further ones are refused. */
#define AGENT_TASKS_MAX 64
/*
 * Processes whose calls have ended, and they have not: what waits for a disk or a
 * server cannot be killed. From there on calls are refused too.
 */
#define AGENT_TASKS_LEFT_MAX 64
/* Of each, so many more for what may be needed for the others to end. */
#define AGENT_TASKS_FREE 8
/* Bytes of one packed message. */
#define AGENT_TASK_MESSAGE_MAX (96u << 10)

struct agent_task_io;

/*
 * The work, in the process. request is NULL where the client sends a stream. A unary
 * method sends one message. Its error, with words, becomes the call's.
 */
typedef int (*agent_task_work)(struct agent_task_io *io,
			       const ProtobufCMessage *request, struct error *err);

enum agent_task_end {
	AGENT_TASK_KILL,   /* a client that has gone ends it at once */
	AGENT_TASK_UNDOES, /* it ends by itself, after undoing */
	AGENT_TASK_FREES,  /* likewise; others may wait for what it does */
};

/* For a method's handle(). Ends the call when there can be no process. */
void agent_task_start(struct agent_call *call, const ProtobufCMessage *request,
		      agent_task_work work, enum agent_task_end end);

/* These are a method's other handlers. */
void agent_task_message(struct agent_call *call, const ProtobufCMessage *message);
void agent_task_end(struct agent_call *call);
void agent_task_room(struct agent_call *call);
void agent_task_cancel(struct agent_call *call);

/*
 * For the work: what it is about, and messages. -ECANCELED: the client or the agent has
 * gone.
 */
const struct agent_options *agent_task_options(const struct agent_task_io *io);
int agent_task_send(struct agent_task_io *io, const ProtobufCMessage *message);
/* 1: *message, to be freed with agent_decode_free(); 0: the client's stream has ended.
 */
int agent_task_receive(struct agent_task_io *io, ProtobufCMessage **message);
/* To be asked now and then by work that neither sends nor receives. */
bool agent_task_gone(const struct agent_task_io *io);

#endif
