/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths that a peer has chosen, resolved by the kernel beneath a root directory:
 * openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS. No symlink and no "..",
 * at the end, in the middle or swapped meanwhile, leads out of it. Where the kernel has
 * no openat2 (before 5.6) there is no fallback: everything is refused with -ENOSYS.
 */
#ifndef AGENT_ROOTED_H
#define AGENT_ROOTED_H

#include <limits.h>
#include <protobuf-c/protobuf-c.h>

#include "error.h"

/* The last component of a path, and its directory. */
struct rooted_name {
	int dir; /* O_PATH; -1: none */
	char name[NAME_MAX + 1];
};

/* The root itself, O_PATH; NULL stands for "/". */
int rooted_root(const char *path, struct error *err);

/* Opens with O_CLOEXEC. A descriptor, or a negative errno. */
int rooted_open(int root, const ProtobufCBinaryData *path, int flags,
		struct error *err);

/*
 * Opens the directory that a path's last component is in. The component is what it
 * says: no "..", no ".", no slash, not empty. To be closed by the caller; -EINVAL for
 * the root itself.
 */
int rooted_split(int root, const ProtobufCBinaryData *path, struct rooted_name *name,
		 struct error *err);

#endif
