/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A freeze of file systems, which a process of its own holds. It thaws when it is told
 * to, when the time is up, when it gets SIGTERM, and when the agent has gone, however
 * that ended: its socket says so. Should that process be killed, the agent thaws.
 *
 * While a freeze is on, the agent writes no log: what reads it may wait for a frozen
 * disk. The lines come afterwards (log.h).
 */
#ifndef AGENT_FREEZER_H
#define AGENT_FREEZER_H

#include "service.h"

#define FREEZER_DEFAULT_MS 30000
#define FREEZER_MAX_MS	   600000

/* Of methods. */
void freezer_freeze(struct agent_call *call, const ProtobufCMessage *request);
void freezer_thaw(struct agent_call *call, const ProtobufCMessage *request);
void freezer_status(struct agent_call *call, const ProtobufCMessage *request);
void freezer_cancel(struct agent_call *call);

/* Of the service: lets go of what is frozen. */
void freezer_stop(struct agent *agent);

#endif
