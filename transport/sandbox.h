/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker gives up, since it talks to guests: its user, its capabilities, the
 * sight of files and networks, and the system calls that it has no use for.
 */
#ifndef TRANSPORT_SANDBOX_H
#define TRANSPORT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"

enum sandbox_mode {
	SANDBOX_NONE,
	SANDBOX_LOG, /* other system calls are logged by the kernel, and done */
	SANDBOX_ON,  /* other system calls kill the process */
};

enum {
	SANDBOX_PATHS_MAX = 160
};

struct sandbox_user {
	const char *name; /* NULL: stay who we are */
	uid_t uid;
	gid_t gid;
};

struct sandbox {
	enum sandbox_mode mode;
	struct sandbox_user user;
	bool network;			     /* is to be reached */
	const char *path[SANDBOX_PATHS_MAX]; /* files whose directories stay in sight */
	size_t paths;
};

/* "USER" or "USER:GROUP", names or numbers. Negative errno. */
int sandbox_parse_user(const char *text, struct sandbox_user *user, struct error *err);

/*
 * All but the system calls; before sockets are made, which are to be the user's.
 * What was asked for and cannot be had is an error (negative errno); what only could
 * be better is logged.
 */
int sandbox_confine(const struct sandbox *sandbox, struct error *err);

/* From now on only what sandbox_calls.h has collected, and less of mmap and socket. */
int sandbox_seal(const struct sandbox *sandbox, struct error *err);

#endif
