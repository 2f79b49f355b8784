/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugging, and the way back from it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plug.h"

/* ADD_CPU has 8 bits for an APIC id. */
#define APIC_ID_MAX 255

static enum status choose(struct plug *p)
{
	enum status status = plug_read_slots(p);
	struct error err = {0};
	size_t i;
	int ret;

	if (status != STATUS_OK)
		return status;
	if (p->wish->kind == SLOTS_TO && p->wish->count < p->slots.plugged)
		return plug_pick_out(p);
	ret = slots_pick_free(&p->slots, p->wish, p->picked, &p->count, &err);
	if (!ret && p->count >= UPCALL_CPU_MAX)
		ret = error_set(&err, -ENOSPC, "%zu CPUs at once; %d can be", p->count,
				UPCALL_CPU_MAX - 1);
	for (i = 0; i < p->count && !ret; i++)
		if (p->picked[i]->apic_id >= APIC_ID_MAX)
			ret = error_set(&err, -ENOSPC,
					"APIC id %u is beyond what ADD_CPU can name "
					"(%d); ask for fewer",
					p->picked[i]->apic_id, APIC_ID_MAX - 1);
	if (ret)
		return report_fail(p->report,
				   ret == -EINVAL ? STATUS_USAGE : STATUS_NO_SLOT, "%s",
				   err.text);
	return STATUS_OK;
}

/* A vCPU that is not there would cost the guest 10 s of waiting for it. */
static enum status check_created(struct plug *p, const struct slot *slot)
{
	json_t *said = NULL;
	struct error err = {0};
	char path[64];
	bool same;
	int ret;

	snprintf(path, sizeof(path), "/machine/peripheral/vmctl-cpu%u", slot->apic_id);
	ret = qmp_execute(&p->qmp, "qom-get",
			  json_pack("{s:s, s:s}", "path", path, "property", "apic-id"),
			  p->deadline, &said, &err);
	if (ret == QMP_REFUSED)
		return report_fail(
			p->report, STATUS_NOT_STARTED,
			"the vCPU can never start: QEMU said that it created "
			"%s, and does not have it (%s); restart the VM",
			path, err.text);
	if (ret)
		return vm_fail_qmp(ret, &err, p->report);
	same = json_is_integer(said) && json_integer_value(said) == slot->apic_id;
	json_decref(said);
	if (!same)
		return report_fail(p->report, STATUS_QEMU_REFUSED,
				   "QEMU gave %s another APIC id than %u; use -smp "
				   "sockets=N,cores=1,threads=1",
				   path, slot->apic_id);
	return STATUS_OK;
}

static enum status create_one(struct plug *p, const struct slot *slot)
{
	json_t *arguments = json_deep_copy(slot->props);
	struct error err = {0};
	char id[32];
	int ret;

	snprintf(id, sizeof(id), "vmctl-cpu%u", slot->apic_id);
	json_object_set_new(arguments, "driver", json_string(slot->type));
	json_object_set_new(arguments, "id", json_string(id));
	ret = qmp_execute(&p->qmp, "device_add", arguments, p->deadline, NULL, &err);
	/* Refused is not created; after anything else nobody knows. */
	p->created += ret != QMP_REFUSED;
	return ret ? vm_fail_qmp(ret, &err, p->report) : check_created(p, slot);
}

static enum status create(struct plug *p)
{
	enum status status = STATUS_OK;
	size_t i;

	for (i = 0; i < p->count && status == STATUS_OK; i++)
		status = create_one(p, p->picked[i]);
	return status;
}

static enum status add(struct plug *p)
{
	struct upcall_result result = {0};
	uint8_t ids[UPCALL_CPU_MAX];
	struct error err = {0};
	size_t i;
	int ret;

	for (i = 0; i < p->count; i++)
		ids[i] = (uint8_t)p->picked[i]->apic_id;
	p->asked = true;
	ret = upcall_send_cpu(&p->upcall, UPCALL_ADD_CPU, ids, p->count, p->deadline,
			      &err);
	if (!ret)
		ret = upcall_receive(&p->upcall, &result, p->deadline, &err);
	if (ret) {
		vm_fail_module(ret, &err, p->report);
		return report_not_repeated(p->report);
	}
	p->kernel_ns = result.kernel_ns;
	return result.ret ? plug_refused(p, &result) : STATUS_OK;
}

/* The CPUs that are new are those this is about: nobody else plugs meanwhile,
 * since QEMU serves one QMP client at a time. */
static enum status bring_online(struct plug *p)
{
	struct error err = {0};
	struct guest_info info;
	struct cpumask new;
	int ret = guest_info(&p->agent, &info, p->deadline, &err);

	if (ret)
		return vm_fail_agent(ret, &err, p->report);
	new = cpumask_minus(&info.cpus.present, &p->before.present);
	if (cpumask_count(&new) != p->count)
		return report_fail(p->report, STATUS_REFUSED,
				   "the guest's kernel took %zu CPUs, and the agent "
				   "sees %zu new ones; see the guest's kernel log",
				   p->count, cpumask_count(&new));
	ret = guest_online(&p->agent, &new, &p->after, p->deadline, &err);
	return ret ? vm_fail_agent(ret, &err, p->report) : STATUS_OK;
}

/* With nothing to plug, the guest must have what QEMU has: a vmctl that was killed
 * half-way leaves vCPUs that the guest was never told of. */
static enum status look_before(struct plug *p)
{
	enum status status = plug_read_before(p);
	size_t present = cpumask_count(&p->before.present);

	if (status != STATUS_OK || p->count || present >= p->slots.plugged)
		return status;
	return report_fail(
		p->report, STATUS_HALF_PLUGGED,
		"QEMU has %zu vCPUs and the guest %zu of them; take those it "
		"lacks out with vmctl unplug-cpu %s, then try again",
		p->slots.plugged, present, p->vm->name);
}

static const struct plug_step steps[] = {
	{"qmp", choose, false},
	{"before", look_before, false},
	{"module", plug_greet_module, false},
	{"device_add", create, true},
	{"upcall", add, false},
	{"agent", bring_online, false},
};

/*
 * Whatever became of ADD_CPU, the module must be free for the next request: its
 * reply is awaited first, and a connection that broke is made anew.
 */
static int reconnect(struct plug *p, deadline_t deadline, struct error *err)
{
	struct upcall_result late;

	if (p->upcall.fd >= 0 && p->upcall.pending)
		upcall_receive(&p->upcall, &late, deadline, err);
	if (p->upcall.fd >= 0 && !p->upcall.pending)
		return 0;
	upcall_close(&p->upcall);
	return upcall_open(&p->upcall, &p->vm->endpoint, deadline, err);
}

/* Has the guest let go of what QEMU may have created, in as many requests as it
 * takes: here it is not all or nothing, but whatever can be had. */
static int eject_created(struct plug *p, deadline_t deadline, struct error *err)
{
	struct upcall_result result;
	size_t i, n;
	int ret = 0, rc;

	rc = reconnect(p, deadline, err);
	if (rc)
		return rc;
	if (!(p->upcall.features & UPCALL_FEATURE_DEL_CPU2))
		return error_set(err, -EOPNOTSUPP,
				 "the guest's module cannot eject vCPUs");
	for (i = 0; i < p->created; i += n) {
		n = p->created - i;
		if (n > UPCALL_CPU2_MAX)
			n = UPCALL_CPU2_MAX;
		rc = plug_eject(p, p->picked + i, n, &result, deadline, err);
		if (rc)
			return rc;
		if (result.ret && !ret)
			ret = error_set(err, result.ret, "the guest refused: %s",
					*result.reason ? result.reason
						       : upcall_strerror(result.ret));
	}
	return ret;
}

/*
 * A guest without the eject extension may still hold CPUs that it took; what it
 * gives back is at least not used by it any more.
 */
static void forget_in_guest(struct plug *p, deadline_t deadline)
{
	struct upcall_result result;
	uint8_t ids[UPCALL_CPU_MAX];
	size_t i;

	if (!p->asked || p->upcall.fd < 0 || p->upcall.pending)
		return;
	for (i = 0; i < p->created; i++)
		ids[i] = (uint8_t)p->picked[i]->apic_id;
	if (!upcall_send_cpu(&p->upcall, UPCALL_DEL_CPU, ids, p->created, deadline,
			     NULL))
		upcall_receive(&p->upcall, &result, deadline, NULL);
}

/* Everything that can be tried; how many vCPUs QEMU then has left, or -errno. */
static int take_back(struct plug *p, struct error *err)
{
	deadline_t deadline = deadline_after_ms(p->cleanup_ms);
	int ret, left;

	if (p->qmp.fd < 0) {
		qmp_close(&p->qmp);
		ret = qmp_open(&p->qmp, p->vm->qmp, deadline, err);
		if (ret)
			return ret;
	}
	left = plug_count_left(p, p->created, deadline, err);
	if (left <= 0)
		return left;
	p->created = left;
	/* Here a request that stays pending is right: the vCPU has to go. */
	plug_device_del(p, p->created, deadline, err);
	ret = eject_created(p, deadline, err);
	if (ret == -EOPNOTSUPP)
		forget_in_guest(p, deadline);
	if (ret)
		return plug_count_left(p, p->created, deadline, NULL);
	error_set(err, -EBUSY, "QEMU did not free what the guest ejected");
	return plug_wait_gone(p, p->created, deadline, deadline, NULL);
}

static void undo(struct plug *p)
{
	struct error err = {0};
	char ids[128];
	int left;

	report_step(p->report, "cleanup");
	left = take_back(p, &err);
	plug_name_ids(p, left > 0 ? (size_t)left : p->created, ids, sizeof(ids));
	if (!left)
		report_fail_more(p->report, STATUS_OK,
				 "; the vCPUs were removed again, nothing is left of "
				 "them");
	else
		report_fail_more(
			p->report, STATUS_HALF_PLUGGED,
			"; CLEANUP FAILED, vCPUs with APIC ids %s %s left half "
			"plugged: %s; try vmctl unplug-cpu %s --apic-id %s, or "
			"restart the VM",
			ids, left > 0 ? "are" : "may be", err.text, p->vm->name, ids);
}

enum status plug_run(struct plug *p)
{
	enum status status = plug_run_steps(p, steps, 1);

	if (status == STATUS_OK && p->out)
		return plug_go_out(p);
	if (status == STATUS_OK)
		status = plug_run_steps(p, steps + 1,
					sizeof(steps) / sizeof(steps[0]) - 1);
	if (status != STATUS_OK && p->created)
		undo(p);
	report_step_end(p->report);
	return p->report->status;
}
