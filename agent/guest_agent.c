// SPDX-License-Identifier: Apache-2.0
#include "guest_agent.h"

#include <errno.h>
#include <stdlib.h>

#include "agent.h"
#include "guest_info.h"
#include "online_cpus.h"

static const char *root_of(const struct agent_call *call)
{
	return call->agent->options->root;
}

void guest_agent_fail(struct agent_call *call, const struct error *err)
{
	bool mounted = err->code != -ENOENT;

	agent_call_fail(call, mounted ? TTRPC_INTERNAL : TTRPC_FAILED_PRECONDITION,
			"%s%s", err->text,
			mounted ? "" : "; are /proc and /sys mounted in the guest?");
}

static size_t fill_list(const struct guest_cpu_mask *mask, uint32_t *list)
{
	size_t n = 0;

	for (uint32_t cpu = 0; cpu < GUEST_CPU_MAX; cpu++)
		if (guest_cpu_test(mask, cpu))
			list[n++] = cpu;
	return n;
}

int guest_agent_fill_cpus(const struct guest_cpus *cpus,
			  Vmctl__Agent__V1__Cpus *message)
{
	size_t n = guest_cpu_count(&cpus->possible) + guest_cpu_count(&cpus->present) +
		   guest_cpu_count(&cpus->online);
	uint32_t *list = calloc(n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	vmctl__agent__v1__cpus__init(message);
	message->possible = list;
	message->n_possible = fill_list(&cpus->possible, list);
	message->present = message->possible + message->n_possible;
	message->n_present = fill_list(&cpus->present, message->present);
	message->online = message->present + message->n_present;
	message->n_online = fill_list(&cpus->online, message->online);
	return 0;
}

void guest_agent_free_cpus(Vmctl__Agent__V1__Cpus *message)
{
	free(message->possible);
}

static void ping(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__PingRequest *request =
		(const Vmctl__Agent__V1__PingRequest *)message;
	Vmctl__Agent__V1__PingResponse response = VMCTL__AGENT__V1__PING_RESPONSE__INIT;

	response.payload = request->payload;
	agent_call_reply(call, &response.base);
}

static void get_guest_info(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__GetGuestInfoResponse response =
		VMCTL__AGENT__V1__GET_GUEST_INFO_RESPONSE__INIT;
	Vmctl__Agent__V1__Cpus cpus;
	struct guest_info info;
	struct error err;

	(void)message;
	if (guest_info_read(root_of(call), &info, &err) < 0) {
		guest_agent_fail(call, &err);
		return;
	}
	if (guest_agent_fill_cpus(&info.cpus, &cpus) < 0) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	response.kernel = info.names.release;
	response.hostname = info.names.nodename;
	response.uptime_nano = info.uptime_nano;
	response.cpus = &cpus;
	response.memory_total_bytes = info.memory_total;
	response.memory_available_bytes = info.memory_available;
	response.agent_version = (char *)VMCTL_VERSION;
	response.module_version = info.module_version;
	agent_call_reply(call, &response.base);
	guest_agent_free_cpus(&cpus);
}

static void online_cpus(struct agent_call *call, const ProtobufCMessage *message)
{
	online_cpus_start(call, root_of(call), &call->agent->jobs,
			  (const Vmctl__Agent__V1__OnlineCpusRequest *)message);
}

enum method {
	METHOD_PING,
	METHOD_GET_GUEST_INFO,
	METHOD_ONLINE_CPUS,
	METHOD_COUNT,
};

static const struct agent_method methods[METHOD_COUNT] = {
	[METHOD_PING] =
		{
			.name = "Ping",
			.request = &vmctl__agent__v1__ping_request__descriptor,
			.response = &vmctl__agent__v1__ping_response__descriptor,
			.handle = ping,
		},
	[METHOD_GET_GUEST_INFO] =
		{
			.name = "GetGuestInfo",
			.request =
				&vmctl__agent__v1__get_guest_info_request__descriptor,
			.request_max = 4096,
			.response =
				&vmctl__agent__v1__get_guest_info_response__descriptor,
			.handle = get_guest_info,
		},
	[METHOD_ONLINE_CPUS] =
		{
			.name = "OnlineCpus",
			.request = &vmctl__agent__v1__online_cpus_request__descriptor,
			.request_max =
				6 * GUEST_CPU_MAX, /* a tag and a varint for each */
			.response = &vmctl__agent__v1__online_cpus_response__descriptor,
			.changes = true,
			.handle = online_cpus,
			.cancel = online_cpus_cancel,
		},
};

const struct agent_service guest_agent_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = METHOD_COUNT,
};
