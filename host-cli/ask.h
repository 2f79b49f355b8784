/* SPDX-License-Identifier: Apache-2.0 */
/* A verb that is one call of the guest's agent. */
#ifndef HOST_CLI_ASK_H
#define HOST_CLI_ASK_H

#include "guest_rpc.h"
#include "vm.h"

/* What is asked on a connection: 0, or a negative errno with err, as of guest.h. */
typedef int ask_job(struct rpc *rpc, void *into, deadline_t deadline,
		    struct error *err);

/* Connects, does the job, and reports what went wrong: once; again when that broke. */
enum status ask_once(const struct vm *vm, ask_job *job, void *into, deadline_t deadline,
		     struct report *r);
enum status ask_again(const struct vm *vm, ask_job *job, void *into,
		      deadline_t deadline, struct report *r);

struct ask {
	const char *method;
	const ProtobufCMessage *request;
	const ProtobufCMessageDescriptor *type; /* the answer's */
	const char *step;			/* the report's; NULL: "agent" */
	bool changes; /* the guest: not repeated, and with --dry-run not made */
	bool once;    /* not repeated, whatever it is */
};

/*
 * Makes the call, as a step of the report. *answer is a new message, to be freed with
 * message_free(), or NULL when that failed, which is reported, or with --dry-run for a
 * call that changes something. Its strings are printable.
 */
enum status ask_agent(const struct ask *ask, const struct vm *vm, deadline_t deadline,
		      ProtobufCMessage **answer, struct report *r);
/* The same, with strings as the guest sent them. */
enum status ask_agent_raw(const struct ask *ask, const struct vm *vm,
			  deadline_t deadline, ProtobufCMessage **answer,
			  struct report *r);
/* The call alone, on a connection: for verbs that are more than one. As raw. */
enum status ask_on(const struct ask *ask, struct rpc *rpc, deadline_t deadline,
		   ProtobufCMessage **answer, struct report *r);

/* Sets the members of a message in the JSON result. */
void ask_report(struct report *r, const ProtobufCMessage *message);

#endif
