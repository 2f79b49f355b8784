/* SPDX-License-Identifier: Apache-2.0 */
/* What the process of a freeze does; for freezer.c. */
#ifndef AGENT_FREEZE_WORK_H
#define AGENT_FREEZE_WORK_H

#include <stdint.h>

#include "error.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

/* Of one packet to the agent: a byte of these, and a message or words. */
#define FREEZE_PACKET_MAX (96u << 10)
enum freeze_packet {
	FREEZE_FROZEN = 'f', /* FreezeFilesystemsResponse */
	FREEZE_THAWED = 't', /* ThawFilesystemsResponse */
	FREEZE_FAILED = 'x', /* an int, and words: nothing is frozen */
};

/*
 * Freezes, waits, thaws, and returns. fd: the socket to the agent; anything that comes
 * from there is the word to thaw. SIGTERM, SIGINT and SIGHUP are blocked.
 */
void freeze_work(const char *root,
		 const Vmctl__Agent__V1__FreezeFilesystemsRequest *request,
		 int64_t timeout_ms, int fd);

/* Thaws those that a freeze named, whose process was killed. */
void freeze_work_rescue(const char *root,
			const Vmctl__Agent__V1__FreezeFilesystemsResponse *frozen);

#endif
