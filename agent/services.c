// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include "file_service.h"
#include "filesystem_service.h"
#include "guest_agent.h"

const struct agent_service *const agent_services[] = {
	&guest_agent_service,
	&file_service,
	&filesystem_service,
	NULL,
};
