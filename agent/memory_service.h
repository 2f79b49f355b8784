/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's memory in blocks (proto/vmctl/agent/v1/memory.proto). */
#ifndef AGENT_MEMORY_SERVICE_H
#define AGENT_MEMORY_SERVICE_H

#include "service.h"

extern const struct agent_service memory_service;

#endif
