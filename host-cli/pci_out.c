/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI device out of a running VM:
 *
 *   upcall      DEL_PCI2: the guest lets go of it, or refuses
 *   device_del  QEMU wants it back
 *   eject       DEL_PCI2 with the flag: the guest, which has it no more, frees the slot
 *   release     until QEMU has it no more
 *
 * A device_del sets a request that only an eject of the slot clears. Behind root ports
 * everything is in slot 0, and no guest is told which of QEMU's hotplug buses a port
 * is, so a request that stays pending is in the way of all others: it is made when
 * nothing but the eject is left to do.
 *
 * From any of these states the same steps from the first one on finish the job: what
 * the guest has not got it need not let go of, and a request that is pending will do.
 */
#include <errno.h>
#include <stdio.h>

#include "pci_verb.h"
#include "qom.h"

#define GRACE_MS 1000 /* for QEMU to free what was ejected */

static enum status find(struct change *c)
{
	enum status status = change_open_qmp(c);
	struct error err = {0};
	int ret;

	if (status != STATUS_OK)
		return status;
	ret = c->in_qemu(c, c->deadline, &err);
	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (!ret || !c->del.len)
		return report_fail(&c->report, STATUS_NO_SLOT,
				   "QEMU has no PCI device with the id %s", c->id);
	ret = qom_hotpluggable(&c->qmp, c->id, c->deadline, &err);
	if (ret < 0 && ret != QMP_REFUSED)
		return vm_fail_qmp(ret, &err, &c->report);
	if (!ret)
		return report_fail(&c->report, STATUS_QEMU_REFUSED,
				   "QEMU cannot take the %s out of a running VM, or "
				   "not from that bus",
				   c->what);
	return STATUS_OK;
}

/* What would be found out when the guest has let go is better known before. */
static enum status greet(struct change *c)
{
	struct pci_verb *v = (struct pci_verb *)c;
	enum status status = change_greet(c);

	if (status != STATUS_OK)
		return status;
	if (!(c->upcall.features & UPCALL_FEATURE_EJECT_PCI))
		return report_fail(&c->report, STATUS_REFUSED,
				   "the guest's module cannot eject PCI devices: this "
				   "machine has not the registers of QEMU's for it");
	if (v->bdf & 7)
		return report_fail(&c->report, STATUS_REFUSED,
				   "the %s is one function of a slot, and QEMU takes "
				   "out whole slots: name what is function 0",
				   c->what);
	return STATUS_OK;
}

static enum status let_go(struct change *c)
{
	struct pci_verb *v = (struct pci_verb *)c;
	struct error err = {0};
	int ret = change_in_list(c, c->deadline, &err);

	if (ret < 0 && ret != -EOPNOTSUPP)
		return vm_fail_module(ret, &err, &c->report);
	c->listed = ret == 1;
	c->asked = c->unsettled = true;
	ret = change_send(c, &c->del, c->deadline, &err);
	if (ret)
		return vm_fail_module(ret, &err, &c->report);
	c->answered = true;
	v->absent = c->result.ret == -ENODEV;
	v->let_go = !c->result.ret || v->absent;
	c->unsettled = v->let_go;
	return v->let_go ? STATUS_OK : change_refused(c);
}

/* QEMU does not want it back: then the guest may as well have it. */
static enum status give_back(struct pci_verb *v, const struct error *why)
{
	struct change *c = &v->c;
	enum status status = vm_fail_qmp(QMP_REFUSED, why, &c->report);
	deadline_t deadline = deadline_after_ms(c->cleanup_ms);
	struct error err = {0};
	int ret;

	report_step(&c->report, "cleanup");
	c->unsettled = false;
	if (v->absent) {
		report_fail_more(&c->report, STATUS_OK,
				 "; the guest had not got it, and nothing was changed");
		return status;
	}
	ret = change_reconnect(c, deadline, &err);
	if (!ret)
		ret = change_send(c, &c->add, deadline, &err);
	if (!ret && !c->result.ret)
		report_fail_more(&c->report, STATUS_OK,
				 "; the guest has taken it back");
	else
		report_fail_more(&c->report, STATUS_HALF_PLUGGED,
				 "; CLEANUP FAILED, QEMU has the %s and the guest "
				 "did not take it back: %s; to run the same command "
				 "again is safe",
				 c->what,
				 ret		     ? err.text
				 : *c->result.reason ? c->result.reason
						     : upcall_strerror(c->result.ret));
	return status;
}

static enum status ask_back(struct change *c)
{
	struct pci_verb *v = (struct pci_verb *)c;
	struct error err = {0};
	int ret;

	v->wanted = true;
	ret = change_device_del(c, c->deadline, &err);
	v->agreed = !ret;
	if (!ret)
		return STATUS_OK;
	if (ret != QMP_REFUSED)
		return vm_fail_qmp(ret, &err, &c->report);
	/* Somebody else was faster? */
	return c->in_qemu(c, c->deadline, NULL) ? give_back(v, &err) : STATUS_OK;
}

/* 0 when the guest has ejected it, or QEMU had freed it before that was needed. */
static int eject(struct pci_verb *v, deadline_t deadline, struct error *err)
{
	struct change *c = &v->c;
	struct upcall_result first = c->result, result;
	int ret = c->in_qemu(c, deadline, err);

	if (ret <= 0)
		return ret;
	v->ejecting = true;
	ret = change_send(c, &v->eject, deadline, err);
	result = c->result;
	c->result = first; /* the request that counts is the one before */
	if (ret || !result.ret || !c->in_qemu(c, deadline, NULL))
		return ret;
	return error_set(err, -EREMOTEIO, "the guest did not eject it: %s (%s)",
			 *result.reason ? result.reason : "no reason given",
			 upcall_strerror(result.ret));
}

static enum status free_slot(struct change *c)
{
	struct error err = {0};
	int ret = eject((struct pci_verb *)c, c->deadline, &err);

	if (!ret)
		return STATUS_OK;
	if (c->qmp.fd < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (ret == -EREMOTEIO)
		return report_fail(&c->report, STATUS_REFUSED, "%s", err.text);
	return vm_fail_module(ret, &err, &c->report);
}

static enum status release(struct change *c)
{
	struct error err = {0};
	int ret = change_wait_gone(c, c->deadline, c->deadline, &err);

	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (ret)
		return report_fail(&c->report, STATUS_TIMEOUT,
				   "QEMU did not free what the guest ejected within "
				   "the --timeout");
	c->freed = true;
	c->unsettled = false;
	return STATUS_OK;
}

/* Whether the guest has let go of it, after the question was left without an answer. */
static int has_let_go(struct pci_verb *v, deadline_t deadline)
{
	struct change *c = &v->c;
	int ret;

	if (v->let_go && !c->upcall.pending)
		return 1;
	/* The answer may be on its way, and that of the eject too. */
	ret = change_reconnect(c, deadline, NULL);
	if (v->let_go)
		return 1;
	if (!ret && c->answered) {
		v->absent = c->result.ret == -ENODEV;
		return !c->result.ret || v->absent;
	}
	/* A list that has it still proves nothing: the request may be under way. */
	if (!ret && c->listed)
		ret = change_in_list(c, deadline, NULL);
	else
		ret = -EOPNOTSUPP;
	return ret ? -EAGAIN : 1;
}

static const char *guests_half(const struct pci_verb *v, int let_go)
{
	if (let_go < 0)
		return "whether the guest has let go of it is not known";
	return v->absent ? "the guest has not got it" : "the guest has let go of it";
}

static const char *qemus_half(const struct pci_verb *v, int in_qemu)
{
	if (in_qemu < 0)
		return "whether QEMU still has it is not known";
	if (v->agreed)
		return "QEMU still has it and wants it back";
	return v->wanted ? "QEMU still has it and may have been asked for it back"
			 : "QEMU still has it and was not asked for it back";
}

/* It failed on the way: which state is it in? */
static void settle(struct change *c)
{
	struct pci_verb *v = (struct pci_verb *)c;
	deadline_t deadline = deadline_after_ms(c->cleanup_ms);
	int let_go, in_qemu;

	report_step(&c->report, "cleanup");
	/* A guest that hangs leaves time to ask QEMU. */
	let_go = has_let_go(v, deadline_after_ms(c->cleanup_ms - 2 * GRACE_MS));
	if (!let_go) {
		report_fail_more(&c->report, STATUS_OK,
				 "; it refused later, and nothing was changed");
		return;
	}
	in_qemu = change_reopen_qmp(c, deadline, NULL);
	if (!in_qemu)
		in_qemu = change_wait_gone(
			c, deadline_after_ms(v->ejecting ? GRACE_MS : 0), deadline,
			NULL);
	if (!in_qemu)
		report_fail_more(&c->report, STATUS_OK, "; the %s is out all the same",
				 c->what);
	else
		report_fail_more(&c->report, STATUS_HALF_PLUGGED,
				 "; %s, and %s; to run the same command again is safe: "
				 "it goes on from there",
				 guests_half(v, let_go), qemus_half(v, in_qemu));
}

static const struct change_step steps[] = {
	{"qmp", find, false},	     {"module", greet, false},
	{"upcall", let_go, true},    {"device_del", ask_back, false},
	{"eject", free_slot, false}, {"release", release, false},
};

enum status pci_out_run(struct pci_verb *v)
{
	v->c.settle = settle;
	return change_run(&v->c, steps, sizeof(steps) / sizeof(steps[0]));
}

/* The guest may have taken it: 0 when it has it no more. */
static int leave_guest(struct change *c, deadline_t deadline, struct error *err)
{
	int ret = change_reconnect(c, deadline, err);

	if (!ret)
		ret = change_send(c, &c->del, deadline, err);
	if (ret || !c->result.ret || c->result.ret == -ENODEV)
		return ret;
	return error_set(err, -EBUSY, "the guest refused: %s",
			 *c->result.reason ? c->result.reason
					   : upcall_strerror(c->result.ret));
}

int pci_out_take_back(struct change *c, deadline_t deadline, struct error *err)
{
	int ret = c->asked ? leave_guest(c, deadline, err) : 0;

	/* Where it is refused, an eject could only free what another asked for. */
	if (!ret)
		ret = change_device_del(c, deadline, err);
	/* What is no PCI device has no slot: QEMU frees it at once. */
	if (!ret && c->del.len)
		ret = change_reconnect(c, deadline, err);
	if (!ret && c->del.len)
		ret = eject((struct pci_verb *)c, deadline, err);
	return ret ? ret : change_leave_qemu(c, deadline, err);
}
