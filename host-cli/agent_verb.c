/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_verb.h"

enum status agent_verb_call(struct rpc *rpc, const char *method,
			    const ProtobufCMessage *request,
			    const ProtobufCMessageDescriptor *type,
			    ProtobufCMessage **answer, deadline_t deadline,
			    struct report *r)
{
	struct error err = {0};
	int ret = guest_rpc_call(rpc, method, request, type, deadline, answer, &err);

	if (!ret)
		return STATUS_OK;
	error_prefix(&err, "the agent's %s", method);
	return vm_fail_agent(ret, &err, r);
}

enum status agent_verb_ask(const struct vm *vm, const char *step, const char *method,
			   const ProtobufCMessage *request,
			   const ProtobufCMessageDescriptor *type,
			   ProtobufCMessage **answer, deadline_t deadline,
			   struct report *r)
{
	enum status status;
	struct rpc rpc;

	rpc_init(&rpc, -1);
	report_step(r, step);
	status = vm_open_agent(vm, &rpc, deadline, r);
	if (status == STATUS_OK)
		status = agent_verb_call(&rpc, method, request, type, answer, deadline,
					 r);
	report_step_end(r);
	rpc_close(&rpc);
	return status;
}
