// SPDX-License-Identifier: Apache-2.0
#include "cpu_service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent.h"
#include "answer.h"
#include "guest_cpu.h"
#include "sysfile.h"
#include "vmctl/agent/v1/cpu.pb-c.h"

#define CPU_DIR "/sys/devices/system/cpu"

static int32_t topology(const char *root, uint32_t cpu, const char *name)
{
	long long value;
	char path[128];

	snprintf(path, sizeof(path), CPU_DIR "/cpu%u/topology/%s", cpu, name);
	if (sysfile_read_number(root, path, 10, &value, NULL) < 0)
		return -1;
	return value < -1 || value > INT32_MAX ? -1 : (int32_t)value;
}

static void fill_state(const char *root, const struct guest_cpus *cpus, uint32_t cpu,
		       Vmctl__Agent__V1__CpuState *state)
{
	char path[128];

	vmctl__agent__v1__cpu_state__init(state);
	state->cpu = cpu;
	state->online = guest_cpu_test(&cpus->online, cpu);
	snprintf(path, sizeof(path), CPU_DIR "/cpu%u/online", cpu);
	state->hotpluggable = sysfile_exists(root, path);
	state->package_id = topology(root, cpu, "physical_package_id");
	state->die_id = topology(root, cpu, "die_id");
	state->core_id = topology(root, cpu, "core_id");
	snprintf(path, sizeof(path), CPU_DIR "/cpu%u", cpu);
	state->node = sysfile_node(root, path);
}

static int make_list(struct agent_answer *answer, const struct agent *agent,
		     const ProtobufCMessage *request, struct error *err)
{
	Vmctl__Agent__V1__ListCpusResponse response =
		VMCTL__AGENT__V1__LIST_CPUS_RESPONSE__INIT;
	const char *root = agent->options->root;
	struct guest_cpus cpus;
	int ret = guest_cpu_read(root, &cpus, err);

	(void)request;
	if (ret < 0)
		return ret;
	response.cpus = agent_answer_alloc(guest_cpu_count(&cpus.present),
					   sizeof(*response.cpus));
	for (uint32_t cpu = 0; cpu < GUEST_CPU_MAX; cpu++) {
		Vmctl__Agent__V1__CpuState *state;

		if (!guest_cpu_test(&cpus.present, cpu))
			continue;
		state = agent_answer_alloc(1, sizeof(*state));
		fill_state(root, &cpus, cpu, state);
		response.cpus[response.n_cpus++] = state;
	}
	return agent_answer_send(answer, &response.base, err);
}

static void take_offline(const char *root, const struct guest_cpus *cpus, uint32_t cpu,
			 Vmctl__Agent__V1__CpuChange *result)
{
	char text[160];

	vmctl__agent__v1__cpu_change__init(result);
	result->cpu = cpu;
	if (!guest_cpu_test(&cpus->present, cpu))
		result->error = ENODEV;
	else if (guest_cpu_test(&cpus->online, cpu))
		result->error = -guest_cpu_offline(root, cpu);
	if (!result->error)
		return;
	if (result->error == ENODEV)
		snprintf(text, sizeof(text), "CPU %u is not present", cpu);
	else if (result->error == ENOENT)
		snprintf(text, sizeof(text), "CPU %u cannot be taken offline", cpu);
	else
		snprintf(text, sizeof(text),
			 "writing 0 to " CPU_DIR "/cpu%u/online: %s", cpu,
			 strerror(result->error));
	result->message = agent_answer_text(text);
}

static int make_offline(struct agent_answer *answer, const struct agent *agent,
			const ProtobufCMessage *message, struct error *err)
{
	const Vmctl__Agent__V1__OfflineCpusRequest *request =
		(const Vmctl__Agent__V1__OfflineCpusRequest *)message;
	Vmctl__Agent__V1__OfflineCpusResponse response =
		VMCTL__AGENT__V1__OFFLINE_CPUS_RESPONSE__INIT;
	const char *root = agent->options->root;
	struct guest_cpus cpus;
	int ret = guest_cpu_read(root, &cpus, err);

	if (ret < 0)
		return ret;
	if (!request->n_cpus || request->n_cpus > GUEST_CPU_MAX)
		return error_set(err, -EINVAL, "%zu CPUs named; give from 1 to %d",
				 request->n_cpus, GUEST_CPU_MAX);
	response.results =
		agent_answer_alloc(request->n_cpus, sizeof(*response.results));
	for (size_t i = 0; i < request->n_cpus; i++) {
		response.results[i] =
			agent_answer_alloc(1, sizeof(*response.results[i]));
		take_offline(root, &cpus, request->cpus[i], response.results[i]);
		response.n_results++;
	}
	return agent_answer_send(answer, &response.base, err);
}

static void list(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_list);
}

static void offline(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_offline);
}

static const struct agent_method methods[] = {
	{
		.name = "ListCpus",
		.request = &vmctl__agent__v1__list_cpus_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__list_cpus_response__descriptor,
		.handle = list,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "OfflineCpus",
		.request = &vmctl__agent__v1__offline_cpus_request__descriptor,
		.request_max = 6 * GUEST_CPU_MAX,
		.response = &vmctl__agent__v1__offline_cpus_response__descriptor,
		.changes = true,
		.handle = offline,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service cpu_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
