/* SPDX-License-Identifier: Apache-2.0 */
/* File systems of the guest (proto/vmctl/agent/v1/filesystem.proto). */
#ifndef AGENT_FILESYSTEM_SERVICE_H
#define AGENT_FILESYSTEM_SERVICE_H

#include "service.h"

extern const struct agent_service filesystem_service;

#endif
