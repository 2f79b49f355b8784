/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unplugging. See plug.h for why the guest is asked before QEMU.
 */
#include <errno.h>
#include <stdlib.h>

#include "plug.h"

#define EJECT_GRACE_MS 1000 /* for QEMU to free what was ejected */

enum status plug_pick_out(struct plug *p)
{
	struct error err = {0};
	int ret = slots_pick_plugged(&p->slots, p->wish, p->picked, &p->count, &err);

	p->out = true;
	/* One request, so that it is all of them or none. */
	if (!ret && p->count > UPCALL_CPU2_MAX)
		ret = error_set(&err, -ENOSPC,
				"%zu CPUs cannot go at once; ask for %d at most",
				p->count, UPCALL_CPU2_MAX);
	if (ret)
		return report_fail(p->report,
				   ret == -EINVAL ? STATUS_USAGE : STATUS_NO_SLOT, "%s",
				   err.text);
	return STATUS_OK;
}

static enum status choose(struct plug *p)
{
	enum status status = plug_read_slots(p);

	return status == STATUS_OK ? plug_pick_out(p) : status;
}

static bool can_eject(const struct plug *p)
{
	return p->upcall.features & UPCALL_FEATURE_DEL_CPU2;
}

static int send_removal(struct plug *p, struct upcall_result *result, struct error *err)
{
	uint8_t ids[UPCALL_CPU2_MAX];
	size_t i;
	int ret;

	if (can_eject(p))
		return plug_eject(p, p->picked, p->count, result, p->deadline, err);
	for (i = 0; i < p->count; i++) {
		if (p->picked[i]->apic_id > UINT8_MAX)
			return error_set(err, -E2BIG,
					 "APIC id %u is beyond what DEL_CPU can name",
					 p->picked[i]->apic_id);
		ids[i] = (uint8_t)p->picked[i]->apic_id;
	}
	ret = upcall_send_cpu(&p->upcall, UPCALL_DEL_CPU, ids, p->count, p->deadline,
			      err);
	return ret ? ret : upcall_receive(&p->upcall, result, p->deadline, err);
}

/*
 * When --timeout passes while the guest is at it, only its reply tells which of
 * the two states it ended in; the cleanup's time goes into waiting for that.
 */
static int await_late(struct plug *p, struct upcall_result *result, struct error *err)
{
	struct error first = *err;
	int ret;

	report_fail(p->report, STATUS_TIMEOUT, "--timeout of %.3g s passed: %s",
		    (double)p->report->options->timeout_ms / 1000, first.text);
	p->deadline = deadline_after_ms(p->cleanup_ms);
	ret = upcall_receive(&p->upcall, result, p->deadline, err);
	if (ret)
		report_fail_more(p->report, STATUS_HALF_PLUGGED,
				 ", nor in the %d s after it; whether the CPUs are "
				 "gone is not known: see vmctl info %s",
				 (int)(p->cleanup_ms / 1000), p->vm->name);
	else if (result->ret)
		report_fail_more(p->report,
				 result->stuck ? STATUS_HALF_PLUGGED : STATUS_OK,
				 "; it refused later, and %s",
				 result->stuck ? "could not take all of them back"
					       : "nothing was changed");
	else
		report_fail_more(p->report, STATUS_OK,
				 "; it did a little later, and the CPUs are out");
	return ret;
}

/* After a connection that broke: the guest may have read the request or not. */
static void say_what_is_left(struct plug *p)
{
	deadline_t deadline = deadline_after_ms(EJECT_GRACE_MS);
	char ids[128];
	int left = can_eject(p) ? plug_wait_gone(p, p->count, deadline, deadline, NULL)
				: -EIO;

	if (!left)
		report_fail_more(p->report, STATUS_OK,
				 "; the CPUs are out all the same");
	else
		report_fail_more(p->report, STATUS_HALF_PLUGGED,
				 "; whether the guest still has the CPUs is not known; "
				 "to run vmctl unplug-cpu %s --apic-id %s is safe",
				 p->vm->name,
				 plug_name_ids(p, p->count, ids, sizeof(ids)));
}

static enum status take_out(struct plug *p)
{
	struct upcall_result result = {0};
	struct error err = {0};
	int ret;

	if (!can_eject(p))
		report_warn(p->report,
			    "the guest's module cannot eject: the CPUs leave the "
			    "guest, and QEMU keeps the vCPUs until it is restarted");
	p->asked = true;
	ret = send_removal(p, &result, &err);
	if (ret == -ETIMEDOUT && p->upcall.pending)
		ret = await_late(p, &result, &err);
	if (ret) {
		vm_fail_module(ret, &err, p->report);
		report_not_repeated(p->report);
		say_what_is_left(p);
		return p->report->status;
	}
	p->kernel_ns = result.kernel_ns;
	if (result.ret)
		return plug_refused(p, &result);
	return STATUS_OK;
}

/* For a vCPU that QEMU did not free on the guest's ejection: asked for by
 * device_del, and ejected once more. */
static int insist(struct plug *p, struct error *err)
{
	struct upcall_result result;
	int ret = plug_device_del(p, p->count, p->deadline, err);

	if (!ret)
		ret = plug_eject(p, p->picked, p->count, &result, p->deadline, err);
	if (ret)
		return ret;
	return plug_wait_gone(p, p->count, p->deadline, p->deadline, err);
}

static enum status release(struct plug *p)
{
	deadline_t grace = deadline_after_ms(EJECT_GRACE_MS);
	struct error err = {0};
	char ids[128];
	int left;

	if (!can_eject(p))
		return STATUS_OK;
	if (grace > p->deadline)
		grace = p->deadline;
	left = plug_wait_gone(p, p->count, grace, p->deadline, &err);
	if (left > 0) {
		error_set(&err, 0, "it still has them");
		left = insist(p, &err);
	}
	p->freed = left == 0;
	if (p->freed)
		return p->report->status;
	return report_fail(p->report, STATUS_HALF_PLUGGED,
			   "the CPUs (APIC ids %s) left the guest, and QEMU did not "
			   "free them: %s; try again, or restart the VM",
			   plug_name_ids(p, p->count, ids, sizeof(ids)), err.text);
}

static enum status look_after(struct plug *p)
{
	struct error err = {0};
	struct guest_info info;
	size_t gone;
	int ret = guest_info(&p->agent, &info, p->deadline, &err);

	if (ret) {
		vm_fail_agent(ret, &err, p->report);
		report_fail_more(p->report, STATUS_OK, "; the CPUs are out");
		return p->report->status;
	}
	p->after = info.cpus;
	gone = cpumask_count(&p->before.present) - cpumask_count(&p->after.present);
	if (gone != p->count)
		report_warn(p->report, "%zu CPUs were taken out, the agent misses %zu",
			    p->count, gone);
	return STATUS_OK;
}

static const struct plug_step steps[] = {
	{"qmp", choose, false},
	{"before", plug_read_before, false},
	{"module", plug_greet_module, false},
	{"upcall", take_out, true},
	{"release", release, false},
	{"after", look_after, false},
};

enum status plug_go_out(struct plug *p)
{
	enum status status =
		plug_run_steps(p, steps + 1, sizeof(steps) / sizeof(steps[0]) - 1);

	/* The guest had let go of them by then. */
	if (status == STATUS_INTERRUPTED && p->asked) {
		if (p->freed || !can_eject(p))
			report_fail_more(p->report, STATUS_OK, "; the CPUs are out");
		else
			say_what_is_left(p);
	}
	report_step_end(p->report);
	return p->report->status;
}

enum status plug_run_out(struct plug *p)
{
	enum status status = plug_run_steps(p, steps, 1);

	return status == STATUS_OK ? plug_go_out(p) : status;
}
