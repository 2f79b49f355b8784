/* SPDX-License-Identifier: Apache-2.0 */
/* A verb that is one call of the guest's agent. */
#ifndef HOST_CLI_ASK_H
#define HOST_CLI_ASK_H

#include "guest_rpc.h"
#include "vm.h"

/* What is asked on a connection: 0, or a negative errno with err, as of guest.h. */
typedef int ask_job(struct rpc *rpc, void *into, deadline_t deadline,
		    struct error *err);

/*
 * Connect, do the job, and report what went wrong: once; again where the connection
 * broke, or could not be made; again where it broke, to tell how it is now; once, since
 * it changes the guest, and saying so where it broke.
 */
enum status ask_once(const struct vm *vm, ask_job *job, void *into, deadline_t deadline,
		     struct report *r);
enum status ask_again(const struct vm *vm, ask_job *job, void *into,
		      deadline_t deadline, struct report *r);
enum status ask_now(const struct vm *vm, ask_job *job, void *into, deadline_t deadline,
		    struct report *r);
enum status ask_change(const struct vm *vm, ask_job *job, void *into,
		       deadline_t deadline, struct report *r);

struct ask {
	const char *method;
	const ProtobufCMessage *request;
	const ProtobufCMessageDescriptor *type; /* the answer's */
	const char *step;			/* the report's; NULL: "agent" */
	/* The guest: it is not repeated. With --dry-run it is not made, but the agent
	 * is asked whether it is there; the verb asks before for what else it can. */
	bool changes;
	bool answered; /* the agent has in this command, and is waited for (retry.h) */
};

/*
 * Makes the call, as a step of the report. *answer is a new message, to be freed with
 * message_free(), or NULL when that failed, which is reported, or with --dry-run for a
 * call that changes something. Its strings are printable.
 */
enum status ask_agent(const struct ask *ask, const struct vm *vm, deadline_t deadline,
		      ProtobufCMessage **answer, struct report *r);
/* The same, with strings as the guest sent them, and made with --dry-run too. */
enum status ask_agent_raw(const struct ask *ask, const struct vm *vm,
			  deadline_t deadline, ProtobufCMessage **answer,
			  struct report *r);

/* Sets the members of a message in the JSON result. */
void ask_report(struct report *r, const ProtobufCMessage *message);

#endif
