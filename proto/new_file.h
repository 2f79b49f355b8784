/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that appears under its name when it is whole and on the disk, and not before.
 *
 * Until then it has no name (O_TMPFILE) or, where the file system cannot do that, the
 * hidden one ".vmctl-new.NUMBER" beside the target. One that is to be resumable is
 * ".NAME.vmctl-partial", and stays when it is not finished, if its maker wants that.
 */
#ifndef PROTO_NEW_FILE_H
#define PROTO_NEW_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define NEW_FILE_PREFIX		".vmctl-new."
#define NEW_FILE_PARTIAL_PREFIX "."
#define NEW_FILE_PARTIAL_SUFFIX ".vmctl-partial"

struct new_file {
	int fd; /* to be written to; -1: none */

	/* The rest is its own. */
	int dir;
	const char *name;
	bool resumable;
	char partial[NAME_MAX + 1];   /* the name of a resumable one; "": too long */
	char temporary[NAME_MAX + 1]; /* what it is called now; "": not at all */
};

/* dir may be O_PATH; it and name, which is one component, stay until the close. */
void new_file_init(struct new_file *f, int dir, const char *name, bool resumable);

/*
 * Opens a partial file of before, for the caller to look at, and to go on with or to
 * create another. -ENOENT also for one that this user has not made, or that others may
 * have open: someone else may have put it there.
 */
int new_file_open_partial(struct new_file *f);
/* Goes on with it, behind its first `size` bytes. */
int new_file_go_on(struct new_file *f, uint64_t size);
/* Begins anew, in place of any partial file. */
int new_file_create(struct new_file *f);

/* Syncs it and gives it its name, in place of what has it. Negative errno. */
int new_file_finish(struct new_file *f);
/*
 * keep: a resumable one that is not finished stays; nothing else does. A signal's
 * handler may call it.
 */
void new_file_close(struct new_file *f, bool keep);

/* A name for something else that is to be renamed. -errno. */
int new_file_random_name(char name[static NAME_MAX + 1]);

#endif
