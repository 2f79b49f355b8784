/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A freeze of file systems. Processes of its own hold it (freeze_work.h), one for each
 * file system, so that one that hangs holds up no other. They thaw when they are told
 * to, when the time is up, at a signal, and when the agent has gone, however that
 * ended: its socket says so. Should they be killed, or be late, the agent thaws.
 *
 * While a freeze is on, agent->frozen is set: the agent writes no log, since what reads
 * it may wait for a frozen disk, and the lines come afterwards (log.h); and methods
 * that write files are refused, since they would wait in the kernel (service.h).
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
