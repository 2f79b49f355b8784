// SPDX-License-Identifier: Apache-2.0
#include "entropy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "sysfile.h"
#include "vmctl/agent/v1/system.pb-c.h"

static int add(int fd, const ProtobufCBinaryData *data, bool credit)
{
	cleanup_free struct rand_pool_info *info = NULL;

	if (!credit)
		return write(fd, data->data, data->len) < 0 ? -errno : 0;
	info = malloc(sizeof(*info) + data->len);
	if (!info)
		return -ENOMEM;
	info->entropy_count = (int)data->len * 8;
	info->buf_size = (int)data->len;
	memcpy(info->buf, data->data, data->len);
	if (ioctl(fd, RNDADDENTROPY, info) < 0)
		return -errno;
	/* At once, not at the generator's next turn. What it has not had enough for yet
	 * is no error, nor that a kernel before 4.17 lacks it. */
	if (ioctl(fd, RNDRESEEDCRNG) < 0 && errno != ENODATA && errno != EINVAL)
		return -errno;
	return 0;
}

int entropy_add(const char *root, const ProtobufCBinaryData *data, bool credit,
		struct error *err)
{
	cleanup_close int fd = sysfile_open(root, "/dev/random", O_WRONLY, NULL);
	int ret = fd < 0 ? fd : add(fd, data, credit);

	return ret ? error_set(err, ret, "/dev/random: %s", strerror(-ret)) : 0;
}

static void add_entropy(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__AddEntropyRequest *request =
		(const Vmctl__Agent__V1__AddEntropyRequest *)message;
	Vmctl__Agent__V1__AddEntropyResponse response =
		VMCTL__AGENT__V1__ADD_ENTROPY_RESPONSE__INIT;
	struct error err;

	if (!request->data.len || request->data.len > ENTROPY_MAX)
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT, "%zu bytes; give 1 to %d",
				request->data.len, ENTROPY_MAX);
	else if (entropy_add(call->agent->options->root, &request->data,
			     request->credit, &err))
		agent_call_fail_error(call, &err);
	else
		agent_call_reply(call, &response.base);
}

static const struct agent_method methods[] = {
	{
		.name = "AddEntropy",
		.changes = true,
		.request = &vmctl__agent__v1__add_entropy_request__descriptor,
		.request_max = ENTROPY_MAX + 64,
		.response = &vmctl__agent__v1__add_entropy_response__descriptor,
		.handle = add_entropy,
	},
};

const struct agent_service entropy_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
