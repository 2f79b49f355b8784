/* SPDX-License-Identifier: Apache-2.0 */
/* The calls Generate and Discard (proto/vmctl/agent/v1/traffic.proto). */
#ifndef AGENT_TRAFFIC_SERVICE_H
#define AGENT_TRAFFIC_SERVICE_H

#include "service.h"

/* Bytes of data that a message has at most. */
#define TRAFFIC_MESSAGE_MAX (1u << 20)

extern const struct agent_service traffic_service;

#endif
