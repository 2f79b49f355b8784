/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a change failed half-way: the way back, or at least which state it is in.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "change.h"

/* The guest's half: 0 when it has it no more. */
static int leave_guest(struct change *c, deadline_t deadline, struct error *err)
{
	int ret = change_reconnect(c, deadline, err);

	if (!ret && !c->del.len)
		ret = error_set(err, -EINVAL, "where QEMU put it is not known");
	if (!ret)
		ret = change_send(c, &c->del, deadline, err);
	if (ret || !c->result.ret)
		return ret;
	/* It refused: perhaps since it never had it. */
	error_set(err, -EBUSY, "the guest refused: %s",
		  *c->result.reason ? c->result.reason
				    : upcall_strerror(c->result.ret));
	if (c->created)
		return -EBUSY; /* so it was not ejected either */
	return change_in_list(c, deadline, NULL) ? -EBUSY : 0;
}

int change_leave_qemu(struct change *c, deadline_t deadline, struct error *err)
{
	int ret = change_wait_gone(c, deadline, deadline, NULL);

	if (ret > 0 && !*err->text)
		error_set(err, -EBUSY, "QEMU did not free what the guest ejected");
	if (ret)
		return ret > 0 ? -EBUSY : ret;
	return c->after_qemu ? c->after_qemu(c, deadline, err) : 0;
}

int change_reopen_qmp(struct change *c, deadline_t deadline, struct error *err)
{
	if (c->qmp.fd >= 0)
		return 0;
	qmp_close(&c->qmp);
	return qmp_open(&c->qmp, c->vm.qmp, deadline, err);
}

int change_device_del(struct change *c, deadline_t deadline, struct error *err)
{
	struct error own = {0};
	int ret = qmp_execute(&c->qmp, "device_del", json_pack("{s:s}", "id", c->id),
			      deadline, NULL, &own);

	if (ret == QMP_REFUSED && strstr(own.text, "in the process of unplug"))
		return 0;
	return ret ? error_set(err, ret, "%s", own.text) : 0;
}

/* Everything that can be tried; 0 when nothing is left. */
static int take_back(struct change *c, struct error *err)
{
	deadline_t deadline = deadline_after_ms(c->cleanup_ms);
	int ret;

	if (!c->created)
		return leave_guest(c, deadline, err);
	ret = change_reopen_qmp(c, deadline, err);
	if (!ret)
		ret = c->in_qemu(c, deadline, err);
	if (ret < 0)
		return ret;
	if (!ret)
		return c->after_qemu ? c->after_qemu(c, deadline, err) : 0;
	if (c->take_back)
		return c->take_back(c, deadline, err);
	/* Here a request that stays pending is right: the device has to go. If it is
	 * refused, the ejection is what counts. */
	change_device_del(c, deadline, err);
	ret = leave_guest(c, deadline, err);
	return ret ? ret : change_leave_qemu(c, deadline, err);
}

void change_undo(struct change *c)
{
	struct error err = {0};
	char mend[64] = "";

	report_step(&c->report, "cleanup");
	/* "hotplug-pci": unplug-pci goes on from wherever this ends. */
	if (c->del.len)
		snprintf(mend, sizeof(mend), " try vmctl un%s,",
			 c->report.verb + strlen("hot"));
	if (!take_back(c, &err))
		report_fail_more(&c->report, STATUS_OK,
				 "; it was taken back, nothing is left of it");
	else
		report_fail_more(&c->report, STATUS_HALF_PLUGGED,
				 "; CLEANUP FAILED, the %s may be left half plugged: "
				 "%s; see vmctl devices %s,%s or restart the VM",
				 c->what, err.text, c->vm.name, mend);
}

void change_settle(struct change *c)
{
	deadline_t deadline = deadline_after_ms(c->cleanup_ms);
	int ret;

	report_step(&c->report, "cleanup");
	ret = change_reconnect(c, deadline, NULL);
	if (!ret && c->answered && c->result.ret) {
		report_fail_more(
			&c->report, c->result.stuck ? STATUS_HALF_PLUGGED : STATUS_OK,
			"; it refused later, and %s",
			c->result.stuck ? "could not go back" : "nothing was changed");
		return;
	}
	if (!ret && !c->answered)
		ret = c->listed ? change_in_list(c, deadline, NULL) : -EOPNOTSUPP;
	if (!ret && c->in_qemu) {
		ret = change_reopen_qmp(c, deadline, NULL);
		if (!ret)
			ret = change_wait_gone(c, deadline, deadline, NULL);
		if (!ret && c->after_qemu)
			ret = c->after_qemu(c, deadline, NULL);
	}
	if (!ret)
		report_fail_more(&c->report, STATUS_OK, "; the %s is out all the same",
				 c->what);
	else
		report_fail_more(&c->report, STATUS_HALF_PLUGGED,
				 "; whether the %s is out is not known: see vmctl "
				 "devices %s; to run %s again is safe",
				 c->what, c->vm.name,
				 c->again ? c->again : "the same command");
}
