/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ask.h"
#include "cleanup.h"
#include "names.h"
#include "registry.h"
#include "slots.h"
#include "tty.h"
#include "verbs.h"

/* Dead VMs must not eat the time of those that live: each door has so long, and so many
 * VMs are asked at the same time, in a process each. */
#define EACH_MS 2000
#define AT_ONCE 16

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
	pid_t pid;		/* of the process that asks it */
	int answer;		/* a pipe of its; -1: there is none */
};

static const struct options_syntax syntax = {
	.verb = "list",
	.operands = "",
	.about = "Lists the VMs of the registry: whether the agent and QEMU answer, "
		 "and\n"
		 "the CPUs (online in the guest, made by QEMU, slots).",
};

static const char *state_of(enum status status, deadline_t deadline)
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
		/* It has not had what it may take. */
		return deadline_left_ms(deadline) ? "hangs" : "late";
	default:
		return "error";
	}
}

/* The deadline is that of the whole list. */
static void set_door(struct door *d, enum status status, deadline_t deadline,
		     const struct report *r)
{
	d->state = state_of(status, deadline);
	snprintf(d->reason, sizeof(d->reason), "%.*s", (int)sizeof(d->reason) - 1,
		 r->text);
}

/* A guest that hangs must not make its QEMU look so: each door has its own. */
static deadline_t one_door(deadline_t deadline)
{
	deadline_t each = deadline_after_ms(EACH_MS);

	return each > deadline ? deadline : each;
}

static int ask_info(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	return guest_info(rpc, into, deadline, err);
}

/* A report of its own for each door: what fails here is no failure of the list. */
static void ask_agent_door(struct entry *e, const struct vm *vm, deadline_t deadline,
			   const struct options *options)
{
	struct report r;

	report_begin(&r, options, syntax.verb, e->name);
	ask_now(vm, ask_info, &e->info, one_door(deadline), &r);
	set_door(&e->agent, r.status, deadline, &r);
	json_decref(r.body);
}

static void ask_qmp_door(struct entry *e, const struct vm *vm, deadline_t deadline,
			 const struct options *options)
{
	deadline_t door = one_door(deadline);
	struct error err = {0};
	struct slots slots = {0};
	enum status status;
	struct report r;
	struct qmp q;
	int ret;

	report_begin(&r, options, syntax.verb, e->name);
	q.buf = NULL;
	q.fd = -1;
	status = vm_open_qmp(vm, &q, door, &r);
	if (status == STATUS_OK) {
		ret = slots_read(&slots, &q, door, &err);
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
	set_door(&e->qmp, status, deadline, &r);
	json_decref(r.body);
}

static void ask(struct entry *e, deadline_t deadline, const struct options *options)
{
	struct report r;
	struct vm vm;

	report_begin(&r, options, syntax.verb, e->name);
	if (vm_resolve(&vm, e->name, NULL, &r) == STATUS_OK) {
		ask_agent_door(e, &vm, deadline, options);
		ask_qmp_door(e, &vm, deadline, options);
	} else {
		set_door(&e->agent, r.status, deadline, &r);
		set_door(&e->qmp, r.status, deadline, &r);
	}
	json_decref(r.body);
}

/* The entry comes back as it is in the child: its words are this program's. */
static void start(struct entry *e, deadline_t deadline, const struct options *options)
{
	int ends[2];

	e->agent.state = e->qmp.state = "error";
	snprintf(e->agent.reason, sizeof(e->agent.reason),
		 "the process that asked it has died");
	strcpy(e->qmp.reason, e->agent.reason);
	e->answer = -1;
	if (pipe2(ends, O_CLOEXEC)) {
		ask(e, deadline, options);
		return;
	}
	fflush(stdout);
	fflush(stderr);
	e->pid = fork();
	if (e->pid <= 0)
		ask(e, deadline, options);
	if (!e->pid)
		_exit(write(ends[1], e, sizeof(*e)) != sizeof(*e));
	close(ends[1]);
	if (e->pid > 0)
		e->answer = ends[0];
	else
		close(ends[0]);
}

static bool read_answer(int fd, struct entry *answer)
{
	size_t done = 0;
	ssize_t n;

	/* A pipe may hold less of it than all. */
	while (done < sizeof(*answer) &&
	       (n = read(fd, (char *)answer + done, sizeof(*answer) - done)) > 0)
		done += n;
	return done == sizeof(*answer);
}

static void finish(struct entry *e)
{
	struct entry answer;

	if (e->answer < 0)
		return;
	if (read_answer(e->answer, &answer)) {
		answer.pid = e->pid;
		answer.answer = e->answer;
		*e = answer;
	}
	close(e->answer);
	waitpid(e->pid, NULL, 0);
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

static void ask_all(const struct names *names, struct entry *entries, json_t *vms,
		    deadline_t deadline, const struct options *options)
{
	size_t started = 0;

	for (size_t i = 0; i < names->count; i++) {
		for (; started < names->count && started < i + AT_ONCE; started++) {
			snprintf(entries[started].name, sizeof(entries[started].name),
				 "%.64s", names->name[started]);
			start(&entries[started], deadline, options);
		}
		finish(&entries[i]);
		if (options->json)
			json_array_append_new(vms, entry_json(&entries[i]));
		else
			print_row(&entries[i]);
	}
}

static enum status list(struct report *r, deadline_t deadline)
{
	cleanup_free struct entry *entries = NULL;
	json_t *vms = json_array();
	struct error err = {0};
	struct names names;
	char dir[PATH_MAX];
	int ret;

	report_set(r, "vms", vms);
	ret = names_read(&names, &err);
	if (!ret)
		entries = calloc(names.count + 1, sizeof(*entries));
	if (!ret && !entries)
		ret = error_set(&err, -ENOMEM, "no memory for %zu VMs", names.count);
	if (ret) {
		names_free(&names);
		return report_fail(r, STATUS_FAILURE, "%s", err.text);
	}
	if (names.count && !r->options->json)
		printf("%-20s %-6s %-6s %6s %7s %6s  %s\n", "NAME", "AGENT", "QMP",
		       "ONLINE", "PLUGGED", "SLOTS", "KERNEL");
	ask_all(&names, entries, vms, deadline, r->options);
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
