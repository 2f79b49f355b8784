// SPDX-License-Identifier: Apache-2.0
#include "filesystem_service.h"

#include "filesystem.h"
#include "freezer.h"
#include "task.h"
#include "usage.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

#define REQUEST_MAX (64u << 10) /* mount points */

static void list_filesystems(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, filesystem_list, AGENT_TASK_KILL);
}

static void trim_filesystems(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, filesystem_trim, AGENT_TASK_KILL);
}

static int start(struct agent *agent, struct error *err)
{
	(void)agent;
	(void)err;
	usage_start();
	return 0;
}

#define MESSAGE(name) &vmctl__agent__v1__##name##__descriptor

static const struct agent_method methods[] = {
	{
		.name = "ListFilesystems",
		.kind = AGENT_SERVER_STREAM,
		.request = MESSAGE(list_filesystems_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(list_filesystems_response),
		.handle = list_filesystems,
		.room = agent_task_room,
		.cancel = agent_task_cancel,
	},
	{
		.name = "FreezeFilesystems",
		.changes = true,
		.request = MESSAGE(freeze_filesystems_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(freeze_filesystems_response),
		.handle = freezer_freeze,
		.cancel = freezer_cancel,
	},
	{
		.name = "ThawFilesystems",
		.changes = true,
		.request = MESSAGE(thaw_filesystems_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(thaw_filesystems_response),
		.handle = freezer_thaw,
		.cancel = freezer_cancel,
	},
	{
		.name = "GetFreezeStatus",
		.request = MESSAGE(get_freeze_status_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(get_freeze_status_response),
		.handle = freezer_status,
	},
	{
		.name = "TrimFilesystems",
		.kind = AGENT_SERVER_STREAM,
		.changes = true,
		.writes = true,
		.request = MESSAGE(trim_filesystems_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(filesystem_result),
		.handle = trim_filesystems,
		.room = agent_task_room,
		.cancel = agent_task_cancel,
	},
};

const struct agent_service filesystem_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(*methods),
	.start = start,
	.stop = freezer_stop,
};
