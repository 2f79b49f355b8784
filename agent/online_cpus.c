// SPDX-License-Identifier: Apache-2.0
#include "online_cpus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest_agent.h"
#include "log.h"

#define PENDING (-1)

struct result {
	uint32_t cpu;
	int32_t error; /* errno, 0 or PENDING */
};

/* What the child writes for each CPU that it has done. */
struct record {
	uint32_t index;
	int32_t error;
};

struct work {
	struct agent_job job;
	struct agent_call *call; /* NULL: cancelled */
	const char *root;
	struct record *records;
	size_t n;
	struct result results[];
};

struct reply_entry {
	Vmctl__Agent__V1__CpuResult message;
	char text[128];
};

static void work_free(struct work *work)
{
	free(work->records);
	free(work);
}

static void fill_entry(const struct result *result, struct reply_entry *entry)
{
	vmctl__agent__v1__cpu_result__init(&entry->message);
	entry->message.cpu = result->cpu;
	entry->message.error = result->error;
	if (!result->error)
		return;
	entry->message.message = entry->text;
	if (result->error == ENODEV)
		snprintf(entry->text, sizeof(entry->text), "CPU %u is not present",
			 result->cpu);
	else
		snprintf(entry->text, sizeof(entry->text),
			 "writing 1 to /sys/devices/system/cpu/cpu%u/online: %s",
			 result->cpu, strerror(result->error));
}

/* entries and list have room for all results. */
static void send_reply(struct work *work, Vmctl__Agent__V1__Cpus *cpus,
		       struct reply_entry *entries, Vmctl__Agent__V1__CpuResult **list)
{
	Vmctl__Agent__V1__OnlineCpusResponse response =
		VMCTL__AGENT__V1__ONLINE_CPUS_RESPONSE__INIT;
	size_t failed = 0;

	for (size_t i = 0; i < work->n; i++) {
		fill_entry(&work->results[i], &entries[i]);
		list[i] = &entries[i].message;
		failed += !!work->results[i].error;
	}
	agent_log(failed ? AGENT_LOG_WARNING : AGENT_LOG_INFO,
		  "OnlineCpus: %zu CPUs, of which %zu failed; %zu online now", work->n,
		  failed, cpus->n_online);
	response.n_results = work->n;
	response.results = list;
	response.cpus = cpus;
	agent_call_reply(work->call, &response.base);
}

static void reply(struct work *work)
{
	Vmctl__Agent__V1__CpuResult **list;
	struct reply_entry *entries;
	Vmctl__Agent__V1__Cpus message;
	struct guest_cpus cpus;
	struct error err;

	if (guest_cpu_read(work->root, &cpus, &err) < 0) {
		guest_agent_fail(work->call, &err);
		return;
	}
	if (guest_agent_fill_cpus(&cpus, &message) < 0) {
		agent_call_fail(work->call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	entries = calloc(work->n + 1, sizeof(*entries));
	list = calloc(work->n + 1, sizeof(*list));
	if (entries && list)
		send_reply(work, &message, entries, list);
	else
		agent_call_fail(work->call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
	free(entries);
	free(list);
	guest_agent_free_cpus(&message);
}

/* In the child. */
static int bring_online(struct agent_job *job, int fd)
{
	struct work *work = agent_container(job, struct work, job);

	for (size_t i = 0; i < work->n; i++) {
		struct record record = {.index = i};

		if (work->results[i].error != PENDING)
			continue;
		record.error = -guest_cpu_online(work->root, work->results[i].cpu);
		if (write(fd, &record, sizeof(record)) != sizeof(record))
			return -EPIPE;
	}
	return 0;
}

static void take_records(struct work *work)
{
	for (size_t i = 0; i < work->job.used / sizeof(*work->records); i++) {
		const struct record *record = &work->records[i];

		if (record->index < work->n && record->error >= 0)
			work->results[record->index].error = record->error;
	}
}

static void job_done(struct agent_job *job)
{
	struct work *work = agent_container(job, struct work, job);
	bool all = true;

	if (!work->call) {
		work_free(work);
		return;
	}
	take_records(work);
	for (size_t i = 0; i < work->n; i++)
		all = all && work->results[i].error != PENDING;
	if (all)
		reply(work);
	else
		agent_call_fail(work->call,
				job->refused ? TTRPC_RESOURCE_EXHAUSTED
					     : TTRPC_INTERNAL,
				"the process that brings CPUs online %s: %s",
				job->refused ? "was not started" : "ended early",
				agent_job_words(job));
	work_free(work);
}

void online_cpus_cancel(struct agent_call *call)
{
	struct work *work = call->work;

	agent_log(AGENT_LOG_WARNING,
		  "OnlineCpus: given up, since its time is up or its caller has gone");
	work->call = NULL;
	agent_job_cancel(&work->job);
}

static uint32_t next_offline(const struct guest_cpus *cpus, uint32_t cpu)
{
	while (cpu < GUEST_CPU_MAX && (!guest_cpu_test(&cpus->present, cpu) ||
				       guest_cpu_test(&cpus->online, cpu)))
		cpu++;
	return cpu;
}

/* Which CPUs it is about, and what is known of them without asking the kernel. */
static struct work *work_create(const struct guest_cpus *cpus,
				const Vmctl__Agent__V1__OnlineCpusRequest *request)
{
	size_t max = request->n_cpus ? request->n_cpus : GUEST_CPU_MAX;
	struct work *work = calloc(1, sizeof(*work) + max * sizeof(*work->results));
	uint32_t cpu;

	if (!work)
		return NULL;
	for (size_t i = 0; i < request->n_cpus; i++) {
		struct result *result = &work->results[work->n++];

		cpu = request->cpus[i];
		result->cpu = cpu;
		if (!guest_cpu_test(&cpus->present, cpu))
			result->error = ENODEV;
		else if (!guest_cpu_test(&cpus->online, cpu))
			result->error = PENDING;
	}
	if (!request->n_cpus)
		for (cpu = 0; (cpu = next_offline(cpus, cpu)) < GUEST_CPU_MAX; cpu++)
			work->results[work->n++] = (struct result){cpu, PENDING};
	work->records = calloc(work->n + 1, sizeof(*work->records));
	if (!work->records) {
		free(work);
		return NULL;
	}
	return work;
}

void online_cpus_start(struct agent_call *call, const char *root,
		       struct agent_jobs *jobs,
		       const Vmctl__Agent__V1__OnlineCpusRequest *request)
{
	struct guest_cpus cpus;
	struct work *work;
	struct error err;

	if (request->n_cpus > GUEST_CPU_MAX) {
		agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
				"%zu CPUs asked for; the limit is %d", request->n_cpus,
				GUEST_CPU_MAX);
		return;
	}
	if (guest_cpu_read(root, &cpus, &err) < 0) {
		guest_agent_fail(call, &err);
		return;
	}
	work = work_create(&cpus, request);
	if (!work) {
		agent_call_fail(call, TTRPC_RESOURCE_EXHAUSTED, "no memory");
		return;
	}
	work->call = call;
	work->root = root;
	work->job.kind = AGENT_JOB_SLOW;
	work->job.work = bring_online;
	work->job.done = job_done;
	work->job.output = work->records;
	work->job.output_size = work->n * sizeof(*work->records);
	call->work = work;
	for (size_t i = 0; i < work->n; i++) {
		if (work->results[i].error == PENDING) {
			agent_job_start(jobs, &work->job);
			return;
		}
	}
	job_done(&work->job);
}
