/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a Unix socket. */
#ifndef TRANSPORT_PEER_H
#define TRANSPORT_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#define PEER_NO_GROUP ((gid_t)-1)

/*
 * Whether the process that connected was root, or was in the group (PEER_NO_GROUP:
 * none), as its main group or another. False when the kernel does not say.
 */
bool peer_is_privileged(int fd, gid_t group);

/* The user of the process that connected; false when the kernel does not say. */
bool peer_uid(int fd, uid_t *uid);

#endif
