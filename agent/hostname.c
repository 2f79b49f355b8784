// SPDX-License-Identifier: Apache-2.0
#include "hostname.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "answer.h"
#include "cleanup.h"
#include "replace.h"
#include "sysfile.h"
#include "vmctl/agent/v1/system.pb-c.h"

#define KERNEL_FILE  "/proc/sys/kernel/hostname"
#define NAME_MAX_LEN 64 /* the kernel's */

typedef Vmctl__Agent__V1__SetHostnameRequest SetRequest;

static void get_hostname(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__GetHostnameResponse response =
		VMCTL__AGENT__V1__GET_HOSTNAME_RESPONSE__INIT;
	const char *root = call->agent->options->root;
	char name[256], persistent[256];

	(void)message;
	/* "" where there is none. */
	sysfile_read_line(root, KERNEL_FILE, name, sizeof(name), NULL);
	sysfile_read_line(root, "/etc/hostname", persistent, sizeof(persistent), NULL);
	response.name = name;
	response.persistent = persistent;
	agent_call_reply(call, &response.base);
}

/* Labels of letters, digits and '-' within, with dots between them. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool edge =
			!i || i == len - 1 || name[i - 1] == '.' || name[i + 1] == '.';

		if (!isalnum((unsigned char)name[i]) &&
		    (edge || (name[i] != '-' && name[i] != '.')))
			return false;
	}
	return true;
}

/* In the job: a disk may be slow. */

static int make_persistent(const char *root, const char *name, struct error *err)
{
	cleanup_close int dir = sysfile_open(root, "/etc", O_PATH | O_DIRECTORY, NULL);
	char line[NAME_MAX_LEN + 2];

	if (dir < 0)
		return error_set(err, dir, "/etc: %s", strerror(-dir));
	snprintf(line, sizeof(line), "%s\n", name);
	return replace_file(dir, "hostname", line, strlen(line), 0644, err);
}

static int make_set(struct agent_answer *answer, const struct agent *agent,
		    const ProtobufCMessage *message, struct error *err)
{
	Vmctl__Agent__V1__SetHostnameResponse response =
		VMCTL__AGENT__V1__SET_HOSTNAME_RESPONSE__INIT;
	const SetRequest *request = (const SetRequest *)message;
	const char *root = agent->options->root;
	int ret = sysfile_write(root, KERNEL_FILE, request->name, err);

	if (ret >= 0 && request->persistent)
		ret = make_persistent(root, request->name, err);
	return ret < 0 ? ret : agent_answer_send(answer, &response.base, err);
}

/* In the agent. */

static void set_hostname(struct agent_call *call, const ProtobufCMessage *message)
{
	const SetRequest *request = (const SetRequest *)message;

	if (is_name(request->name))
		agent_answer_start(call, message, make_set);
	else
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"'%s' is no host name: up to %d letters, digits, '-' "
				"and '.', with a letter or digit at each end",
				request->name, NAME_MAX_LEN);
}

static const struct agent_method methods[] = {
	{
		.name = "GetHostname",
		.request = &vmctl__agent__v1__get_hostname_request__descriptor,
		.request_max = 64,
		.response = &vmctl__agent__v1__get_hostname_response__descriptor,
		.handle = get_hostname,
	},
	{
		.name = "SetHostname",
		.changes = true,
		.writes = true,
		.request = &vmctl__agent__v1__set_hostname_request__descriptor,
		.request_max = 1024,
		.response = &vmctl__agent__v1__set_hostname_response__descriptor,
		.handle = set_hostname,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service hostname_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
