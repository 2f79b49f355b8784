// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include "clock.h"
#include "entropy.h"
#include "exec.h"
#include "guest_agent.h"
#include "hostname.h"
#include "power.h"
#include "ssh_keys.h"

const struct agent_service *const agent_services[] = {
	&guest_agent_service,
	&exec_service,
	&power_service,
	&clock_service,
	&hostname_service,
	&entropy_service,
	&ssh_keys_service,
	NULL,
};
