/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full the mounted file systems are. One whose disk or server has gone may never
 * answer, and who asks it then cannot be killed. So a process of its own asks, which is
 * waited for two seconds a file system; and while one such process hangs in a file
 * system, that is not asked again.
 */
#ifndef AGENT_USAGE_H
#define AGENT_USAGE_H

#include <sys/statvfs.h>

#include "mounts.h"

struct usage {
	int error; /* 0 or a negative errno; -ETIMEDOUT: it hangs */
	struct statvfs stat;
};

/* To be called by the agent once, before the others: what they all know of. */
void usage_start(void);

/*
 * For jobs and tasks. list has room for each of the mounts; it has zeros for those that
 * are not asked: autofs, which would mount what nobody uses, and, unless all are
 * wanted, those without storage. (That of tmpfs is memory.)
 */
void usage_read(const struct mounts *mounts, bool all, struct usage *list);

/* How many processes hang. */
unsigned int usage_hung(void);

#endif
