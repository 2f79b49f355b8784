/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include "retry.h"
#include "step.h"

static enum status once(const struct ask *ask, const struct vm *vm, deadline_t deadline,
			ProtobufCMessage **answer, struct report *r)
{
	struct error err = {0};
	enum status status;
	struct rpc rpc;
	int ret;

	rpc_init(&rpc, -1);
	status = vm_open_agent(vm, &rpc, deadline, r);
	if (status == STATUS_OK) {
		ret = guest_rpc_call(&rpc, ask->method, ask->request, ask->type,
				     deadline, answer, &err);
		if (ret) {
			error_prefix(&err, "the agent's %s", ask->method);
			status = vm_fail_agent(ret, &err, r);
		}
	}
	rpc_close(&rpc);
	return status;
}

enum status ask_agent_raw(const struct ask *ask, const struct vm *vm,
			  deadline_t deadline, ProtobufCMessage **answer,
			  struct report *r)
{
	struct retry t;

	*answer = NULL;
	retry_begin(&t, deadline, r);
	report_step(r, "agent");
	while (once(ask, vm, deadline, answer, r) != STATUS_OK && !ask->changes &&
	       retry_again(&t))
		;
	report_step_end(r);
	return r->status;
}

enum status ask_agent(const struct ask *ask, const struct vm *vm, deadline_t deadline,
		      ProtobufCMessage **answer, struct report *r)
{
	enum status status = STATUS_OK;

	*answer = NULL;
	if (ask->changes && r->options->dry_run) {
		step_would(r, ask->method);
		if (!r->options->json)
			step_print_would(r);
		return status;
	}
	status = ask_agent_raw(ask, vm, deadline, answer, r);
	if (*answer)
		message_sanitize(*answer);
	return status;
}

void ask_report(struct report *r, const ProtobufCMessage *message)
{
	json_t *object = message_json(message), *value;
	const char *key;

	json_object_foreach (object, key, value) {
		report_set(r, key, json_incref(value));
	}
	json_decref(object);
}
