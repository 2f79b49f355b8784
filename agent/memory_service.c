// SPDX-License-Identifier: Apache-2.0
#include "memory_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "answer.h"
#include "cleanup.h"
#include "guest_memory.h"
#include "vmctl/agent/v1/memory.pb-c.h"

static void fill_block(const struct guest_memory_block *from,
		       Vmctl__Agent__V1__MemoryBlock *to)
{
	vmctl__agent__v1__memory_block__init(to);
	to->block = from->block;
	to->state = (char *)from->state;
	to->zones = (char *)from->zones;
	to->node = from->node;
}

static int make_list(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *request, struct error *err)
{
	Vmctl__Agent__V1__ListMemoryBlocksResponse response =
		VMCTL__AGENT__V1__LIST_MEMORY_BLOCKS_RESPONSE__INIT;
	const char *root = agent->options->root;
	cleanup_free struct guest_memory_block *blocks = NULL;
	int ret;

	(void)request;
	ret = guest_memory_read(root, &blocks, &response.n_blocks, err);
	if (!ret)
		ret = guest_memory_block_size(root, &response.block_size_bytes, err);
	if (ret < 0)
		return ret;
	response.blocks =
		agent_answer_alloc(response.n_blocks, sizeof(*response.blocks));
	for (size_t i = 0; i < response.n_blocks; i++) {
		response.blocks[i] = agent_answer_alloc(1, sizeof(*response.blocks[i]));
		fill_block(&blocks[i], response.blocks[i]);
	}
	return agent_answer_send(answer, &response.base, err);
}

static void change(const char *root, uint32_t block, const char *state,
		   Vmctl__Agent__V1__MemoryBlockResult *result)
{
	char text[160];

	vmctl__agent__v1__memory_block_result__init(result);
	result->block = block;
	result->error = -guest_memory_set(root, block, state);
	if (!result->error)
		return;
	if (result->error == ENODEV)
		snprintf(text, sizeof(text), "there is no memory block %u", block);
	else
		snprintf(text, sizeof(text), "writing %s to memory%u/state: %s", state,
			 block, strerror(result->error));
	result->message = agent_answer_text(text);
}

static int change_all(struct agent_answer *answer, const char *root,
		      const uint32_t *blocks, size_t n, const char *state,
		      struct error *err)
{
	Vmctl__Agent__V1__MemoryBlocksResponse response =
		VMCTL__AGENT__V1__MEMORY_BLOCKS_RESPONSE__INIT;

	if (n > GUEST_MEMORY_BLOCKS_MAX)
		return error_set(err, -EINVAL, "%zu blocks named; the limit is %d", n,
				 GUEST_MEMORY_BLOCKS_MAX);
	response.results = agent_answer_alloc(n, sizeof(*response.results));
	for (size_t i = 0; i < n; i++) {
		response.results[i] =
			agent_answer_alloc(1, sizeof(*response.results[i]));
		change(root, blocks[i], state, response.results[i]);
		response.n_results++;
	}
	return agent_answer_send(answer, &response.base, err);
}

static const char *online_state(Vmctl__Agent__V1__MemoryZone zone)
{
	switch (zone) {
	case VMCTL__AGENT__V1__MEMORY_ZONE__MEMORY_ZONE_DEFAULT:
		return "online";
	case VMCTL__AGENT__V1__MEMORY_ZONE__MEMORY_ZONE_KERNEL:
		return "online_kernel";
	case VMCTL__AGENT__V1__MEMORY_ZONE__MEMORY_ZONE_MOVABLE:
		return "online_movable";
	default:
		return NULL;
	}
}

static int make_online(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *message, struct error *err)
{
	const Vmctl__Agent__V1__OnlineMemoryBlocksRequest *request =
		(const Vmctl__Agent__V1__OnlineMemoryBlocksRequest *)message;
	const char *root = agent->options->root, *state = online_state(request->zone);
	cleanup_free struct guest_memory_block *all = NULL;
	uint32_t *offline;
	size_t n_all, n = 0;
	int ret;

	if (!state)
		return error_set(err, -EINVAL, "there is no zone %d", request->zone);
	if (request->n_blocks)
		return change_all(answer, root, request->blocks, request->n_blocks,
				  state, err);
	ret = guest_memory_read(root, &all, &n_all, err);
	if (ret < 0)
		return ret;
	offline = agent_answer_alloc(n_all, sizeof(*offline));
	for (size_t i = 0; i < n_all; i++)
		if (!strcmp(all[i].state, "offline"))
			offline[n++] = all[i].block;
	return change_all(answer, root, offline, n, state, err);
}

static int make_offline(struct agent_answer *answer, const struct agent *agent,
			const ProtobufCMessage *message, struct error *err)
{
	const Vmctl__Agent__V1__OfflineMemoryBlocksRequest *request =
		(const Vmctl__Agent__V1__OfflineMemoryBlocksRequest *)message;

	if (!request->n_blocks)
		return error_set(err, -EINVAL, "no memory block is named");
	return change_all(answer, agent->options->root, request->blocks,
			  request->n_blocks, "offline", err);
}

static void list(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_list);
}

static void online(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_online);
}

static void offline(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_offline);
}

static const struct agent_method methods[] = {
	{
		.name = "ListMemoryBlocks",
		.request = &vmctl__agent__v1__list_memory_blocks_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__list_memory_blocks_response__descriptor,
		.handle = list,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "OnlineMemoryBlocks",
		.request = &vmctl__agent__v1__online_memory_blocks_request__descriptor,
		.request_max = 6 * GUEST_MEMORY_BLOCKS_MAX,
		.response = &vmctl__agent__v1__memory_blocks_response__descriptor,
		.changes = true,
		.handle = online,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "OfflineMemoryBlocks",
		.request = &vmctl__agent__v1__offline_memory_blocks_request__descriptor,
		.request_max = 6 * GUEST_MEMORY_BLOCKS_MAX,
		.response = &vmctl__agent__v1__memory_blocks_response__descriptor,
		.changes = true,
		.handle = offline,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service memory_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
