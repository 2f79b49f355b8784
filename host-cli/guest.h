/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest as its agent describes it: vmctl.agent.v1 over ttrpc on port 220.
 * What the agent sends is checked and made printable here.
 */
#ifndef HOST_CLI_GUEST_H
#define HOST_CLI_GUEST_H

#include <stddef.h>
#include <stdint.h>

#include "cpumask.h"
#include "endpoint.h"
#include "rpc.h"

#define GUEST_AGENT_PORT 220

struct guest_cpus {
	struct cpumask possible, present, online;
};

struct guest_info {
	char kernel[96];
	char hostname[96];
	char agent_version[48];
	char module_version[48]; /* "": upcall.ko is not loaded */
	uint64_t uptime_ns;
	uint64_t memory_total, memory_available; /* bytes */
	struct guest_cpus cpus;
};

/* Connects to the agent; errors as endpoint_dial(). Close with rpc_close(). */
int guest_open(struct rpc *rpc, const struct endpoint *ep, deadline_t deadline,
	       struct error *err);

/* All three: errors as rpc_call(), and -EPROTO for an answer that makes no sense. */
int guest_ping(struct rpc *rpc, const void *payload, size_t len, deadline_t deadline,
	       struct error *err);
int guest_info(struct rpc *rpc, struct guest_info *info, deadline_t deadline,
	       struct error *err);
/*
 * Brings CPUs online. `cpus` is all CPUs as the agent sees them afterwards. A
 * CPU that stays offline gives -EBUSY, with the agent's reason in err.
 */
int guest_online(struct rpc *rpc, const struct cpumask *which, struct guest_cpus *cpus,
		 deadline_t deadline, struct error *err);

#endif
