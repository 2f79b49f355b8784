// SPDX-License-Identifier: Apache-2.0
#include "kata.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "kata/agent.pb-c.h"

#define MODULES_MAX 64

/* What this agent cannot do is said before anything is done. */
static int check_sandbox(const Grpc__CreateSandboxRequest *request, struct error *err)
{
	if (request->n_storages)
		return error_set(err, -EOPNOTSUPP,
				 "CreateSandbox: storages are not mounted by this "
				 "agent");
	if (request->n_dns)
		return error_set(
			err, -EOPNOTSUPP,
			"CreateSandbox: the resolver is not set by this agent");
	if (request->sandbox_pidns)
		return error_set(err, -EOPNOTSUPP,
				 "CreateSandbox: this agent makes no PID namespace");
	if (*request->guest_hook_path)
		return error_set(err, -EOPNOTSUPP,
				 "CreateSandbox: this agent runs no hooks");
	if (strlen(request->hostname) > HOST_NAME_MAX)
		return error_set(err, -EINVAL, "a host name of %zu bytes",
				 strlen(request->hostname));
	if (request->n_kernel_modules > MODULES_MAX)
		return error_set(err, -EINVAL, "%zu kernel modules; the limit is %d",
				 request->n_kernel_modules, MODULES_MAX);
	return 0;
}

static int make_create(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *message, struct error *err)
{
	const Grpc__CreateSandboxRequest *request =
		(const Grpc__CreateSandboxRequest *)message;
	int ret = check_sandbox(request, err);

	if (!ret && *agent->options->root &&
	    (*request->hostname || request->n_kernel_modules))
		ret = error_set(err, -EPERM,
				"with --root the kernel is not the guest's");
	for (size_t i = 0; !ret && i < request->n_kernel_modules; i++)
		ret = kata_load_module(request->kernel_modules[i]->name,
				       request->kernel_modules[i]->parameters,
				       request->kernel_modules[i]->n_parameters, err);
	if (!ret && *request->hostname &&
	    sethostname(request->hostname, strlen(request->hostname)) < 0)
		ret = error_set(err, -errno, "setting the host name: %s",
				strerror(errno));
	return ret ? ret : kata_send_empty(answer, err);
}

static int make_copy(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *message, struct error *err)
{
	int ret = kata_copy(agent->options->root,
			    (const Grpc__CopyFileRequest *)message, err);

	return ret ? ret : kata_send_empty(answer, err);
}

static void create(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_create);
}

/* CreateSandbox leaves nothing behind that would have to go. */
static void destroy(struct agent_call *call, const ProtobufCMessage *request)
{
	Grpc__Empty empty = GRPC__EMPTY__INIT;

	(void)request;
	agent_call_reply(call, &empty.base);
}

static void copy_file(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_copy);
}

static const struct agent_method methods[] = {
	{
		.name = "CreateSandbox",
		.request = &grpc__create_sandbox_request__descriptor,
		.request_max = 256 << 10,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = create,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "DestroySandbox",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.handle = destroy,
	},
	{
		.name = "CopyFile",
		.request = &grpc__copy_file_request__descriptor,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.writes = true,
		.handle = copy_file,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service kata_sandbox_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
