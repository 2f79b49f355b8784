/* SPDX-License-Identifier: Apache-2.0 */
/* What verbs that ask the agent one thing have in common. */
#ifndef HOST_CLI_AGENT_VERB_H
#define HOST_CLI_AGENT_VERB_H

#include "guest_rpc.h"
#include "vm.h"

/*
 * Makes one call on an open connection, and reports what went wrong. *answer is to be
 * freed with message_free().
 */
enum status agent_verb_call(struct rpc *rpc, const char *method,
			    const ProtobufCMessage *request,
			    const ProtobufCMessageDescriptor *type,
			    ProtobufCMessage **answer, deadline_t deadline,
			    struct report *r);

/* The same on a connection of its own, as a step of that name. */
enum status agent_verb_ask(const struct vm *vm, const char *step, const char *method,
			   const ProtobufCMessage *request,
			   const ProtobufCMessageDescriptor *type,
			   ProtobufCMessage **answer, deadline_t deadline,
			   struct report *r);

#endif
