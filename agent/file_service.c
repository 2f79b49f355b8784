// SPDX-License-Identifier: Apache-2.0
#include "file_service.h"

#include "file_entry.h"
#include "file_read.h"
#include "file_write.h"
#include "task.h"
#include "vmctl/agent/v1/file.pb-c.h"

#define REQUEST_MAX (16u << 10) /* two paths, and some numbers */

static void stat_file(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, file_entry_stat, AGENT_TASK_KILL);
}

static void list_directory(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, file_entry_list, AGENT_TASK_KILL);
}

static void make_directory(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, file_entry_make_directory, AGENT_TASK_UNDOES);
}

static void make_symlink(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, file_entry_make_symlink, AGENT_TASK_UNDOES);
}

static void read_file(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, file_read, AGENT_TASK_KILL);
}

static void write_file(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_task_start(call, request, file_write, AGENT_TASK_UNDOES);
}

#define MESSAGE(name) &vmctl__agent__v1__##name##__descriptor

static const struct agent_method methods[] = {
	{
		.name = "StatFile",
		.request = MESSAGE(stat_file_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(stat_file_response),
		.handle = stat_file,
		.cancel = agent_task_cancel,
	},
	{
		.name = "ListDirectory",
		.kind = AGENT_SERVER_STREAM,
		.request = MESSAGE(list_directory_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(list_directory_response),
		.handle = list_directory,
		.room = agent_task_room,
		.cancel = agent_task_cancel,
	},
	{
		.name = "MakeDirectory",
		.changes = true,
		.writes = true,
		.request = MESSAGE(make_directory_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(make_directory_response),
		.handle = make_directory,
		.cancel = agent_task_cancel,
	},
	{
		.name = "MakeSymlink",
		.changes = true,
		.writes = true,
		.request = MESSAGE(make_symlink_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(make_symlink_response),
		.handle = make_symlink,
		.cancel = agent_task_cancel,
	},
	{
		.name = "ReadFile",
		.kind = AGENT_SERVER_STREAM,
		.request = MESSAGE(read_file_request),
		.request_max = REQUEST_MAX,
		.response = MESSAGE(read_file_response),
		.handle = read_file,
		.room = agent_task_room,
		.cancel = agent_task_cancel,
	},
	{
		.name = "WriteFile",
		.kind = AGENT_BIDI_STREAM,
		.changes = true,
		.writes = true,
		.request = MESSAGE(write_file_request),
		.request_max = AGENT_TASK_MESSAGE_MAX,
		.response = MESSAGE(write_file_response),
		.handle = write_file,
		.message = agent_task_message,
		.end = agent_task_end,
		.room = agent_task_room,
		.cancel = agent_task_cancel,
	},
};

const struct agent_service file_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(*methods),
};
