// SPDX-License-Identifier: Apache-2.0
#include "kata.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "entropy.h"
#include "guest_memory.h"
#include "kata/agent.pb-c.h"
#include "metrics.h"

int kata_send_empty(struct agent_answer *answer, struct error *err)
{
	Grpc__Empty empty = GRPC__EMPTY__INIT;

	return agent_answer_send(answer, &empty.base, err);
}

static int make_details(struct agent_answer *answer, const struct agent *agent,
			const ProtobufCMessage *message, struct error *err)
{
	const Grpc__GuestDetailsRequest *request =
		(const Grpc__GuestDetailsRequest *)message;
	Grpc__GuestDetailsResponse response = GRPC__GUEST_DETAILS_RESPONSE__INIT;
	Grpc__AgentDetails details = GRPC__AGENT_DETAILS__INIT;
	const char *root = agent->options->root;

	/* 0 and false: the guest cannot hotplug memory (so). */
	if (request->mem_block_size)
		guest_memory_block_size(root, &response.mem_block_size_bytes, NULL);
	if (request->mem_hotplug_probe)
		response.support_mem_hotplug_probe = guest_memory_has_probe(root);
	details.version = (char *)VMCTL_VERSION;
	details.init_daemon = getppid() == 1; /* this is the agent's child */
	response.agent_details = &details;
	return agent_answer_send(answer, &response.base, err);
}

static int make_probe(struct agent_answer *answer, const struct agent *agent,
		      const ProtobufCMessage *message, struct error *err)
{
	const Grpc__MemHotplugByProbeRequest *request =
		(const Grpc__MemHotplugByProbeRequest *)message;
	int ret = 0;

	for (size_t i = 0; !ret && i < request->n_mem_hotplug_probe_addr; i++)
		ret = guest_memory_probe(agent->options->root,
					 request->mem_hotplug_probe_addr[i], err);
	return ret ? ret : kata_send_empty(answer, err);
}

static int make_date_time(struct agent_answer *answer, const struct agent *agent,
			  const ProtobufCMessage *message, struct error *err)
{
	const Grpc__SetGuestDateTimeRequest *request =
		(const Grpc__SetGuestDateTimeRequest *)message;
	struct timespec now = {.tv_sec = request->sec};

	if (request->usec < 0 || request->usec >= 1000000 || request->sec < 0)
		return error_set(err, -EINVAL, "%lld s and %lld us are no time",
				 (long long)request->sec, (long long)request->usec);
	if (*agent->options->root)
		return error_set(err, -EPERM,
				 "with --root the clock is not the guest's");
	now.tv_nsec = request->usec * 1000;
	if (clock_settime(CLOCK_REALTIME, &now) < 0)
		return error_set(err, -errno, "setting the clock: %s", strerror(errno));
	return kata_send_empty(answer, err);
}

static int make_reseed(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *message, struct error *err)
{
	const ProtobufCBinaryData *data =
		&((const Grpc__ReseedRandomDevRequest *)message)->data;
	int ret;

	if (!data->len || data->len > ENTROPY_MAX)
		return error_set(err, -EINVAL, "a seed of %zu bytes; give 1 to %d",
				 data->len, ENTROPY_MAX);
	ret = entropy_add(agent->options->root, data, true, err);
	return ret ? ret : kata_send_empty(answer, err);
}

static int make_metrics(struct agent_answer *answer, const struct agent *agent,
			const ProtobufCMessage *message, struct error *err)
{
	Grpc__Metrics response = GRPC__METRICS__INIT;

	(void)message;
	response.metrics = metrics_text(agent, METRICS_PROMETHEUS, err);
	if (!response.metrics)
		return err->code;
	return agent_answer_send(answer, &response.base, err);
}

/* The one kind that Kata's agent knows is a container's, and there are none here. */
static void diagnostic_data(struct agent_call *call, const ProtobufCMessage *message)
{
	const Grpc__GetDiagnosticDataRequest *request =
		(const Grpc__GetDiagnosticDataRequest *)message;

	if (strcmp(request->log_type, "termination_log"))
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"unsupported diagnostic log_type: %.64s",
				request->log_type);
	else
		agent_call_fail(call, TTRPC_INTERNAL, "Invalid container id: %.64s",
				request->container_id);
}

/* What Kata's agent says that was started without the part that this sets. */
static void mem_agent(struct agent_call *call, const ProtobufCMessage *message)
{
	(void)message;
	agent_call_fail(call, TTRPC_INTERNAL, "mem-agent is disabled");
}

static void online(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, kata_make_online);
}

static void details(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_details);
}

static void probe(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_probe);
}

static void date_time(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_date_time);
}

static void reseed_random(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_reseed);
}

static void metrics(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_metrics);
}

static const struct agent_method methods[] = {
	{
		.name = "OnlineCPUMem",
		.request = &grpc__online_cpumem_request__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = online,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "GetGuestDetails",
		.request = &grpc__guest_details_request__descriptor,
		.request_max = 4096,
		.response = &grpc__guest_details_response__descriptor,
		.handle = details,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "MemHotplugByProbe",
		.request = &grpc__mem_hotplug_by_probe_request__descriptor,
		.request_max = 65536,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = probe,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "SetGuestDateTime",
		.request = &grpc__set_guest_date_time_request__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = date_time,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "ReseedRandomDev",
		.request = &grpc__reseed_random_dev_request__descriptor,
		.request_max = 2 * ENTROPY_MAX,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = reseed_random,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "GetMetrics",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__metrics__descriptor,
		.handle = metrics,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "GetDiagnosticData",
		.request = &grpc__get_diagnostic_data_request__descriptor,
		.request_max = 4096,
		.response = &grpc__get_diagnostic_data_response__descriptor,
		.handle = diagnostic_data,
	},
	{
		.name = "MemAgentMemcgSet",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = mem_agent,
	},
	{
		.name = "MemAgentCompactSet",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = mem_agent,
	},
};

const struct agent_service kata_guest_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
