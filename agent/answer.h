/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary calls that are answered by a job (job.h): what makes the answer may block, and
 * the memory that it takes goes with it.
 */
#ifndef AGENT_ANSWER_H
#define AGENT_ANSWER_H

#include "call.h"

struct agent_answer; /* an answer that is being made, in the job */

/*
 * In the job: sends the answer with agent_answer_send() and returns 0, or fills err
 * and returns a negative errno, as for agent_call_fail_error(). What it allocates need
 * not be freed. The agent is as it was when the job began, to be read.
 */
typedef int agent_answer_fn(struct agent_answer *answer, const struct agent *agent,
			    const ProtobufCMessage *request, struct error *err);

/* To be called by handle(); the request is copied. The method's cancel is the other. */
void agent_answer_start(struct agent_call *call, const ProtobufCMessage *request,
			agent_answer_fn *make);
/* The same for what may take seconds, or hang: quick ones do not wait behind it. */
void agent_answer_start_slow(struct agent_call *call, const ProtobufCMessage *request,
			     agent_answer_fn *make);
void agent_answer_cancel(struct agent_call *call);

/* Sends a message of the method's response type, once. */
int agent_answer_send(struct agent_answer *answer, const ProtobufCMessage *message,
		      struct error *err);

/* Memory of the job, zeroed, which is never freed; the job ends without it. */
void *agent_answer_alloc(size_t count, size_t size);
/* A copy of text as printable ASCII, with '?' for all else; likewise. */
char *agent_answer_text(const char *text);

#endif
