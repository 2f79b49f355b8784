/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's network and vsock sockets (proto/vmctl/agent/v1/network.proto). */
#ifndef AGENT_NETWORK_SERVICE_H
#define AGENT_NETWORK_SERVICE_H

#include "service.h"

extern const struct agent_service network_service;

#endif
