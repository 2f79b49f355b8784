// SPDX-License-Identifier: Apache-2.0
#include "kata.h"

#include "kata/health.pb-c.h"

/* Kata's agent says the version of its gRPC protocol, which has not changed. */
#define PROTOCOL_VERSION "0.0.1"

static void check(struct agent_call *call, const ProtobufCMessage *request)
{
	Grpc__HealthCheckResponse response = GRPC__HEALTH_CHECK_RESPONSE__INIT;

	(void)request;
	response.status = GRPC__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	agent_call_reply(call, &response.base);
}

static void version(struct agent_call *call, const ProtobufCMessage *request)
{
	Grpc__VersionCheckResponse response = GRPC__VERSION_CHECK_RESPONSE__INIT;

	(void)request;
	response.grpc_version = (char *)PROTOCOL_VERSION;
	response.agent_version = (char *)VMCTL_VERSION;
	agent_call_reply(call, &response.base);
}

static const struct agent_method methods[] = {
	{
		.name = "Check",
		.request = &grpc__check_request__descriptor,
		.request_max = 4096,
		.response = &grpc__health_check_response__descriptor,
		.handle = check,
	},
	{
		.name = "Version",
		.request = &grpc__check_request__descriptor,
		.request_max = 4096,
		.response = &grpc__version_check_response__descriptor,
		.handle = version,
	},
};

const struct agent_service kata_health_service = {
	.name = "grpc.Health",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
