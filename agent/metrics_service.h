/* SPDX-License-Identifier: Apache-2.0 */
/* The call GetMetrics (proto/vmctl/agent/v1/metrics.proto). */
#ifndef AGENT_METRICS_SERVICE_H
#define AGENT_METRICS_SERVICE_H

#include "service.h"

extern const struct agent_service metrics_service;

#endif
