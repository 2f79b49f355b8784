// SPDX-License-Identifier: Apache-2.0
#include "file_entry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "decode.h"
#include "file_stat.h"
#include "new_file.h"
#include "rooted.h"

#define BATCH_ENTRIES 64
#define BATCH_BYTES   (32u << 10)

static int open_root(const struct agent_task_io *io, struct error *err)
{
	return rooted_root(agent_task_options(io)->files_root, err);
}

/* name "": of the descriptor itself. The target goes into `target`. */
static int stat_at(int dir, const char *name, Vmctl__Agent__V1__FileStat *message,
		   char target[static PATH_MAX])
{
	struct stat st;
	ssize_t n;

	if (fstatat(dir, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	file_stat_fill(&st, message);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(dir, name, target, PATH_MAX);
	if (n < 0)
		return -errno;
	message->target.data = (uint8_t *)target;
	message->target.len = n;
	return 0;
}

int file_entry_stat(struct agent_task_io *io, const ProtobufCMessage *message,
		    struct error *err)
{
	const Vmctl__Agent__V1__StatFileRequest *request =
		(const Vmctl__Agent__V1__StatFileRequest *)message;
	Vmctl__Agent__V1__StatFileResponse response =
		VMCTL__AGENT__V1__STAT_FILE_RESPONSE__INIT;
	cleanup_close int root = open_root(io, err), fd = -1;
	Vmctl__Agent__V1__FileStat stat;
	char target[PATH_MAX];
	int ret;

	if (root < 0)
		return root;
	fd = rooted_open(root, &request->path,
			 request->follow ? O_PATH : O_PATH | O_NOFOLLOW, err);
	if (fd < 0)
		return fd;
	ret = stat_at(fd, "", &stat, target);
	if (ret)
		return error_set(err, ret, "stat: %s", strerror(-ret));
	response.stat = &stat;
	return agent_task_send(io, &response.base);
}

/* Entries that go in one message. */
struct batch {
	struct agent_task_io *io;
	size_t n, bytes;
	Vmctl__Agent__V1__DirectoryEntry entry[BATCH_ENTRIES];
	Vmctl__Agent__V1__DirectoryEntry *list[BATCH_ENTRIES];
	Vmctl__Agent__V1__FileStat stat[BATCH_ENTRIES];
	char target[BATCH_ENTRIES][PATH_MAX];
	char name[BATCH_ENTRIES][NAME_MAX + 1];
};

static int send_batch(struct batch *b)
{
	Vmctl__Agent__V1__ListDirectoryResponse response =
		VMCTL__AGENT__V1__LIST_DIRECTORY_RESPONSE__INIT;

	response.entries = b->list;
	response.n_entries = b->n;
	b->n = b->bytes = 0;
	return response.n_entries ? agent_task_send(b->io, &response.base) : 0;
}

static int add_entry(struct batch *b, int dir, const char *name)
{
	size_t i = b->n, len = strlen(name);
	int ret = stat_at(dir, name, &b->stat[i], b->target[i]);

	if (ret == -ENOENT || len > NAME_MAX)
		return 0; /* it went meanwhile */
	if (ret)
		return ret;
	memcpy(b->name[i], name, len + 1);
	vmctl__agent__v1__directory_entry__init(&b->entry[i]);
	b->entry[i].name.data = (uint8_t *)b->name[i];
	b->entry[i].name.len = len;
	b->entry[i].stat = &b->stat[i];
	b->list[i] = &b->entry[i];
	b->n++;
	b->bytes += len + b->stat[i].target.len;
	return b->n == BATCH_ENTRIES || b->bytes >= BATCH_BYTES ? send_batch(b) : 0;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static int list(struct batch *b, DIR *dir)
{
	struct dirent *entry;
	int ret = 0;

	while (!ret && (errno = 0, entry = readdir(dir)))
		if (!is_dots(entry->d_name))
			ret = add_entry(b, dirfd(dir), entry->d_name);
	if (!ret && errno)
		ret = -errno;
	return ret ? ret : send_batch(b);
}

int file_entry_list(struct agent_task_io *io, const ProtobufCMessage *message,
		    struct error *err)
{
	const Vmctl__Agent__V1__ListDirectoryRequest *request =
		(const Vmctl__Agent__V1__ListDirectoryRequest *)message;
	static struct batch batch; /* too large for a stack */
	cleanup_close int root = open_root(io, err), fd = -1;
	DIR *dir;
	int ret;

	if (root < 0)
		return root;
	fd = rooted_open(root, &request->path, O_RDONLY | O_DIRECTORY, err);
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return error_set(err, -errno, "fdopendir: %s", strerror(errno));
	steal_fd(&fd);
	batch.io = io;
	ret = list(&batch, dir);
	closedir(dir);
	return ret;
}

/* Makes those directories of a path that are missing, but for the last. */
static int make_parents(int root, const ProtobufCBinaryData *path, struct error *err)
{
	/* This process is the call's own; all else that it makes gets its mode by name.
	 */
	umask(022);
	for (size_t len = 1; len < path->len; len++) {
		ProtobufCBinaryData part = {len, path->data};
		struct rooted_name name;
		int ret;

		if (path->data[len] != '/' || path->data[len - 1] == '/')
			continue;
		/* ".." and "." are there already. */
		ret = rooted_open(root, &part, O_PATH | O_DIRECTORY, err);
		if (ret >= 0) {
			close(ret);
			continue;
		}
		if (ret != -ENOENT)
			return ret;
		ret = rooted_split(root, &part, &name, err);
		if (ret)
			return ret;
		ret = mkdirat(name.dir, name.name, 0755) < 0 && errno != EEXIST ? -errno
										: 0;
		close(name.dir);
		if (ret)
			return error_set(err, ret, "%s: %s", name.name, strerror(-ret));
	}
	return 0;
}

/* *fd: the directory, made or found. */
static int make_and_open(const struct rooted_name *name, bool *existed, int *fd,
			 struct error *err)
{
	*existed = false;
	if (mkdirat(name->dir, name->name, 0700) < 0) {
		if (errno != EEXIST)
			return error_set(err, -errno, "%s: %s", name->name,
					 strerror(errno));
		*existed = true;
	}
	*fd = openat(name->dir, name->name,
		     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return error_set(err, errno == ELOOP ? -ENOTDIR : -errno, "%s: %s",
				 name->name,
				 strerror(errno == ELOOP ? ENOTDIR : errno));
	return 0;
}

static int make_directory(int root, const Vmctl__Agent__V1__MakeDirectoryRequest *r,
			  bool *existed, struct error *err)
{
	cleanup_close int fd = -1;
	struct rooted_name name;
	int ret;

	if (r->parents) {
		ret = make_parents(root, &r->path, err);
		if (ret)
			return ret;
	}
	ret = rooted_split(root, &r->path, &name, err);
	if (ret)
		return ret;
	ret = make_and_open(&name, existed, &fd, err);
	if (!ret && !*existed && (!r->attributes || !r->attributes->mode) &&
	    fchmod(fd, 0755) < 0)
		ret = error_set(err, -errno, "%s: %s", name.name, strerror(errno));
	if (!ret)
		ret = file_stat_apply(fd, r->attributes, err);
	close(name.dir);
	return ret;
}

int file_entry_make_directory(struct agent_task_io *io, const ProtobufCMessage *message,
			      struct error *err)
{
	Vmctl__Agent__V1__MakeDirectoryResponse response =
		VMCTL__AGENT__V1__MAKE_DIRECTORY_RESPONSE__INIT;
	cleanup_close int root = open_root(io, err);
	bool existed = false;
	int ret;

	if (root < 0)
		return root;
	ret = make_directory(root,
			     (const Vmctl__Agent__V1__MakeDirectoryRequest *)message,
			     &existed, err);
	response.existed = existed;
	return ret ? ret : agent_task_send(io, &response.base);
}

/* Makes it under a name of its own, and renames it, so that it replaces what is there.
 */
static int make_symlink(const struct rooted_name *name, const char *target,
			const Vmctl__Agent__V1__FileAttributes *attributes,
			struct error *err)
{
	char temporary[NAME_MAX + 1];
	int ret = new_file_random_name(temporary);

	if (ret)
		return error_set(err, ret, "getrandom: %s", strerror(-ret));
	if (symlinkat(target, name->dir, temporary) < 0)
		return error_set(err, -errno, "%s: %s", name->name, strerror(errno));
	ret = file_stat_apply_symlink(name->dir, temporary, attributes, err);
	if (!ret && renameat(name->dir, temporary, name->dir, name->name) < 0)
		ret = error_set(err, -errno, "%s: %s", name->name, strerror(errno));
	if (ret)
		unlinkat(name->dir, temporary, 0);
	return ret;
}

int file_entry_make_symlink(struct agent_task_io *io, const ProtobufCMessage *message,
			    struct error *err)
{
	const Vmctl__Agent__V1__MakeSymlinkRequest *request =
		(const Vmctl__Agent__V1__MakeSymlinkRequest *)message;
	Vmctl__Agent__V1__MakeSymlinkResponse response =
		VMCTL__AGENT__V1__MAKE_SYMLINK_RESPONSE__INIT;
	cleanup_close int root = open_root(io, err);
	struct rooted_name name;
	char target[PATH_MAX];
	int ret;

	if (root < 0)
		return root;
	if (!agent_decode_text(&request->target, target, sizeof(target)))
		return error_set(err, -EINVAL, "a target of %zu bytes",
				 request->target.len);
	ret = rooted_split(root, &request->path, &name, err);
	if (ret)
		return ret;
	ret = make_symlink(&name, target, request->attributes, err);
	close(name.dir);
	return ret ? ret : agent_task_send(io, &response.base);
}
