/* SPDX-License-Identifier: Apache-2.0 */
/* A verb that is one call of the guest's agent. */
#ifndef HOST_CLI_ASK_H
#define HOST_CLI_ASK_H

#include "guest_rpc.h"
#include "vm.h"

struct ask {
	const char *method;
	const ProtobufCMessage *request;
	const ProtobufCMessageDescriptor *type; /* the answer's */
	bool changes; /* it is not repeated when the connection breaks */
};

/*
 * Makes the call, as the report's step "agent". *answer is a new message, to be freed
 * with message_free(), or NULL when that failed, which is reported, or with --dry-run
 * for a call that changes something. Its strings are printable.
 */
enum status ask_agent(const struct ask *ask, const struct vm *vm, deadline_t deadline,
		      ProtobufCMessage **answer, struct report *r);
/* The same, with strings as the guest sent them. */
enum status ask_agent_raw(const struct ask *ask, const struct vm *vm,
			  deadline_t deadline, ProtobufCMessage **answer,
			  struct report *r);

/* Sets the members of a message in the JSON result. */
void ask_report(struct report *r, const ProtobufCMessage *message);

#endif
