/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes of the host's: AddEntropy (proto/vmctl/agent/v1/system.proto). */
#ifndef AGENT_ENTROPY_H
#define AGENT_ENTROPY_H

#include "service.h"

#define ENTROPY_MAX 4096 /* bytes in a call */

extern const struct agent_service entropy_service;

#endif
