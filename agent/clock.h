/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's time: GetTime and SetTime (proto/vmctl/agent/v1/system.proto). */
#ifndef AGENT_CLOCK_H
#define AGENT_CLOCK_H

#include "service.h"

extern const struct agent_service clock_service;

#endif
