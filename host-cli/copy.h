/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and directories between the host and a guest, for vmctl cp. All of them report
 * what goes wrong; what the guest says of its files is trusted with nothing: no name of
 * its leads out of the destination, no symlink of its is followed.
 */
#ifndef HOST_CLI_COPY_H
#define HOST_CLI_COPY_H

#include "guest_rpc.h"
#include "vm.h"
#include "vmctl/agent/v1/file.pb-c.h"

#define COPY_CHUNK     (64u << 10)
#define COPY_DEPTH_MAX 100

struct copy {
	struct report *report;
	const struct options *options;
	struct rpc rpc;
	bool resume, owner;
	bool answered; /* the guest has: a connection that ends is a broken one */

	uint64_t files, directories, symlinks, skipped;
	uint64_t bytes;	  /* that were sent or received */
	uint64_t resumed; /* that were there already */
	uint64_t listed;  /* memory that the guest's lists of names take now */

	/* The file under way, for the progress line; name NULL: none. */
	const char *name;
	uint64_t at, size, began_at;
	deadline_t began, next;
};

typedef Vmctl__Agent__V1__FileStat Copy_stat;

/* How long one step may take; each gets as long. */
deadline_t copy_deadline(const struct copy *c);

/* DIR/NAME, to be freed; reports that there is no memory. */
char *copy_join(struct copy *c, const char *dir, const char *name);

/* Calls about names in the guest. *stat is freed with message_free(). */
enum status copy_stat(struct copy *c, const char *path, bool follow,
		      Vmctl__Agent__V1__StatFileResponse **stat);
/* The same; *stat is NULL for what is not there. */
enum status copy_stat_if_any(struct copy *c, const char *path, bool follow,
			     Vmctl__Agent__V1__StatFileResponse **stat);

/*
 * Copies one thing and what is in it: `name` in the directory `dir` of the host (an
 * open one) to `path` in the guest, or the other way. With --dry-run only looks whether
 * it is there, and can be read.
 */
enum status copy_put(struct copy *c, int dir, const char *name, const char *path);
enum status copy_get(struct copy *c, const char *path, int dir, const char *name);

/*
 * Reports a call about `path` that the guest failed: when it broke, with how far the
 * file under way has come, and how to go on.
 */
enum status copy_fail_guest(struct copy *c, const char *path, int ret,
			    struct error *err);

/* The progress line of a file: name, how much, how fast, how long yet. */
void copy_progress_begin(struct copy *c, const char *name, uint64_t at, uint64_t size);
void copy_progress(struct copy *c, uint64_t at);
void copy_progress_end(struct copy *c);

/* What is no file, directory or symlink stays where it is: a warning. */
void copy_skip(struct copy *c, const char *name);

#endif
