// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include "cpu_service.h"
#include "guest_agent.h"
#include "memory_service.h"

const struct agent_service *const agent_services[] = {
	&guest_agent_service,
	&cpu_service,
	&memory_service,
	NULL,
};
