/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's CPUs, one by one (proto/vmctl/agent/v1/cpu.proto). */
#ifndef AGENT_CPU_SERVICE_H
#define AGENT_CPU_SERVICE_H

#include "service.h"

extern const struct agent_service cpu_service;

#endif
