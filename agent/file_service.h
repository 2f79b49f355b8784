/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the guest (proto/vmctl/agent/v1/file.proto). */
#ifndef AGENT_FILE_SERVICE_H
#define AGENT_FILE_SERVICE_H

#include "service.h"

extern const struct agent_service file_service;

#endif
