/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "guest_rpc.h"
#include "message.h"
#include "text.h"
#include "vmctl/agent/v1/agent.pb-c.h"

int guest_open(struct rpc *rpc, const struct endpoint *ep, deadline_t deadline,
	       struct error *err)
{
	int fd = endpoint_dial(ep, GUEST_AGENT_PORT, deadline, err);

	rpc_init(rpc, fd);
	return fd < 0 ? fd : 0;
}

/* A call whose errors name it. */
static int call(struct rpc *rpc, const char *method, const ProtobufCMessage *request,
		const ProtobufCMessageDescriptor *type, deadline_t deadline,
		ProtobufCMessage **answer, struct error *err)
{
	int ret = guest_rpc_call(rpc, method, request, type, deadline, answer, err);

	if (ret)
		error_prefix(err, "the agent's %s", method);
	return ret;
}

static int take_list(struct cpumask *m, const uint32_t *list, size_t n,
		     struct error *err)
{
	size_t i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < n; i++)
		if (cpumask_add(m, list[i]))
			return error_set(err, -EPROTO,
					 "the agent speaks of CPU %u, more than this "
					 "program's %u",
					 list[i], CPUMASK_MAX);
	return 0;
}

static int take_cpus(struct guest_cpus *to, const Vmctl__Agent__V1__Cpus *from,
		     struct error *err)
{
	int ret;

	if (!from)
		return error_set(err, -EPROTO, "the agent's answer lists no CPUs");
	ret = take_list(&to->possible, from->possible, from->n_possible, err);
	if (!ret)
		ret = take_list(&to->present, from->present, from->n_present, err);
	if (!ret)
		ret = take_list(&to->online, from->online, from->n_online, err);
	return ret;
}

int guest_ping(struct rpc *rpc, const void *payload, size_t len, deadline_t deadline,
	       struct error *err)
{
	Vmctl__Agent__V1__PingRequest request = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	Vmctl__Agent__V1__PingResponse *answer;
	ProtobufCMessage *m = NULL;
	int ret;

	request.payload.data = (uint8_t *)payload;
	request.payload.len = len;
	ret = call(rpc, "Ping", &request.base,
		   &vmctl__agent__v1__ping_response__descriptor, deadline, &m, err);
	if (ret)
		return ret;
	answer = (Vmctl__Agent__V1__PingResponse *)m;
	if (answer->payload.len != len ||
	    (len && memcmp(answer->payload.data, payload, len)))
		ret = error_set(err, -EPROTO,
				"the agent's Ping gave back other bytes than it got");
	message_free(m);
	return ret;
}

static void take_text(char *to, size_t size, const char *from)
{
	text_copy(to, size, from, strlen(from));
}

int guest_info(struct rpc *rpc, struct guest_info *info, deadline_t deadline,
	       struct error *err)
{
	Vmctl__Agent__V1__GetGuestInfoRequest request =
		VMCTL__AGENT__V1__GET_GUEST_INFO_REQUEST__INIT;
	Vmctl__Agent__V1__GetGuestInfoResponse *answer;
	ProtobufCMessage *m = NULL;
	int ret = call(rpc, "GetGuestInfo", &request.base,
		       &vmctl__agent__v1__get_guest_info_response__descriptor, deadline,
		       &m, err);

	if (ret)
		return ret;
	answer = (Vmctl__Agent__V1__GetGuestInfoResponse *)m;
	memset(info, 0, sizeof(*info));
	take_text(info->kernel, sizeof(info->kernel), answer->kernel);
	take_text(info->hostname, sizeof(info->hostname), answer->hostname);
	take_text(info->agent_version, sizeof(info->agent_version),
		  answer->agent_version);
	take_text(info->module_version, sizeof(info->module_version),
		  answer->module_version);
	info->uptime_ns = answer->uptime_nano;
	info->memory_total = answer->memory_total_bytes;
	info->memory_available = answer->memory_available_bytes;
	ret = take_cpus(&info->cpus, answer->cpus, err);
	message_free(m);
	return ret;
}

/* The first CPU of those asked for that did not come online, with its reason. */
static int check_online(const Vmctl__Agent__V1__OnlineCpusResponse *answer,
			const struct cpumask *which, const struct guest_cpus *cpus,
			struct error *err)
{
	struct cpumask missing = cpumask_minus(which, &cpus->online);
	char list[128], reason[160] = "no reason given";
	size_t i;

	if (!cpumask_count(&missing))
		return 0;
	for (i = 0; i < answer->n_results; i++) {
		const Vmctl__Agent__V1__CpuResult *r = answer->results[i];

		if (!r->error || !cpumask_has(&missing, r->cpu))
			continue;
		take_text(reason, sizeof(reason),
			  *r->message ? r->message : strerror(r->error));
		break;
	}
	return error_set(err, -EBUSY, "CPU %s did not come online: %s",
			 cpumask_format(&missing, list, sizeof(list)), reason);
}

int guest_online(struct rpc *rpc, const struct cpumask *which, struct guest_cpus *cpus,
		 deadline_t deadline, struct error *err)
{
	Vmctl__Agent__V1__OnlineCpusRequest request =
		VMCTL__AGENT__V1__ONLINE_CPUS_REQUEST__INIT;
	const Vmctl__Agent__V1__OnlineCpusResponse *answer;
	cleanup_free uint32_t *list = calloc(CPUMASK_MAX, sizeof(*list));
	ProtobufCMessage *m = NULL;
	uint32_t cpu;
	int ret;

	if (!list)
		return error_set(err, -ENOMEM, "no memory for a list of CPUs");
	for (cpu = 0; cpu < CPUMASK_MAX; cpu++)
		if (cpumask_has(which, cpu))
			list[request.n_cpus++] = cpu;
	request.cpus = list;
	ret = call(rpc, "OnlineCpus", &request.base,
		   &vmctl__agent__v1__online_cpus_response__descriptor, deadline, &m,
		   err);
	if (ret)
		return ret;
	answer = (const Vmctl__Agent__V1__OnlineCpusResponse *)m;
	ret = take_cpus(cpus, answer->cpus, err);
	if (!ret)
		ret = check_online(answer, which, cpus, err);
	message_free(m);
	return ret;
}
