/* SPDX-License-Identifier: Apache-2.0 */
#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry.h"
#include "text.h"

#define STOPPED_WAIT_MS 500

static enum status fail_timeout(const struct error *err, struct report *r)
{
	/* Of a verb that has no limit there was one for the connection. */
	if (r->options->timeout_ms < 0)
		return report_fail(r, STATUS_TIMEOUT,
				   "no answer in time: %s; look at the guest's console",
				   err->text);
	return report_fail(r, STATUS_TIMEOUT,
			   "--timeout of %.3g s passed: %s; give a longer --timeout, "
			   "or look at the guest's console",
			   (double)r->options->timeout_ms / 1000, err->text);
}

enum status vm_resolve(struct vm *vm, const char *name, const char *qmp,
		       struct report *r)
{
	struct error err = {0};
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->name = name;
	ret = endpoint_parse(name, &vm->endpoint, &err);
	if (ret == -ENOENT)
		return report_fail(r, STATUS_UNKNOWN_VM,
				   "%s; 'vmctl list' shows those there are", err.text);
	if (ret)
		return report_fail(r, ret == -EINVAL ? STATUS_USAGE : STATUS_FAILURE,
				   "%s", err.text);
	if (qmp) {
		if (strlen(qmp) >= sizeof(vm->qmp))
			return report_fail(r, STATUS_USAGE,
					   "--qmp %s: the socket path is too long "
					   "(%zu bytes at most)",
					   qmp, sizeof(vm->qmp) - 1);
		strcpy(vm->qmp, qmp);
		return STATUS_OK;
	}
	if (!registry_name_valid(name))
		return STATUS_OK; /* an address: --qmp or nothing */
	if (registry_path(name, "qmp.sock", vm->qmp, sizeof(vm->qmp), &err))
		return report_fail(r, STATUS_FAILURE, "%s", err.text);
	return STATUS_OK;
}

enum status vm_fail_qmp(int ret, const struct error *err, struct report *r)
{
	switch (ret) {
	case -ETIMEDOUT:
		return fail_timeout(err, r);
	case QMP_REFUSED:
	case -EOPNOTSUPP:
		return report_fail(r, STATUS_QEMU_REFUSED, "%s", err->text);
	default:
		return report_fail(r, STATUS_NO_QMP,
				   "%s; is QEMU still running, and is it QEMU?",
				   err->text);
	}
}

enum status vm_open_qmp(const struct vm *vm, struct qmp *q, deadline_t deadline,
			struct report *r)
{
	struct error err = {0};
	int ret;

	if (!*vm->qmp)
		return report_fail(r, STATUS_NO_QMP,
				   "no QMP socket is known for an address; name it "
				   "with --qmp PATH");
	ret = qmp_open(q, vm->qmp, deadline, &err);
	if (!ret)
		return STATUS_OK;
	if (ret == -ENOENT || ret == -ECONNREFUSED || ret == -EACCES)
		return report_fail(r, STATUS_NO_QMP,
				   "no QMP socket (%s); start QEMU with -qmp "
				   "unix:%s,server=on,wait=off",
				   err.text, vm->qmp);
	return vm_fail_qmp(ret, &err, r);
}

enum status vm_fail_dial(const struct vm *vm, int ret, const struct error *err,
			 struct report *r)
{
	char text[ENDPOINT_TEXT_MAX];

	if (ret == -ETIMEDOUT)
		return fail_timeout(err, r);
	report_fail(r, STATUS_NO_TRANSPORT,
		    "no vsock endpoint at %s (%s); is vsockd running for this VM?",
		    endpoint_format(&vm->endpoint, text), err->text);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		return report_may_repeat(r, STATUS_NO_TRANSPORT);
	return r->status;
}

enum status vm_fail_agent(int ret, const struct error *err, struct report *r)
{
	switch (ret) {
	case -ETIMEDOUT:
		return fail_timeout(err, r);
	case RPC_REFUSED:
	case -EACCES:
	case -EBUSY:
		return report_fail(r, STATUS_REFUSED, "%s", err->text);
	case -EOPNOTSUPP:
		return report_fail(r, STATUS_REFUSED,
				   "%s; is vmctl-agent older than vmctl?", err->text);
	default:
		report_fail(r, STATUS_NO_AGENT,
			    "the agent does not answer (%s); restart vmctl-agent in "
			    "the guest",
			    err->text);
		if (ret == -ECONNRESET)
			return report_may_repeat(r, STATUS_NO_AGENT);
		return r->status;
	}
}

/*
 * Whether QEMU says that the machine does not run, as after QMP's stop, and in which
 * word. A QEMU that is busy with somebody else, or none, is no reason to wait.
 */
static bool is_stopped(const struct vm *vm, char word[static 32])
{
	deadline_t deadline = deadline_after_ms(STOPPED_WAIT_MS);
	struct error err = {0};
	json_t *status = NULL;
	bool stopped = false;
	struct qmp q;

	if (!*vm->qmp)
		return false;
	if (!qmp_open(&q, vm->qmp, deadline, &err) &&
	    !qmp_execute(&q, "query-status", NULL, deadline, &status, &err)) {
		const char *s = json_string_value(json_object_get(status, "status"));

		stopped = s && json_is_false(json_object_get(status, "running"));
		if (stopped)
			text_copy(word, 32, s, strlen(s));
	}
	json_decref(status);
	qmp_close(&q);
	return stopped;
}

/* Nobody listens in the guest; the words say what that usually means. */
static enum status fail_refused(const struct vm *vm, enum status status, unsigned port,
				const char *who, const char *what_to_do,
				struct report *r)
{
	char word[32];

	if (is_stopped(vm, word))
		report_fail(r, status,
			    "the machine does not run (QEMU: %s), so port %u does not "
			    "answer; let it go on, as with QMP's cont",
			    word, port);
	else
		report_fail(r, status, "the guest has no %s (port %u refused); %s", who,
			    port, what_to_do);
	return report_may_repeat(r, status);
}

enum status vm_open_agent(const struct vm *vm, struct rpc *rpc, deadline_t deadline,
			  struct report *r)
{
	struct error err = {0};
	int ret = guest_open(rpc, &vm->endpoint, deadline, &err);

	if (!ret)
		return STATUS_OK;
	if (ret != -ECONNRESET)
		return vm_fail_dial(vm, ret, &err, r);
	return fail_refused(vm, STATUS_NO_AGENT, GUEST_AGENT_PORT, "agent",
			    "start vmctl-agent in the guest", r);
}

enum status vm_fail_module(int ret, const struct error *err, struct report *r)
{
	if (ret == -ETIMEDOUT)
		return fail_timeout(err, r);
	report_fail(r, STATUS_NO_MODULE,
		    "port %u does not answer as the upcall module does (%s); see the "
		    "guest's kernel log",
		    UPCALL_PORT, err->text);
	if (ret == -ECONNRESET || ret == -EPIPE)
		return report_may_repeat(r, STATUS_NO_MODULE);
	return r->status;
}

enum status vm_open_module(const struct vm *vm, struct upcall *u, deadline_t deadline,
			   struct report *r)
{
	struct error err = {0};
	int ret = upcall_open(u, &vm->endpoint, deadline, &err);

	switch (ret) {
	case 0:
		return STATUS_OK;
	case -ECONNRESET:
		return fail_refused(vm, STATUS_NO_MODULE, UPCALL_PORT, "upcall module",
				    "install upcall in the guest", r);
	case -EPROTO:
		return vm_fail_module(ret, &err, r);
	default:
		return vm_fail_dial(vm, ret, &err, r);
	}
}
