/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that freezes one file system, holds it and thaws it; for freeze_work.c.
 *
 * Each has one of its own, since any system call about a file system may wait for a
 * disk or a server for ever, and nobody may wait with it. It lets go by itself: when
 * its time is up, at the word of the agent or of who began the freeze, when either has
 * gone, and at any signal that a process can have a say in.
 */
#ifndef AGENT_FREEZE_ONE_H
#define AGENT_FREEZE_ONE_H

#include <stdbool.h>

#include "io.h"
#include "mounts.h"

/* What it says, each at most once and in this order, a packet each. */
enum freeze_step {
	FREEZE_ONE_OPENED = 1,
	FREEZE_ONE_FROZEN,
	FREEZE_ONE_THAWED,
};

struct freeze_report {
	int step;
	int code; /* 0, or the errno: then nothing is frozen, and no step follows */
};

/*
 * Starts it, and returns the socket to it or a negative errno. One byte there is the
 * word to freeze; its end, and any word of the agent's on AGENT_CHILD_FD, are the word
 * to thaw. It keeps AGENT_CHILD_FD open until it ends.
 */
int freeze_one_start(const struct mount *mount, deadline_t deadline);
/* Likewise one that only thaws what another has left, and says so. */
int freeze_one_rescue(const struct mount *mount);

/* 0 or an errno. It blocks. 0 also for what is not frozen. */
int freeze_one_thaw(const struct mount *mount);

/*
 * For those who begin a freeze, before there are such processes: signals are blocked,
 * but for the time of a ppoll(2) that waits for a word, and then are the word to thaw.
 * Children are not to be waited for.
 */
void freeze_catch_signals(void);
bool freeze_told(void); /* a signal has come */

#endif
