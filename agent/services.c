// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include "exec.h"
#include "guest_agent.h"

const struct agent_service *const agent_services[] = {
	&guest_agent_service,
	&exec_service,
	NULL,
};
