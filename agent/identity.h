/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user of the guest, as whom something is done. The lookups may block (NSS), so they
 * belong into a job or another child.
 */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

struct identity {
	uid_t uid;
	gid_t gid;
	bool known; /* it has an entry in passwd; the rest is empty otherwise */
	char name[256];
	char home[PATH_MAX];
	char shell[PATH_MAX];
};

/*
 * NAME or UID, and :GROUP or :GID behind it, which a UID without an entry needs. An
 * empty text is this process's own user. root is "" or the directory whose /etc has
 * passwd and group. -ENOENT: there is none such.
 */
int identity_find(const char *root, const char *text, struct identity *id,
		  struct error *err);

/*
 * Makes this process one of that user for good, with the user's other groups. Nothing
 * changes where it is that already.
 */
int identity_become(const struct identity *id, struct error *err);

#endif
