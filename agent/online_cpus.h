/* SPDX-License-Identifier: Apache-2.0 */
/* The call OnlineCpus. */
#ifndef AGENT_ONLINE_CPUS_H
#define AGENT_ONLINE_CPUS_H

#include "call.h"
#include "job.h"
#include "vmctl/agent/v1/agent.pb-c.h"

/*
 * Answers the call, now or when the CPUs that have to be started are. root must
 * outlive the call; the request is only read.
 */
void online_cpus_start(struct agent_call *call, const char *root,
		       struct agent_jobs *jobs,
		       const Vmctl__Agent__V1__OnlineCpusRequest *request);

/* The caller of such a call has gone, or its time is up. */
void online_cpus_cancel(struct agent_call *call);

#endif
