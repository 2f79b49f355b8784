/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands for the host: Exec (proto/vmctl/agent/v1/exec.proto). What a command prints
 * is read as fast as the client takes it, and what the client sends as fast as the
 * command takes it.
 */
#ifndef AGENT_EXEC_H
#define AGENT_EXEC_H

#include "service.h"

/* Commands at a time, with those that are being killed. */
#define EXEC_MAX 64
/* Those that were killed and have not ended, since the kernel holds them. */
#define EXEC_LEFT_MAX 64
/* Between SIGTERM and SIGKILL, if the client says nothing else, and at most. */
#define EXEC_GRACE_MS	  5000
#define EXEC_GRACE_MAX_MS 60000

extern const struct agent_service exec_service;

#endif
