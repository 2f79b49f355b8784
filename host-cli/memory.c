/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "cleanup.h"
#include "text.h"
#include "verbs.h"
#include "vmctl/agent/v1/memory.pb-c.h"

#define BLOCKS_MAX 65536

struct memory {
	const char *online, *offline; /* lists, as they were given */
	Vmctl__Agent__V1__MemoryZone zone;
	bool blocks;
};

static int set_online(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct memory *)into)->online = value;
	return 0;
}

static int set_offline(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct memory *)into)->offline = value;
	return 0;
}

static int set_movable(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct memory *)into)->zone =
		VMCTL__AGENT__V1__MEMORY_ZONE__MEMORY_ZONE_MOVABLE;
	return 0;
}

static int set_blocks(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct memory *)into)->blocks = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"online", "LIST", "bring these blocks online, such as 32-39, or all", 0,
	 set_online},
	{"movable", NULL, "... so that they can be taken offline again", 0,
	 set_movable},
	{"offline", "LIST", "take these blocks offline", 0, set_offline},
	{"blocks", NULL, "a line for each block", 0, set_blocks},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "memory",
	.operands = "VM",
	.about = "Shows the guest's memory blocks, or brings some of them online or "
		 "offline\n"
		 "in the guest. QEMU's memory stays.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.changes = true,
};

static void show_results(const Vmctl__Agent__V1__MemoryBlocksResponse *answer,
			 struct report *r)
{
	size_t done = 0;

	ask_report(r, &answer->base);
	for (size_t i = 0; i < answer->n_results; i++) {
		const Vmctl__Agent__V1__MemoryBlockResult *b = answer->results[i];

		if (b->error)
			report_fail(r, STATUS_REFUSED, "block %u: %s", b->block,
				    b->message);
		else
			done++;
	}
	if (!r->options->json && !r->options->quiet)
		printf("%s: %zu of %zu blocks are so now\n", r->printable, done,
		       answer->n_results);
}

static bool has_block(const Vmctl__Agent__V1__ListMemoryBlocksResponse *answer,
		      uint32_t block)
{
	for (size_t i = 0; i < answer->n_blocks; i++)
		if (answer->blocks[i]->block == block)
			return true;
	return false;
}

static enum status ask_blocks(const struct vm *vm, deadline_t deadline,
			      ProtobufCMessage **m, struct report *r)
{
	Vmctl__Agent__V1__ListMemoryBlocksRequest request =
		VMCTL__AGENT__V1__LIST_MEMORY_BLOCKS_REQUEST__INIT;
	struct ask ask = {
		.method = "ListMemoryBlocks",
		.request = &request.base,
		.type = &vmctl__agent__v1__list_memory_blocks_response__descriptor,
	};

	return ask_agent(&ask, vm, deadline, m, r);
}

/* With --dry-run: fails as the change would, as far as that is known before. */
static enum status look(const uint32_t *list, size_t n, const struct vm *vm,
			deadline_t deadline, struct report *r)
{
	ProtobufCMessage *m;

	if (!r->options->dry_run || ask_blocks(vm, deadline, &m, r) != STATUS_OK)
		return r->status;
	for (size_t i = 0; i < n; i++)
		if (!has_block((Vmctl__Agent__V1__ListMemoryBlocksResponse *)m,
			       list[i]))
			report_fail(r, STATUS_REFUSED,
				    "block %u: there is no memory block %u", list[i],
				    list[i]);
	message_free(m);
	return r->status;
}

static void change(const struct memory *c, const struct vm *vm, deadline_t deadline,
		   struct report *r)
{
	Vmctl__Agent__V1__OnlineMemoryBlocksRequest online =
		VMCTL__AGENT__V1__ONLINE_MEMORY_BLOCKS_REQUEST__INIT;
	Vmctl__Agent__V1__OfflineMemoryBlocksRequest offline =
		VMCTL__AGENT__V1__OFFLINE_MEMORY_BLOCKS_REQUEST__INIT;
	struct ask ask = {
		.method = c->online ? "OnlineMemoryBlocks" : "OfflineMemoryBlocks",
		.request = c->online ? &online.base : &offline.base,
		.type = &vmctl__agent__v1__memory_blocks_response__descriptor,
		.changes = true,
	};
	const char *text = c->online ? c->online : c->offline;
	cleanup_free uint32_t *list = calloc(BLOCKS_MAX, sizeof(*list));
	bool all = c->online && !strcmp(text, "all");
	ProtobufCMessage *m = NULL;
	size_t n = 0;

	if (!list) {
		report_fail(r, STATUS_FAILURE, "no memory for a list of blocks");
		return;
	}
	if (!all && (text_list(text, UINT32_MAX, list, BLOCKS_MAX, &n) || !n)) {
		report_fail(r, STATUS_USAGE,
			    "'%s' is no list of memory blocks, such as 32-39", text);
		return;
	}
	online.blocks = offline.blocks = list;
	online.n_blocks = offline.n_blocks = n;
	online.zone = c->zone;
	if (look(list, n, vm, deadline, r) == STATUS_OK &&
	    ask_agent(&ask, vm, deadline, &m, r) == STATUS_OK && m)
		show_results((const Vmctl__Agent__V1__MemoryBlocksResponse *)m, r);
	message_free(m);
}

static void print_blocks(const Vmctl__Agent__V1__ListMemoryBlocksResponse *answer)
{
	printf("%-8s %-18s %-14s %-5s %s\n", "BLOCK", "ADDRESS", "STATE", "NODE",
	       "ZONES");
	for (size_t i = 0; i < answer->n_blocks; i++) {
		const Vmctl__Agent__V1__MemoryBlock *b = answer->blocks[i];

		printf("%-8u %#-18llx %-14s %-5d %s\n", b->block,
		       (unsigned long long)b->block * answer->block_size_bytes,
		       b->state, b->node, b->zones);
	}
}

static bool alike(const Vmctl__Agent__V1__MemoryBlock *a,
		  const Vmctl__Agent__V1__MemoryBlock *b)
{
	return a->block + 1 == b->block && a->node == b->node &&
	       !strcmp(a->state, b->state) && !strcmp(a->zones, b->zones);
}

/* Neighbours that are alike are one line. */
static void print_ranges(const Vmctl__Agent__V1__ListMemoryBlocksResponse *answer)
{
	size_t i, first;

	printf("blocks of %llu MiB\n",
	       (unsigned long long)answer->block_size_bytes >> 20);
	printf("%-14s %-10s %-14s %-5s %s\n", "BLOCKS", "MiB", "STATE", "NODE",
	       "ZONES");
	for (i = 0; i < answer->n_blocks; i++) {
		const Vmctl__Agent__V1__MemoryBlock *b = answer->blocks[i];
		char range[32];

		for (first = i; i + 1 < answer->n_blocks &&
				alike(answer->blocks[i], answer->blocks[i + 1]);)
			i++;
		snprintf(range, sizeof(range), "%u-%u", b->block,
			 answer->blocks[i]->block);
		printf("%-14s %-10llu %-14s %-5d %s\n", range,
		       (unsigned long long)(i - first + 1) *
			       (answer->block_size_bytes >> 20),
		       b->state, b->node, b->zones);
	}
}

static void list(const struct memory *c, const struct vm *vm, deadline_t deadline,
		 struct report *r)
{
	const Vmctl__Agent__V1__ListMemoryBlocksResponse *answer;
	ProtobufCMessage *m;

	if (ask_blocks(vm, deadline, &m, r) != STATUS_OK)
		return;
	answer = (const Vmctl__Agent__V1__ListMemoryBlocksResponse *)m;
	ask_report(r, m);
	if (!r->options->json && c->blocks)
		print_blocks(answer);
	else if (!r->options->json)
		print_ranges(answer);
	message_free(m);
}

int memory_main(int argc, char **argv)
{
	struct memory c = {0};
	struct options options;
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
	else if (c.online || c.offline)
		change(&c, &vm, deadline, &r);
	else
		list(&c, &vm, deadline, &r);
	return report_finish(&r);
}
