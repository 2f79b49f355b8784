/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include "retry.h"
#include "step.h"

/* *opened: there was a connection, so the request may have been sent. */
static enum status attempt(const struct vm *vm, ask_job *job, void *into,
			   deadline_t deadline, bool *opened, struct report *r)
{
	struct error err = {0};
	enum status status;
	struct rpc rpc;
	int ret;

	rpc_init(&rpc, -1);
	status = vm_open_agent(vm, &rpc, deadline, r);
	*opened = status == STATUS_OK;
	if (*opened) {
		ret = job(&rpc, into, deadline, &err);
		if (ret)
			status = vm_fail_agent(ret, &err, r);
	}
	rpc_close(&rpc);
	return status;
}

/* answered: as of retry.h. patient: who is not there is waited for. */
static enum status repeat(const struct vm *vm, ask_job *job, void *into, bool answered,
			  bool patient, deadline_t deadline, struct report *r)
{
	struct retry t;
	bool opened;

	retry_begin(&t, deadline, r);
	if (answered)
		retry_answered(&t);
	while (attempt(vm, job, into, deadline, &opened, r) != STATUS_OK &&
	       (opened || patient) && retry_again(&t))
		;
	return r->status;
}

enum status ask_once(const struct vm *vm, ask_job *job, void *into, deadline_t deadline,
		     struct report *r)
{
	bool opened;

	return attempt(vm, job, into, deadline, &opened, r);
}

enum status ask_again(const struct vm *vm, ask_job *job, void *into,
		      deadline_t deadline, struct report *r)
{
	return repeat(vm, job, into, false, true, deadline, r);
}

enum status ask_now(const struct vm *vm, ask_job *job, void *into, deadline_t deadline,
		    struct report *r)
{
	return repeat(vm, job, into, false, false, deadline, r);
}

enum status ask_change(const struct vm *vm, ask_job *job, void *into,
		       deadline_t deadline, struct report *r)
{
	bool opened;

	if (attempt(vm, job, into, deadline, &opened, r) != STATUS_OK && opened)
		report_not_repeated(r);
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

enum status ask_agent_raw(const struct ask *ask, const struct vm *vm,
			  deadline_t deadline, ProtobufCMessage **answer,
			  struct report *r)
{
	struct call c = {ask, answer};

	*answer = NULL;
	report_step(r, ask->step ? ask->step : "agent");
	if (ask->changes)
		ask_change(vm, call, &c, deadline, r);
	else
		repeat(vm, call, &c, ask->answered, true, deadline, r);
	report_step_end(r);
	return r->status;
}

static int ping(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	(void)into;
	return guest_ping(rpc, NULL, 0, deadline, err);
}

static enum status would(const struct ask *ask, const struct vm *vm,
			 deadline_t deadline, struct report *r)
{
	report_step(r, ask->step ? ask->step : "agent");
	ask_again(vm, ping, NULL, deadline, r);
	report_step_end(r);
	if (r->status == STATUS_OK)
		step_would_only(r, ask->method);
	return r->status;
}

enum status ask_agent(const struct ask *ask, const struct vm *vm, deadline_t deadline,
		      ProtobufCMessage **answer, struct report *r)
{
	enum status status;

	*answer = NULL;
	if (ask->changes && r->options->dry_run)
		return would(ask, vm, deadline, r);
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
