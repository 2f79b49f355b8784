/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "inventory.h"
#include "retry.h"
#include "tty.h"
#include "verbs.h"
#include "vmctl/agent/v1/memory.pb-c.h"
#include "vmctl/agent/v1/network.pb-c.h"

static const struct options_syntax syntax = {
	.verb = "status",
	.operands = "VM",
	.about = "Shows a VM on one screen: its agent and module and whether they "
		 "answer, CPUs,\n"
		 "memory, addresses, and how many things are plugged. What does not "
		 "answer is\n"
		 "said, and is the command's failure: each of the two has half of "
		 "--timeout.",
	.min_args = 1,
	.max_args = 1,
};

/* What was found out; what did not answer is NULL or false. */
struct view {
	bool agent, module;
	struct guest_info info;
	deadline_t began; /* the question */
	double answer_ms;
	char version[sizeof(((struct upcall *)0)->module)];
	size_t plugged;
	Vmctl__Agent__V1__ListMemoryBlocksResponse *blocks;
	Vmctl__Agent__V1__GetNetworkResponse *network;
};

/* An older agent does not know every call: then its part is left out. */
static void *optional(struct rpc *rpc, const char *method,
		      const ProtobufCMessage *request,
		      const ProtobufCMessageDescriptor *type, deadline_t deadline)
{
	ProtobufCMessage *answer = NULL;
	struct error err = {0};

	if (guest_rpc_call(rpc, method, request, type, deadline, &answer, &err))
		return NULL;
	message_sanitize(answer);
	return answer;
}

static int ask_all(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	Vmctl__Agent__V1__ListMemoryBlocksRequest blocks =
		VMCTL__AGENT__V1__LIST_MEMORY_BLOCKS_REQUEST__INIT;
	Vmctl__Agent__V1__GetNetworkRequest network =
		VMCTL__AGENT__V1__GET_NETWORK_REQUEST__INIT;
	struct view *v = into;
	int ret = guest_info(rpc, &v->info, deadline, err);

	if (ret)
		return ret;
	v->agent = true;
	v->answer_ms = (double)(deadline_after_ms(0) - v->began) / 1e6;
	v->blocks = optional(rpc, "ListMemoryBlocks", &blocks.base,
			     &vmctl__agent__v1__list_memory_blocks_response__descriptor,
			     deadline);
	v->network =
		optional(rpc, "GetNetwork", &network.base,
			 &vmctl__agent__v1__get_network_response__descriptor, deadline);
	return 0;
}

static enum status ask_guest(struct view *v, const struct vm *vm, deadline_t deadline,
			     struct report *r)
{
	v->began = deadline_after_ms(0);
	return ask_now(vm, ask_all, v, deadline, r);
}

static enum status ask_module_once(struct view *v, const struct vm *vm,
				   deadline_t deadline, bool *opened, struct report *r)
{
	struct inventory inventory = {0};
	struct upcall u = {.fd = -1};
	struct error err = {0};
	enum status status = vm_open_module(vm, &u, deadline, r);
	int ret = 0;

	*opened = status == STATUS_OK;
	if (*opened) {
		v->module = true;
		strcpy(v->version, u.module);
		if (u.features & UPCALL_FEATURE_QUERY)
			ret = inventory_read(&inventory, &u, deadline, &err);
		v->plugged = inventory.count;
		if (ret)
			status = vm_fail_module(ret, &err, r);
		inventory_free(&inventory);
	}
	upcall_close(&u);
	return status;
}

/* As ask_now(). */
static enum status ask_module(struct view *v, const struct vm *vm, deadline_t deadline,
			      struct report *r)
{
	struct retry t;
	bool opened;

	retry_begin(&t, deadline, r);
	while (ask_module_once(v, vm, deadline, &opened, r) != STATUS_OK && opened &&
	       retry_again(&t))
		;
	return r->status;
}

/*
 * Asks one of the two, with a report of its own: the other is asked all the same, and
 * has a time of its own, so that the one that hangs does not make it look so.
 */
static void ask(enum status (*one)(struct view *v, const struct vm *vm,
				   deadline_t deadline, struct report *r),
		const char *step, struct view *v, const struct vm *vm, struct report *r)
{
	int64_t each_ms = (r->options->timeout_ms + 1) / 2;
	struct report own;

	report_begin(&own, r->options, syntax.verb, r->vm);
	report_step(r, step);
	one(v, vm, deadline_after_ms(each_ms), &own);
	if (own.status == STATUS_TIMEOUT)
		report_fail(r, own.status,
			    "no answer within %.3g s, half of --timeout; give a longer "
			    "one, or look at the guest's console",
			    (double)each_ms / 1000);
	else if (own.status != STATUS_OK)
		report_fail(r, own.status, "%s", own.text);
	report_step_end(r);
	json_decref(own.body);
}

static void print_blocks(const Vmctl__Agent__V1__ListMemoryBlocksResponse *blocks)
{
	size_t online = 0;

	for (size_t i = 0; i < blocks->n_blocks; i++)
		online += !strcmp(blocks->blocks[i]->state, "online");
	printf("memory blocks   %zu online of %zu, of %llu MiB\n", online,
	       blocks->n_blocks, (unsigned long long)blocks->block_size_bytes >> 20);
}

static void print_network(const Vmctl__Agent__V1__GetNetworkResponse *network)
{
	for (size_t i = 0; i < network->n_interfaces; i++) {
		const Vmctl__Agent__V1__NetworkInterface *one = network->interfaces[i];

		printf("network         %s %s", one->name, one->up ? "up" : "down");
		for (size_t a = 0; a < one->n_addresses; a++)
			printf(" %s", one->addresses[a]);
		putchar('\n');
	}
}

static void print_text(const struct view *v)
{
	char online[128], present[128];

	if (v->agent)
		printf("agent           %s%s%s, answered in %.1f ms\n",
		       tty_green(stdout), v->info.agent_version, tty_end(stdout),
		       v->answer_ms);
	else
		printf("agent           %sdoes not answer%s\n", tty_red(stdout),
		       tty_end(stdout));
	if (v->module)
		printf("module          %s%s%s, %zu plugged\n", tty_green(stdout),
		       *v->version ? v->version : "of another kind", tty_end(stdout),
		       v->plugged);
	else
		printf("module          %sdoes not answer%s\n", tty_red(stdout),
		       tty_end(stdout));
	if (!v->agent)
		return;
	printf("guest           %s, kernel %s, up %.0f s\n", v->info.hostname,
	       v->info.kernel, (double)v->info.uptime_ns / 1e9);
	printf("CPUs            %zu online (%s) of %zu present (%s), %zu possible\n",
	       cpumask_count(&v->info.cpus.online),
	       cpumask_format(&v->info.cpus.online, online, sizeof(online)),
	       cpumask_count(&v->info.cpus.present),
	       cpumask_format(&v->info.cpus.present, present, sizeof(present)),
	       cpumask_count(&v->info.cpus.possible));
	printf("memory          %.0f MiB, %.0f MiB available\n",
	       (double)v->info.memory_total / 1048576,
	       (double)v->info.memory_available / 1048576);
	if (v->blocks)
		print_blocks(v->blocks);
	if (v->network)
		print_network(v->network);
}

static void print_json(const struct view *v, struct report *r)
{
	report_set(r, "agent_version",
		   v->agent ? json_string(v->info.agent_version) : json_null());
	report_set(r, "module_version",
		   v->module ? json_string(v->version) : json_null());
	if (v->module)
		report_set(r, "plugged", json_integer((json_int_t)v->plugged));
	if (!v->agent)
		return;
	report_set(r, "answer_ms", json_real(v->answer_ms));
	report_set(r, "hostname", json_string(v->info.hostname));
	report_set(r, "kernel", json_string(v->info.kernel));
	report_set(r, "uptime_s", json_real((double)v->info.uptime_ns / 1e9));
	report_set(r, "cpus",
		   json_pack("{s:o, s:o, s:o}", "possible",
			     cpumask_json(&v->info.cpus.possible), "present",
			     cpumask_json(&v->info.cpus.present), "online",
			     cpumask_json(&v->info.cpus.online)));
	report_set(r, "memory_total_bytes",
		   json_integer((json_int_t)v->info.memory_total));
	report_set(r, "memory_available_bytes",
		   json_integer((json_int_t)v->info.memory_available));
	if (v->blocks)
		report_set(r, "memory_blocks", message_json(&v->blocks->base));
	if (v->network)
		report_set(r, "network", message_json(&v->network->base));
}

int status_main(int argc, char **argv)
{
	struct view v = {0};
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, NULL);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK) {
		ask(ask_guest, "agent", &v, &vm, &r);
		ask(ask_module, "module", &v, &vm, &r);
		if (options.json)
			print_json(&v, &r);
		else
			print_text(&v);
	}
	message_free(v.blocks);
	message_free(v.network);
	return report_finish(&r);
}
