/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "names.h"
#include "registry.h"
#include "retry.h"
#include "slots.h"
#include "tty.h"
#include "verbs.h"
#include "vm.h"

/* One dead VM must not eat the time of those that live. */
#define EACH_MS 2000

/* How one door of a VM answered. */
struct door {
	const char *state; /* a word of those below */
	char reason[512];  /* "" for "yes" */
};

struct entry {
	char name[REGISTRY_NAME_MAX + 1];
	struct door agent, qmp;
	struct guest_info info; /* with agent "yes" */
	size_t slots, plugged;	/* with qmp "yes"; 0 slots: no CPU hotplug */
};

static const struct options_syntax syntax = {
	.verb = "list",
	.operands = "",
	.about = "Lists the VMs of the registry: whether the agent and QEMU answer, "
		 "and\n"
		 "the CPUs (online in the guest, made by QEMU, slots).",
};

static const char *state_of(enum status status)
{
	switch (status) {
	case STATUS_OK:
		return "yes";
	case STATUS_NO_AGENT:
	case STATUS_NO_QMP:
		return "no";
	case STATUS_NO_TRANSPORT:
		return "down";
	case STATUS_TIMEOUT:
		return "hangs";
	default:
		return "error";
	}
}

static void set_door(struct door *d, enum status status, const struct report *r)
{
	d->state = state_of(status);
	snprintf(d->reason, sizeof(d->reason), "%.*s", (int)sizeof(d->reason) - 1,
		 r->text);
}

/* A report of its own for each door: what fails here is no failure of the list. */
static void ask_agent(struct entry *e, const struct vm *vm, deadline_t deadline,
		      const struct options *options)
{
	struct error err = {0};
	enum status status;
	struct retry t;
	struct report r;
	struct rpc rpc;
	int ret;

	report_begin(&r, options, syntax.verb, e->name);
	rpc_init(&rpc, -1);
	retry_begin(&t, deadline, &r);
	do {
		rpc_close(&rpc);
		status = vm_open_agent(vm, &rpc, deadline, &r);
		/* How it is now, and not in a second: only what breaks is repeated. */
		if (status != STATUS_OK)
			break;
		ret = guest_info(&rpc, &e->info, deadline, &err);
		if (ret)
			status = vm_fail_agent(ret, &err, &r);
	} while (status != STATUS_OK && retry_again(&t));
	rpc_close(&rpc);
	set_door(&e->agent, status, &r);
	json_decref(r.body);
}

static void ask_qmp(struct entry *e, const struct vm *vm, deadline_t deadline,
		    const struct options *options)
{
	struct error err = {0};
	struct slots slots = {0};
	enum status status;
	struct report r;
	struct qmp q;
	int ret;

	report_begin(&r, options, syntax.verb, e->name);
	q.buf = NULL;
	q.fd = -1;
	status = vm_open_qmp(vm, &q, deadline, &r);
	if (status == STATUS_OK) {
		ret = slots_read(&slots, &q, deadline, &err);
		/* A machine without CPU hotplug is no fault: it has no slots. */
		if (ret && ret != QMP_REFUSED && ret != -EOPNOTSUPP)
			status = vm_fail_qmp(ret, &err, &r);
		if (!ret) {
			e->slots = slots.count;
			e->plugged = slots.plugged;
		}
	}
	slots_free(&slots);
	qmp_close(&q);
	set_door(&e->qmp, status, &r);
	json_decref(r.body);
}

/* A guest that hangs must not make its QEMU look so: each door has its own. */
static deadline_t one_door(deadline_t deadline)
{
	deadline_t each = deadline_after_ms(EACH_MS);

	return each > deadline ? deadline : each;
}

static void ask(struct entry *e, deadline_t deadline, const struct options *options)
{
	struct report r;
	struct vm vm;

	report_begin(&r, options, syntax.verb, e->name);
	if (vm_resolve(&vm, e->name, NULL, &r) == STATUS_OK) {
		ask_agent(e, &vm, one_door(deadline), options);
		ask_qmp(e, &vm, one_door(deadline), options);
	} else {
		set_door(&e->agent, r.status, &r);
		set_door(&e->qmp, r.status, &r);
	}
	json_decref(r.body);
}

static json_t *entry_json(const struct entry *e)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "name", e->name, "agent",
			      e->agent.state, "qmp", e->qmp.state);

	if (*e->agent.reason)
		json_object_set_new(o, "agent_error", json_string(e->agent.reason));
	else
		json_object_set_new(o, "online", cpumask_json(&e->info.cpus.online));
	if (*e->qmp.reason)
		json_object_set_new(o, "qmp_error", json_string(e->qmp.reason));
	else
		json_object_update_new(o, json_pack("{s:I, s:I}", "plugged",
						    (json_int_t)e->plugged, "slots",
						    (json_int_t)e->slots));
	return o;
}

static void print_state(const struct door *d)
{
	printf("%s%-6s%s ", *d->reason ? tty_red(stdout) : tty_green(stdout), d->state,
	       tty_end(stdout));
}

static void print_row(const struct entry *e)
{
	char online[24] = "-", plugged[24] = "-", slots[24] = "-";

	if (!*e->agent.reason)
		snprintf(online, sizeof(online), "%zu",
			 cpumask_count(&e->info.cpus.online));
	if (!*e->qmp.reason && e->slots) {
		snprintf(plugged, sizeof(plugged), "%zu", e->plugged);
		snprintf(slots, sizeof(slots), "%zu", e->slots);
	}
	printf("%-20s ", e->name);
	print_state(&e->agent);
	print_state(&e->qmp);
	printf("%6s %7s %6s  %s\n", online, plugged, slots,
	       *e->agent.reason ? "" : e->info.kernel);
}

static enum status list(struct report *r, deadline_t deadline)
{
	json_t *vms = json_array();
	struct error err = {0};
	struct names names;
	char dir[PATH_MAX];
	size_t i;

	report_set(r, "vms", vms);
	if (names_read(&names, &err)) {
		names_free(&names);
		return report_fail(r, STATUS_FAILURE, "%s", err.text);
	}
	if (names.count && !r->options->json)
		printf("%-20s %-6s %-6s %6s %7s %6s  %s\n", "NAME", "AGENT", "QMP",
		       "ONLINE", "PLUGGED", "SLOTS", "KERNEL");
	for (i = 0; i < names.count; i++) {
		struct entry e = {0};

		snprintf(e.name, sizeof(e.name), "%.64s", names.name[i]);
		ask(&e, deadline, r->options);
		if (r->options->json)
			json_array_append_new(vms, entry_json(&e));
		else
			print_row(&e);
	}
	if (!names.count && !r->options->quiet && !registry_dir(dir, sizeof(dir), NULL))
		fprintf(stderr, "no VMs in %s\n", dir);
	names_free(&names);
	return STATUS_OK;
}

int list_main(int argc, char **argv)
{
	struct options options;
	struct report r;
	int ret = options_parse(argc, argv, &syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, "");
	list(&r, deadline_after_ms(options.timeout_ms));
	return report_finish(&r);
}
