/* SPDX-License-Identifier: Apache-2.0 */
#include "change.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "inventory.h"
#include "step.h"

#define GRACE_MS 1000 /* for QEMU to free what was ejected */
#define POLL_MS	 10   /* between looks at QEMU */

int change_set_qmp(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct change *)into)->qmp_path = value;
	return 0;
}

int change_check_utf8(const char *option, const char *value, struct error *err)
{
	json_t *string = json_string(value);

	json_decref(string);
	return string ? 0 : error_set(err, -EINVAL, "%s %s: not UTF-8", option, value);
}

int change_set_id(void *into, const char *value, struct error *err)
{
	if (!*value || strlen(value) >= CHANGE_ID_MAX)
		return error_set(err, -EINVAL, "--id %s: 1 to %d bytes", value,
				 CHANGE_ID_MAX - 1);
	((struct change *)into)->wanted_id = value;
	return change_check_utf8("--id", value, err);
}

static enum status plugged_already(struct change *c)
{
	return report_fail(&c->report, STATUS_REFUSED,
			   "the %s is plugged already; see vmctl devices %s", c->what,
			   c->vm.name);
}

void change_begin(struct change *c, const char *verb)
{
	c->upcall.fd = c->qmp.fd = -1;
	c->cleanup_ms = CHANGE_CLEANUP_MS;
	report_begin(&c->report, &c->options, verb, c->options.args[0]);
	c->deadline = deadline_after_ms(c->options.timeout_ms);
	vm_resolve(&c->vm, c->options.args[0], c->qmp_path, &c->report);
}

/* With --dry-run: what would come, and whether that could go well. */
static enum status would(struct change *c, const struct change_step *steps, size_t n)
{
	struct error err = {0};
	size_t i;
	int ret = c->adds && c->add.len ? change_in_list(c, c->deadline, &err) : 0;

	if (ret < 0 && ret != -EOPNOTSUPP)
		return vm_fail_module(ret, &err, &c->report);
	if (ret == 1)
		return plugged_already(c);
	for (i = 0; i < n; i++)
		step_would(&c->report, steps[i].name);
	report_step_end(&c->report);
	return STATUS_OK;
}

enum status change_run(struct change *c, const struct change_step *steps, size_t n)
{
	enum status status = c->report.status;
	size_t i;

	for (i = 0; i < n && status == STATUS_OK && !c->done; i++) {
		if (steps[i].changes && c->options.dry_run)
			return would(c, steps + i, n - i);
		status = step_begin(&c->report, steps[i].name, steps[i].changes);
		if (status == STATUS_OK)
			status = steps[i].run(c);
	}
	if (status != STATUS_OK && c->adds && (c->created || (c->asked && !c->refused)))
		change_undo(c);
	else if (status != STATUS_OK && c->unsettled)
		(c->settle ? c->settle : change_settle)(c);
	report_step_end(&c->report);
	return c->report.status;
}

void change_print(struct change *c)
{
	struct report *r = &c->report;
	bool dry = r->options->dry_run;

	if (r->options->json) {
		if (c->in_qemu)
			report_set(r, "id", json_string(c->id));
		if (dry)
			return;
		report_set(r, "kernel_ms",
			   json_real((double)c->result.kernel_ns / 1e6));
		report_set(r, "request", json_integer((json_int_t)c->result.request));
		return;
	}
	printf("%s: %s%splug%s %s\n", r->printable, dry ? "would " : "",
	       c->adds ? "" : "un", dry ? "" : "ged", c->what);
	if (dry) {
		step_print_would(r);
		return;
	}
	report_print_steps(r);
	if (c->result.kernel_ns)
		printf("         of which the guest's kernel %.1f ms\n",
		       (double)c->result.kernel_ns / 1e6);
}

int change_end(struct change *c)
{
	upcall_close(&c->upcall);
	qmp_close(&c->qmp);
	return report_finish(&c->report);
}

int change_in_list(struct change *c, deadline_t deadline, struct error *err)
{
	struct inventory inventory;
	int ret;

	if (!(c->upcall.features & UPCALL_FEATURE_QUERY))
		return error_set(err, -EOPNOTSUPP, "the guest's module has no list");
	ret = inventory_read(&inventory, &c->upcall, deadline, err);
	if (!ret)
		ret = inventory_find(&inventory, c->class_number, c->key) != NULL;
	inventory_free(&inventory);
	return ret;
}

enum status change_open_qmp(struct change *c)
{
	if (c->qmp.fd >= 0)
		return STATUS_OK;
	return vm_open_qmp(&c->vm, &c->qmp, c->deadline, &c->report);
}

enum status change_greet(struct change *c)
{
	return module_open(&c->vm, &c->upcall, c->feature, c->base, c->verb_phrase,
			   c->deadline, &c->report);
}

int change_send(struct change *c, const struct change_request *request,
		deadline_t deadline, struct error *err)
{
	int ret = upcall_send(&c->upcall, request->type, &request->payload,
			      request->len, 0, deadline, err);

	return ret ? ret : upcall_receive(&c->upcall, &c->result, deadline, err);
}

/* What to do, where the reason does not say it. */
static const char *advice(const struct change *c)
{
	if (c->result.stuck)
		return "; and it could not go back; restart the guest";
	switch (c->result.ret) {
	case -EBUSY:
		return c->adds ? "; try again when the guest has let go of it"
			       : "; it stays as it was: free it in the guest and try "
				 "again";
	case -EOPNOTSUPP:
		return "; vmctl module-status has what the guest's kernel can do";
	case -EADDRINUSE:
		return "; /proc/iomem in the guest has what is where";
	case -ENODEV:
		return c->adds ? "" : "; vmctl devices has what was plugged";
	default:
		return "";
	}
}

enum status change_refused(struct change *c)
{
	const struct upcall_result *result = &c->result;

	return report_fail(
		&c->report, result->stuck ? STATUS_HALF_PLUGGED : STATUS_REFUSED,
		"the guest refused to %s the %s: %s (%s)%s",
		c->adds ? "plug" : "unplug", c->what,
		*result->reason ? result->reason
				: "no reason given; see the guest's kernel log",
		upcall_strerror(result->ret), advice(c));
}

enum status change_ask(struct change *c)
{
	struct error err = {0};
	int ret = change_in_list(c, c->deadline, &err);

	if (ret < 0 && ret != -EOPNOTSUPP)
		return vm_fail_module(ret, &err, &c->report);
	c->listed = ret == 1;
	/* It is not ours to take back if this fails. */
	if (c->listed && c->adds)
		return plugged_already(c);
	c->asked = true;
	c->unsettled = !c->adds;
	ret = change_send(c, c->adds ? &c->add : &c->del, c->deadline, &err);
	if (ret) {
		vm_fail_module(ret, &err, &c->report);
		return report_not_repeated(&c->report);
	}
	c->answered = true;
	c->refused = c->result.ret != 0;
	c->unsettled = !c->adds && !c->refused && c->in_qemu;
	return c->refused ? change_refused(c) : STATUS_OK;
}

int change_reconnect(struct change *c, deadline_t deadline, struct error *err)
{
	int ret;

	if (c->upcall.fd >= 0 && c->upcall.pending) {
		ret = upcall_receive(&c->upcall, &c->result, deadline, err);
		if (!ret)
			c->answered = true;
	}
	if (c->upcall.fd >= 0 && !c->upcall.pending)
		return 0;
	upcall_close(&c->upcall);
	return upcall_open(&c->upcall, &c->vm.endpoint, deadline, err);
}

int change_wait_gone(struct change *c, deadline_t until, deadline_t deadline,
		     struct error *err)
{
	struct error why = {0};
	int seen = 0;

	for (;;) {
		int ret = c->in_qemu(c, deadline, &why);

		/* Cut short by the deadline: what was seen last still holds. */
		if (ret == -ETIMEDOUT && seen)
			return seen;
		if (ret < 0)
			return error_set(err, ret, "%s", why.text);
		if (!ret || !deadline_left_ms(until))
			return ret;
		seen = ret;
		poll(NULL, 0, POLL_MS);
	}
}

/* For what QEMU did not free on the ejection: device_del, and once more. */
static int insist(struct change *c, struct error *err)
{
	struct upcall_result first = c->result;
	int ret = change_device_del(c, c->deadline, err);

	if (ret && ret != QMP_REFUSED)
		return ret;
	/* Refused, since it left the guest: the ejection is what counts. */
	ret = change_send(c, &c->del, c->deadline, err);
	c->result = first;
	if (ret)
		return ret;
	error_set(err, 0, "QEMU still has it");
	return change_wait_gone(c, c->deadline, c->deadline, err);
}

enum status change_release(struct change *c)
{
	deadline_t grace = deadline_after_ms(GRACE_MS);
	struct error err = {0};
	int ret;

	c->unsettled = false; /* from here on it is this step that says what is left */
	if (grace > c->deadline)
		grace = c->deadline;
	ret = change_wait_gone(c, grace, c->deadline, &err);
	if (ret > 0)
		ret = insist(c, &err);
	if (!ret && c->after_qemu)
		ret = c->after_qemu(c, c->deadline, &err);
	c->freed = ret == 0;
	if (c->freed)
		return STATUS_OK;
	return report_fail(&c->report, STATUS_HALF_PLUGGED,
			   "the %s left the guest, and QEMU did not free it: %s; to "
			   "run %s again is safe, or restart the VM",
			   c->what, err.text, c->again ? c->again : "the same command");
}
