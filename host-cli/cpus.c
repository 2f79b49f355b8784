/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"
#include "text.h"
#include "verbs.h"
#include "vmctl/agent/v1/agent.pb-c.h"

struct cpus {
	const char *online, *offline; /* lists, as they were given */
};

static int set_online(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct cpus *)into)->online = value;
	return 0;
}

static int set_offline(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct cpus *)into)->offline = value;
	return 0;
}

static const struct option_spec specs[] = {
	{"online", "LIST", "bring these online, such as 1,3-5, or all", 0, set_online},
	{"offline", "LIST", "take these offline", 0, set_offline},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "cpus",
	.operands = "VM",
	.about =
		"Lists the guest's CPUs with their state and place, or brings some of\n"
		"them online or offline in the guest. QEMU's vCPUs stay.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.changes = true,
};

static enum status take_list(const char *text, uint32_t **list, size_t *n,
			     struct report *r)
{
	*n = 0;
	*list = calloc(CPUMASK_MAX, sizeof(**list));
	if (!*list)
		return report_fail(r, STATUS_FAILURE, "no memory for a list of CPUs");
	if (text_list(text, CPUMASK_MAX - 1, *list, CPUMASK_MAX, n) || !*n)
		return report_fail(r, STATUS_USAGE,
				   "'%s' is no list of CPUs, such as 1,3-5", text);
	return STATUS_OK;
}

/* Results of either kind: those that failed are the command's failure. */
static void check(uint32_t cpu, int error, const char *message, struct report *r)
{
	if (error)
		report_fail(r, STATUS_REFUSED, "CPU %u: %s", cpu, message);
	else if (!r->options->json && !r->options->quiet)
		printf("CPU %u: done\n", cpu);
}

static const Vmctl__Agent__V1__CpuState *find(
	const Vmctl__Agent__V1__ListCpusResponse *answer, uint32_t cpu)
{
	for (size_t i = 0; i < answer->n_cpus; i++)
		if (answer->cpus[i]->cpu == cpu)
			return answer->cpus[i];
	return NULL;
}

static enum status ask_cpus(const struct vm *vm, deadline_t deadline,
			    ProtobufCMessage **m, struct report *r)
{
	Vmctl__Agent__V1__ListCpusRequest request =
		VMCTL__AGENT__V1__LIST_CPUS_REQUEST__INIT;
	struct ask ask = {
		.method = "ListCpus",
		.request = &request.base,
		.type = &vmctl__agent__v1__list_cpus_response__descriptor,
	};

	return ask_agent(&ask, vm, deadline, m, r);
}

/* With --dry-run: fails as the change would, as far as that is known before. */
static enum status look(const uint32_t *list, size_t n, bool online,
			const struct vm *vm, deadline_t deadline, struct report *r)
{
	ProtobufCMessage *m;

	if (!r->options->dry_run || ask_cpus(vm, deadline, &m, r) != STATUS_OK)
		return r->status;
	for (size_t i = 0; i < n; i++) {
		const Vmctl__Agent__V1__CpuState *c =
			find((Vmctl__Agent__V1__ListCpusResponse *)m, list[i]);

		if (!c)
			report_fail(r, STATUS_REFUSED, "CPU %u is not present",
				    list[i]);
		else if (!online && c->online && !c->hotpluggable)
			report_fail(r, STATUS_REFUSED, "CPU %u cannot be taken offline",
				    list[i]);
	}
	message_free(m);
	return r->status;
}

static void bring_online(const struct cpus *c, const struct vm *vm, deadline_t deadline,
			 struct report *r)
{
	Vmctl__Agent__V1__OnlineCpusRequest request =
		VMCTL__AGENT__V1__ONLINE_CPUS_REQUEST__INIT;
	struct ask ask = {
		.method = "OnlineCpus",
		.request = &request.base,
		.type = &vmctl__agent__v1__online_cpus_response__descriptor,
		.changes = true,
	};
	const Vmctl__Agent__V1__OnlineCpusResponse *answer;
	cleanup_free uint32_t *list = NULL;
	ProtobufCMessage *m;

	if (strcmp(c->online, "all") &&
	    take_list(c->online, &list, &request.n_cpus, r) != STATUS_OK)
		return;
	request.cpus = list;
	if (look(list, request.n_cpus, true, vm, deadline, r) != STATUS_OK ||
	    ask_agent(&ask, vm, deadline, &m, r) != STATUS_OK || !m)
		return;
	answer = (const Vmctl__Agent__V1__OnlineCpusResponse *)m;
	ask_report(r, m);
	for (size_t i = 0; i < answer->n_results; i++)
		check(answer->results[i]->cpu, answer->results[i]->error,
		      answer->results[i]->message, r);
	message_free(m);
}

static void take_offline(const struct cpus *c, const struct vm *vm, deadline_t deadline,
			 struct report *r)
{
	Vmctl__Agent__V1__OfflineCpusRequest request =
		VMCTL__AGENT__V1__OFFLINE_CPUS_REQUEST__INIT;
	struct ask ask = {
		.method = "OfflineCpus",
		.request = &request.base,
		.type = &vmctl__agent__v1__offline_cpus_response__descriptor,
		.changes = true,
	};
	const Vmctl__Agent__V1__OfflineCpusResponse *answer;
	cleanup_free uint32_t *list = NULL;
	ProtobufCMessage *m;

	if (take_list(c->offline, &list, &request.n_cpus, r) != STATUS_OK)
		return;
	request.cpus = list;
	if (look(list, request.n_cpus, false, vm, deadline, r) != STATUS_OK ||
	    ask_agent(&ask, vm, deadline, &m, r) != STATUS_OK || !m)
		return;
	answer = (const Vmctl__Agent__V1__OfflineCpusResponse *)m;
	ask_report(r, m);
	for (size_t i = 0; i < answer->n_results; i++)
		check(answer->results[i]->cpu, answer->results[i]->error,
		      answer->results[i]->message, r);
	message_free(m);
}

static const char *number(int32_t value, char text[static 12])
{
	if (value < 0)
		return "-";
	snprintf(text, 12, "%d", value);
	return text;
}

static void list(const struct vm *vm, deadline_t deadline, struct report *r)
{
	const Vmctl__Agent__V1__ListCpusResponse *answer;
	ProtobufCMessage *m;

	if (ask_cpus(vm, deadline, &m, r) != STATUS_OK || !m)
		return;
	answer = (const Vmctl__Agent__V1__ListCpusResponse *)m;
	ask_report(r, m);
	if (!r->options->json)
		printf("%-5s %-8s %-8s %-5s %-5s %s\n", "CPU", "STATE", "PACKAGE",
		       "CORE", "NODE", "HOTPLUG");
	for (size_t i = 0; !r->options->json && i < answer->n_cpus; i++) {
		const Vmctl__Agent__V1__CpuState *c = answer->cpus[i];
		char package[12], core[12], node[12];

		printf("%-5u %-8s %-8s %-5s %-5s %s\n", c->cpu,
		       c->online ? "online" : "offline", number(c->package_id, package),
		       number(c->core_id, core), number(c->node, node),
		       c->hotpluggable ? "yes" : "no");
	}
	message_free(m);
}

int cpus_main(int argc, char **argv)
{
	struct options options;
	struct cpus c = {0};
	deadline_t deadline;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &c);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (c.online && c.offline)
		report_fail(&r, STATUS_USAGE, "either --online or --offline");
	else if (vm_resolve(&vm, options.args[0], NULL, &r) != STATUS_OK)
		;
	else if (c.online)
		bring_online(&c, &vm, deadline, &r);
	else if (c.offline)
		take_offline(&c, &vm, deadline, &r);
	else
		list(&vm, deadline, &r);
	return report_finish(&r);
}
