/* SPDX-License-Identifier: Apache-2.0 */
#include "plug.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

#define POLL_MS 10 /* between looks at QEMU: it frees a vCPU within a few ms */

void plug_init(struct plug *p, const struct vm *vm, const struct slots_wish *wish,
	       deadline_t deadline, struct report *report)
{
	memset(p, 0, sizeof(*p));
	p->vm = vm;
	p->wish = wish;
	p->deadline = deadline;
	p->cleanup_ms = PLUG_CLEANUP_MS;
	p->report = report;
	p->qmp.fd = -1;
	p->upcall.fd = -1;
	rpc_init(&p->agent, -1);
}

void plug_free(struct plug *p)
{
	qmp_close(&p->qmp);
	upcall_close(&p->upcall);
	rpc_close(&p->agent);
	slots_free(&p->slots);
	free(p->picked);
}

enum status plug_run_steps(struct plug *p, const struct plug_step *steps, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		enum status status;

		if (steps[i].changes && p->report->options->dry_run)
			break;
		status = step_begin(p->report, steps[i].name, steps[i].changes);
		if (status == STATUS_OK)
			status = steps[i].run(p);
		if (status != STATUS_OK)
			return status;
		if (!p->count && p->looked) {
			i = n; /* nothing to do, and both views are known */
			break;
		}
	}
	for (; i < n; i++)
		step_would(p->report, steps[i].name);
	report_step_end(p->report);
	return STATUS_OK;
}

enum status plug_read_slots(struct plug *p)
{
	struct error err = {0};
	enum status status = vm_open_qmp(p->vm, &p->qmp, p->deadline, p->report);
	int ret;

	if (status != STATUS_OK)
		return status;
	ret = slots_read(&p->slots, &p->qmp, p->deadline, &err);
	if (ret)
		return vm_fail_qmp(ret, &err, p->report);
	p->picked = calloc(SLOTS_MAX, sizeof(*p->picked));
	if (!p->picked)
		return report_fail(p->report, STATUS_FAILURE, "out of memory");
	return STATUS_OK;
}

enum status plug_read_before(struct plug *p)
{
	struct error err = {0};
	struct guest_info info;
	enum status status = vm_open_agent(p->vm, &p->agent, p->deadline, p->report);
	int ret;

	if (status != STATUS_OK)
		return status;
	ret = guest_info(&p->agent, &info, p->deadline, &err);
	if (ret)
		return vm_fail_agent(ret, &err, p->report);
	p->before = p->after = info.cpus;
	p->looked = true;
	return STATUS_OK;
}

enum status plug_greet_module(struct plug *p)
{
	enum status status = vm_open_module(p->vm, &p->upcall, p->deadline, p->report);

	if (status != STATUS_OK)
		return status;
	report_debug(p->report, "module %s, kernel %s, features 0x%x",
		     *p->upcall.module ? p->upcall.module : "(no extensions)",
		     *p->upcall.kernel ? p->upcall.kernel : "(not told)",
		     p->upcall.features);
	if (*p->upcall.module && !(p->upcall.features & UPCALL_FEATURE_CPU))
		return report_fail(
			p->report, STATUS_REFUSED,
			"the guest's module cannot plug CPUs: its kernel has "
			"ACPI on, or hides what the module needs (the guest's "
			"kernel log says which); boot it with acpi=off");
	return STATUS_OK;
}

enum status plug_refused(struct plug *p, const struct upcall_result *result)
{
	char which[48] = "";
	const char *reason = result->reason;

	if (!*reason)
		reason = "no reason given; see the guest's kernel log";
	if (result->failed < p->count)
		snprintf(which, sizeof(which), " (APIC id %u)",
			 p->picked[result->failed]->apic_id);
	/* Plugging goes on to the cleanup, which then says what is left. */
	if (result->stuck && !p->created)
		return report_fail(p->report, STATUS_HALF_PLUGGED,
				   "the guest failed%s and could not take %u CPUs "
				   "back: %s (%s); restart the guest",
				   which, result->stuck, reason,
				   upcall_strerror(result->ret));
	if (result->ret == -EIO && p->created)
		return report_fail(p->report, STATUS_NOT_STARTED,
				   "the vCPU never started%s: %s (%s); see the "
				   "guest's kernel log",
				   which, reason, strerror(EIO));
	if (result->ret == -ENOSPC && p->created)
		return report_fail(p->report, STATUS_REFUSED,
				   "the guest's kernel has no slot left for so many "
				   "CPUs: %s; boot it with a larger possible_cpus= "
				   "(vmctl(1), GUESTS)",
				   reason);
	return report_fail(p->report, STATUS_REFUSED,
			   "the guest refused the request%s: %s (%s)", which, reason,
			   upcall_strerror(result->ret));
}

static void fill_entries(struct upcall_cpu2_entry *entries,
			 const struct slot *const *slots, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		entries[i].apic_id = htole32(slots[i]->apic_id);
		entries[i].acpi_id = htole32(slots[i]->index);
		entries[i].node = htole32((uint32_t)-1);
	}
}

int plug_eject(struct plug *p, const struct slot *const *slots, size_t n,
	       struct upcall_result *result, deadline_t deadline, struct error *err)
{
	struct upcall_cpu2_entry entries[UPCALL_CPU2_MAX];
	int ret;

	if (n > UPCALL_CPU2_MAX)
		return error_set(err, -E2BIG, "more than %d CPUs at once",
				 UPCALL_CPU2_MAX);
	fill_entries(entries, slots, n);
	ret = upcall_send_cpu2(&p->upcall, UPCALL_EJECT, entries, n, deadline, err);
	return ret ? ret : upcall_receive(&p->upcall, result, deadline, err);
}

/* The reply's entry for the slot that has these props. */
static bool still_there(const json_t *reply, const struct slot *slot)
{
	const json_t *o;
	size_t i;

	json_array_foreach (reply, i, o) {
		if (json_equal(json_object_get(o, "props"), slot->props))
			return json_object_get(o, "qom-path") != NULL;
	}
	return false;
}

int plug_count_left(struct plug *p, size_t n, deadline_t deadline, struct error *err)
{
	json_t *reply = NULL;
	int left = 0, ret;
	size_t i;

	ret = qmp_execute(&p->qmp, "query-hotpluggable-cpus", NULL, deadline, &reply,
			  err);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		const struct slot *slot = p->picked[i];

		if (!still_there(reply, slot))
			continue;
		p->picked[i] = p->picked[left];
		p->picked[left++] = slot;
	}
	json_decref(reply);
	return left;
}

int plug_wait_gone(struct plug *p, size_t n, deadline_t until, deadline_t deadline,
		   struct error *err)
{
	int seen = 0;

	for (;;) {
		int left = plug_count_left(p, n, deadline, err);

		if (left == -ETIMEDOUT && seen)
			return seen;
		if (left <= 0 || !deadline_left_ms(until))
			return left;
		seen = left;
		poll(NULL, 0, POLL_MS);
	}
}

int plug_device_del(struct plug *p, size_t n, deadline_t deadline, struct error *err)
{
	struct error one;
	char id[32];
	int ret = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		const char *path = p->picked[i]->qom_path;
		int rc;

		snprintf(id, sizeof(id), "vmctl-cpu%u", p->picked[i]->apic_id);
		rc = qmp_execute(&p->qmp, "device_del",
				 json_pack("{s:s}", "id", path ? path : id), deadline,
				 NULL, &one);
		if (rc && !ret) {
			ret = rc;
			if (err)
				*err = one;
		}
		if (rc && rc != QMP_REFUSED)
			break;
	}
	return ret;
}

const char *plug_name_ids(const struct plug *p, size_t n, char *buf, size_t size)
{
	struct cpumask *m = calloc(1, sizeof(*m));
	size_t i;

	snprintf(buf, size, "?");
	for (i = 0; m && i < n; i++)
		cpumask_add(m, p->picked[i]->apic_id);
	if (m)
		cpumask_format(m, buf, size);
	free(m);
	return buf;
}
