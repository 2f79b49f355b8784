// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include "clock.h"
#include "cpu_service.h"
#include "entropy.h"
#include "event_service.h"
#include "exec.h"
#include "file_service.h"
#include "filesystem_service.h"
#include "guest_agent.h"
#include "hostname.h"
#include "kata.h"
#include "memory_service.h"
#include "metrics_service.h"
#include "network_service.h"
#include "power.h"
#include "ssh_keys.h"
#include "traffic_service.h"

/* The service of vmctl, by the files that have methods of it. */
#define GUEST_AGENT                                                                \
	&guest_agent_service, &cpu_service, &memory_service, &network_service,     \
		&file_service, &filesystem_service, &exec_service, &power_service, \
		&clock_service, &hostname_service, &entropy_service,               \
		&ssh_keys_service, &event_service, &metrics_service, &traffic_service

const struct agent_service *const agent_services[] = {
	GUEST_AGENT,
	NULL,
};

const struct agent_service *const agent_services_kata[] = {
	GUEST_AGENT,	       &kata_health_service,  &kata_guest_service,
	&kata_sandbox_service, &kata_network_service, &kata_iptables_service,
	&kata_swap_service,    &kata_volume_service,  NULL,
};
