/* SPDX-License-Identifier: Apache-2.0 */
/* The call SubscribeEvents (proto/vmctl/agent/v1/event.proto). */
#ifndef AGENT_EVENT_SERVICE_H
#define AGENT_EVENT_SERVICE_H

#include "service.h"

extern const struct agent_service event_service;

#endif
