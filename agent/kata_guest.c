// SPDX-License-Identifier: Apache-2.0
#include "kata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "entropy.h"
#include "guest_cpu.h"
#include "guest_memory.h"
#include "kata/agent.pb-c.h"
#include "metrics.h"
#include "sysfile.h"

#define CPU_DIR	     "/sys/devices/system/cpu"
#define ONLINE_TRIES 100 /* 50 ms apart: 5 s */
#define ONLINE_PAUSE 50000000
#define ONLINE_MS    5000

int kata_send_empty(struct agent_answer *answer, struct error *err)
{
	Grpc__Empty empty = GRPC__EMPTY__INIT;

	return agent_answer_send(answer, &empty.base, err);
}

/* Whether the CPU is online now: it may have had to be told. */
static bool bring_online(const char *root, uint32_t cpu)
{
	char path[sizeof(CPU_DIR) + 32];
	long long online = 0;

	snprintf(path, sizeof(path), CPU_DIR "/cpu%u/online", cpu);
	if (sysfile_read_number(root, path, 10, &online, NULL) < 0)
		return false;
	if (!online)
		sysfile_write(root, path, "1", NULL);
	return !sysfile_read_number(root, path, 10, &online, NULL) && online == 1;
}

/* One try: how many CPUs beyond those of the mask are online, `wanted` at most. */
static unsigned int try_online(const char *root, const struct guest_cpus *cpus,
			       unsigned int wanted)
{
	unsigned int n = 0;

	for (uint32_t cpu = 0; cpu < GUEST_CPU_MAX && n < wanted; cpu++)
		if (guest_cpu_test(&cpus->present, cpu) &&
		    !guest_cpu_test(&cpus->online, cpu) && bring_online(root, cpu))
			n++;
	return n;
}

/* nb_cpus is how many there shall be in all. */
static int online_cpus(const char *root, uint32_t nb_cpus, struct error *err)
{
	const struct timespec pause = {.tv_nsec = ONLINE_PAUSE};
	deadline_t deadline = deadline_after_ms(ONLINE_MS);
	unsigned int missing = 0, n, i;
	struct guest_cpus cpus;

	for (i = 0; i < ONLINE_TRIES && deadline_left_ms(deadline); i++) {
		/* CPUs that the kernel is still adding are seen the next time. */
		int ret = guest_cpu_read(root, &cpus, err);

		if (ret < 0)
			return ret;
		n = guest_cpu_count(&cpus.online);
		if (n >= nb_cpus)
			return 0;
		missing = nb_cpus - n;
		n = try_online(root, &cpus, missing);
		if (n == missing)
			return 0;
		missing -= n;
		nanosleep(&pause, NULL);
	}
	return error_set(err, -EIO, "failed to online %u CPU(s) after %d retries",
			 missing, ONLINE_TRIES);
}

/* One pass; a block that fails stays as it is. */
static void online_memory(const char *root)
{
	cleanup_free struct guest_memory_block *blocks = NULL;
	size_t n;

	if (guest_memory_read(root, &blocks, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(blocks[i].state, "offline"))
			guest_memory_set(root, blocks[i].block, "online");
}

static int make_online(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *message, struct error *err)
{
	const Grpc__OnlineCPUMemRequest *request =
		(const Grpc__OnlineCPUMemRequest *)message;
	const char *root = agent->options->root;
	int ret = 0;

	if (request->nb_cpus)
		ret = online_cpus(root, request->nb_cpus, err);
	if (ret)
		return ret;
	if (!request->cpu_only)
		online_memory(root);
	return kata_send_empty(answer, err);
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
	struct timespec now = {.tv_sec = request->sec, .tv_nsec = request->usec * 1000};

	if (request->usec < 0 || request->usec >= 1000000 || request->sec < 0)
		return error_set(err, -EINVAL, "%lld s and %lld us are no time",
				 (long long)request->sec, (long long)request->usec);
	if (*agent->options->root)
		return error_set(err, -EPERM,
				 "with --root the clock is not the guest's");
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

static void online(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_online);
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
};

const struct agent_service kata_guest_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
