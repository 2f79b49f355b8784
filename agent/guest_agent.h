/* SPDX-License-Identifier: Apache-2.0 */
/* The service vmctl.agent.v1.GuestAgent (proto/vmctl/agent/v1/agent.proto). */
#ifndef AGENT_GUEST_AGENT_H
#define AGENT_GUEST_AGENT_H

#include "guest_cpu.h"
#include "service.h"
#include "vmctl/agent/v1/agent.pb-c.h"

extern const struct agent_service guest_agent_service;

/*
 * Fills a Cpus message. The message then points into one allocation, which
 * guest_agent_free_cpus() frees. -ENOMEM.
 */
int guest_agent_fill_cpus(const struct guest_cpus *cpus,
			  Vmctl__Agent__V1__Cpus *message);
void guest_agent_free_cpus(Vmctl__Agent__V1__Cpus *message);

/* Fails a call because something of /proc or /sys could not be read. */
void guest_agent_fail(struct agent_call *call, const struct error *err);

#endif
