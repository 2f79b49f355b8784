/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"
#include "sandbox_calls.h"

#include <stddef.h>
#include <sys/socket.h>

SANDBOX_CALLS("getsockopt");

enum {
	GROUPS_MAX = 65536 /* Linux's NGROUPS_MAX */
};

static bool in_group(int fd, gid_t group)
{
	static gid_t groups[GROUPS_MAX]; /* 256 KiB, touched as far as they go */
	socklen_t len = sizeof(groups);
	size_t i;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool get_cred(int fd, struct ucred *cred)
{
	socklen_t len = sizeof(*cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len) == 0 &&
	       len == sizeof(*cred) && cred->uid != (uid_t)-1;
}

bool peer_uid(int fd, uid_t *uid)
{
	struct ucred cred;

	if (!get_cred(fd, &cred))
		return false;
	*uid = cred.uid;
	return true;
}

bool peer_is_privileged(int fd, gid_t group)
{
	struct ucred cred;

	if (!get_cred(fd, &cred))
		return false;
	if (cred.uid == 0)
		return true;
	return group != PEER_NO_GROUP && (cred.gid == group || in_group(fd, group));
}
