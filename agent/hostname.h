/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's name: GetHostname and SetHostname (proto/vmctl/agent/v1/system.proto). */
#ifndef AGENT_HOSTNAME_H
#define AGENT_HOSTNAME_H

#include "service.h"

extern const struct agent_service hostname_service;

#endif
