// SPDX-License-Identifier: Apache-2.0
#include "service.h"

#include "clock.h"
#include "entropy.h"
#include "exec.h"
#include "file_service.h"
#include "filesystem_service.h"
#include "guest_agent.h"
#include "hostname.h"
#include "power.h"
#include "ssh_keys.h"

const struct agent_service *const agent_services[] = {
	&guest_agent_service, /* Ping, GetGuestInfo, OnlineCpus */
	&exec_service,	      /* Exec */
	&file_service,	      /* StatFile, ListDirectory, ReadFile, WriteFile, ... */
	&filesystem_service,  /* ListFilesystems, freeze, thaw, trim */
	&power_service,	      /* Shutdown, Reboot, Suspend */
	&clock_service,	      /* GetTime, SetTime */
	&hostname_service,    /* GetHostname, SetHostname */
	&entropy_service,     /* AddEntropy */
	&ssh_keys_service,    /* ListSshKeys, AddSshKeys, RemoveSshKeys */
	NULL,
};
