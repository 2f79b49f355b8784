/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process of a freeze does; for freezer.c. It has each file system frozen,
 * held and thawed by a process of its own (freeze_one.h), and touches none itself:
 * whatever hangs, it goes on. Should one of those be killed, it has another thaw.
 */
#ifndef AGENT_FREEZE_WORK_H
#define AGENT_FREEZE_WORK_H

#include <stdint.h>

#include "error.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

/* Of one packet to the agent: a byte of these, and a message or words. */
#define FREEZE_PACKET_MAX (96u << 10)
enum freeze_packet {
	FREEZE_BEGINS = 'b', /* FreezeFilesystemsResponse: from now on these may be */
	FREEZE_FROZEN = 'f', /* FreezeFilesystemsResponse */
	FREEZE_THAWED = 't', /* ThawFilesystemsResponse; expired: not at a word */
	FREEZE_FAILED = 'x', /* an int, and words: nothing is frozen */
	FREEZE_HANGS = 'h',  /* likewise, but for what the words name */
};

/* How long it waits for a thaw, twice if need be, before it says that it hangs. */
#define FREEZE_GRACE_MS 2000

/*
 * Freezes, waits, thaws, and returns when all of its processes have ended. fd: the
 * socket to the agent, AGENT_CHILD_FD; anything that comes from there is the word to
 * thaw. That socket is closed when the last of these processes has ended.
 */
void freeze_work(const char *root,
		 const Vmctl__Agent__V1__FreezeFilesystemsRequest *request,
		 int64_t timeout_ms, int fd);

/* Thaws those that a freeze named, whose processes were killed, and waits for that. */
void freeze_work_rescue(const char *root,
			const Vmctl__Agent__V1__FreezeFilesystemsResponse *begun);

#endif
