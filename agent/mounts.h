/* SPDX-License-Identifier: Apache-2.0 */
/* The mounted file systems, from /proc/self/mountinfo and /proc/filesystems. */
#ifndef AGENT_MOUNTS_H
#define AGENT_MOUNTS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct mount {
	uint64_t id;
	unsigned int major, minor;
	char *mountpoint, *source, *type; /* any bytes but 0 */
	bool read_only;
	bool whole;  /* the file system's root is mounted, not a directory of it */
	bool device; /* it is on a block device */
	bool real;   /* it has storage, here or on another machine */
};

/* In the order of mounting; each file system once. */
struct mounts {
	struct mount *mount;
	size_t n;
};

/* root: "" or the directory that stands for / below /proc. To be freed also on error.
 */
int mounts_read(const char *root, struct mounts *mounts, struct error *err);
void mounts_free(struct mounts *mounts);

const struct mount *mounts_find(const struct mounts *mounts,
				const ProtobufCBinaryData *mountpoint);

/*
 * Opens the root of a mount. -ESTALE: something else is there now, such as another
 * mount above it, or a symlink in the way.
 */
int mounts_open(const struct mount *mount);

/* open(2) and ioctl(2), on file systems; tests put others in their place. */
extern int (*mounts_open_path)(const char *path, int flags);
extern int (*mounts_ioctl)(int fd, unsigned long request, void *arg);

#endif
