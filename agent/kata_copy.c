// SPDX-License-Identifier: Apache-2.0
/*
 * CopyFile. The path is gone through one name at a time, and no symbolic link is
 * followed: whoever writes below the directory cannot lead a copy out of it. A file
 * comes in pieces, which gather beside it under another name until it is whole.
 */
#include "kata.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "decode.h"
#include "io.h"
#include "kata/agent.pb-c.h"

#define PART_PREFIX  ".vmctl-part."
#define NAME_LEN_MAX (NAME_MAX - (int)sizeof(PART_PREFIX))
#define DEPTH_MAX    64

/* The directory itself, made if need be. */
static int open_base(const char *root, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s" KATA_COPY_DIR, root) >=
	    sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the path below %s is too long",
				 root);
	mkdir(path, 0700);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set(err, -errno, "open %s: %s", path, strerror(errno));
	return fd;
}

static bool is_name(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") &&
	       strlen(name) <= NAME_LEN_MAX;
}

/* The directory of that name, made with a mode if need be. */
static int enter(int dir, const char *name, mode_t mode, struct error *err)
{
	int fd;

	if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
		return error_set(err, -errno, "mkdir '%s': %s", name, strerror(errno));
	fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return error_set(err, -errno, "'%s' is no directory to copy to: %s",
				 name, strerror(errno));
	return fd;
}

/*
 * Opens the directory that path's last name is in; *name points to that. The path is
 * written to.
 */
static int open_parent(const char *root, char *path, mode_t mode, char **name,
		       struct error *err)
{
	size_t prefix = strlen(KATA_COPY_DIR "/");
	cleanup_close int dir = -1;
	unsigned int depth = 0;
	char *next;

	if (strncmp(path, KATA_COPY_DIR "/", prefix))
		return error_set(err, -EINVAL, "'%.200s' is not below " KATA_COPY_DIR,
				 path);
	dir = open_base(root, err);
	if (dir < 0)
		return dir;
	for (*name = path + prefix; (next = strchr(*name, '/')); *name = next + 1) {
		int fd;

		*next = '\0';
		if (!is_name(*name) || ++depth > DEPTH_MAX)
			return error_set(err, -EINVAL, "the path has '%.64s' in it",
					 *name);
		fd = enter(dir, *name, mode, err);
		if (fd < 0)
			return fd;
		close(dir);
		dir = fd;
	}
	if (!is_name(*name))
		return error_set(err, -EINVAL, "a file cannot be named '%.64s'", *name);
	return steal_fd(&dir);
}

static int give(int dir, const char *name, const Grpc__CopyFileRequest *request,
		struct error *err)
{
	if (fchownat(dir, name, request->uid, request->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, -errno, "chown '%s': %s", name, strerror(errno));
	return 0;
}

static int copy_directory(int dir, const char *name,
			  const Grpc__CopyFileRequest *request, struct error *err)
{
	cleanup_close int fd = enter(dir, name, request->file_mode & 07777, err);
	cleanup_close int own = -1;

	if (fd < 0)
		return fd;
	own = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (own < 0 || fchmod(own, request->file_mode & 07777) < 0)
		return error_set(err, -errno, "chmod '%s': %s", name, strerror(errno));
	return give(dir, name, request, err);
}

static int copy_link(int dir, const char *name, const Grpc__CopyFileRequest *request,
		     struct error *err)
{
	char target[PATH_MAX];

	if (!agent_decode_text(&request->data, target, sizeof(target)))
		return error_set(err, -EINVAL, "no target of a symbolic link");
	unlinkat(dir, name, 0);
	if (symlinkat(target, dir, name) < 0)
		return error_set(err, -errno, "symlink '%s': %s", name,
				 strerror(errno));
	return give(dir, name, request, err);
}

static int open_part(int dir, const char *part, const Grpc__CopyFileRequest *request,
		     struct error *err)
{
	cleanup_close int fd =
		openat(dir, part,
		       O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
			       (request->offset ? 0 : O_TRUNC),
		       0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, -errno, "open '%s': %s", part, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "'%s' is no file", part);
	return steal_fd(&fd);
}

static int copy_regular(int dir, const char *name, const Grpc__CopyFileRequest *request,
			struct error *err)
{
	char part[NAME_MAX + 1];
	cleanup_close int fd = -1;
	struct stat st;
	int ret;

	snprintf(part, sizeof(part), PART_PREFIX "%.*s", NAME_LEN_MAX, name);
	fd = open_part(dir, part, request, err);
	if (fd < 0)
		return fd;
	ret = io_pwrite_full(fd, request->data.data, request->data.len,
			     (uint64_t)request->offset);
	if (ret)
		return error_set(err, ret, "write: %s", strerror(-ret));
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "stat '%s': %s", part, strerror(errno));
	if (st.st_size != request->file_size)
		return 0; /* more is to come */
	if (fchown(fd, request->uid, request->gid) < 0 ||
	    fchmod(fd, request->file_mode & 07777) < 0)
		return error_set(err, -errno, "chown or chmod '%s': %s", name,
				 strerror(errno));
	if (renameat(dir, part, dir, name) < 0)
		return error_set(err, -errno, "rename to '%s': %s", name,
				 strerror(errno));
	return 0;
}

int kata_copy(const char *root, const Grpc__CopyFileRequest *request, struct error *err)
{
	cleanup_close int dir = -1;
	char path[PATH_MAX], *name = NULL;
	mode_t parents = request->dir_mode & 07777;

	if (strlen(request->path) >= sizeof(path))
		return error_set(err, -EINVAL, "a path of %zu bytes",
				 strlen(request->path));
	if (request->offset < 0 || request->file_size < 0 ||
	    request->offset > request->file_size ||
	    (int64_t)request->data.len > request->file_size - request->offset)
		return error_set(err, -EINVAL, "a piece that is not of the file");
	strcpy(path, request->path);
	umask(0);
	dir = open_parent(root, path, parents ? parents : 0755, &name, err);
	if (dir < 0)
		return dir;
	switch (request->file_mode & S_IFMT) {
	case S_IFDIR:
		return copy_directory(dir, name, request, err);
	case S_IFLNK:
		return copy_link(dir, name, request, err);
	case S_IFREG:
	case 0:
		return copy_regular(dir, name, request, err);
	default:
		return error_set(err, -EINVAL, "neither file, directory nor link");
	}
}
