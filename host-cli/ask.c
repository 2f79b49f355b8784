/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include "retry.h"
#include "step.h"

enum status ask_once(const struct vm *vm, ask_job *job, void *into, deadline_t deadline,
		     struct report *r)
{
	struct error err = {0};
	enum status status;
	struct rpc rpc;
	int ret;

	rpc_init(&rpc, -1);
	status = vm_open_agent(vm, &rpc, deadline, r);
	if (status == STATUS_OK) {
		ret = job(&rpc, into, deadline, &err);
		if (ret)
			status = vm_fail_agent(ret, &err, r);
	}
	rpc_close(&rpc);
	return status;
}

enum status ask_again(const struct vm *vm, ask_job *job, void *into,
		      deadline_t deadline, struct report *r)
{
	struct retry t;

	retry_begin(&t, deadline, r);
	while (ask_once(vm, job, into, deadline, r) != STATUS_OK && retry_again(&t))
		;
	return r->status;
}

struct call {
	const struct ask *ask;
	ProtobufCMessage **answer;
};

static int call(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	const struct call *c = into;
	int ret = guest_rpc_call(rpc, c->ask->method, c->ask->request, c->ask->type,
				 deadline, c->answer, err);

	if (ret)
		error_prefix(err, "the agent's %s", c->ask->method);
	return ret;
}

enum status ask_on(const struct ask *ask, struct rpc *rpc, deadline_t deadline,
		   ProtobufCMessage **answer, struct report *r)
{
	struct call c = {ask, answer};
	struct error err = {0};
	int ret = call(rpc, &c, deadline, &err);

	return ret ? vm_fail_agent(ret, &err, r) : STATUS_OK;
}

enum status ask_agent_raw(const struct ask *ask, const struct vm *vm,
			  deadline_t deadline, ProtobufCMessage **answer,
			  struct report *r)
{
	struct call c = {ask, answer};

	*answer = NULL;
	report_step(r, ask->step ? ask->step : "agent");
	if (ask->changes || ask->once)
		ask_once(vm, call, &c, deadline, r);
	else
		ask_again(vm, call, &c, deadline, r);
	report_step_end(r);
	return r->status;
}

enum status ask_agent(const struct ask *ask, const struct vm *vm, deadline_t deadline,
		      ProtobufCMessage **answer, struct report *r)
{
	enum status status;

	*answer = NULL;
	if (ask->changes && r->options->dry_run) {
		step_would_only(r, ask->method);
		return STATUS_OK;
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
