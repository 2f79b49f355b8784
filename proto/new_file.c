/* SPDX-License-Identifier: Apache-2.0 */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define NAME_TRIES 16

int new_file_random_name(char name[static NAME_MAX + 1])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(name, NAME_MAX + 1, NEW_FILE_PREFIX "%016llx",
		 (unsigned long long)number);
	return 0;
}

void new_file_init(struct new_file *f, int dir, const char *name, bool resumable)
{
	f->fd = -1;
	f->dir = dir;
	f->name = name;
	f->resumable = resumable;
	f->temporary[0] = '\0';
	if (snprintf(f->partial, sizeof(f->partial),
		     NEW_FILE_PARTIAL_PREFIX "%s" NEW_FILE_PARTIAL_SUFFIX,
		     name) > NAME_MAX)
		f->partial[0] = '\0';
}

static int create(struct new_file *f, const char *name)
{
	int ret = 0;

	/* Before it is there: a signal's handler may have to take it away. */
	strcpy(f->temporary, name);
	f->fd = openat(f->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (f->fd < 0) {
		ret = -errno;
		f->temporary[0] = '\0';
	}
	return ret;
}

static int create_hidden(struct new_file *f)
{
	char name[NAME_MAX + 1];
	int ret = -EEXIST;

	for (int i = 0; i < NAME_TRIES && ret == -EEXIST; i++) {
		ret = new_file_random_name(name);
		if (!ret)
			ret = create(f, name);
	}
	return ret;
}

static int create_nameless(struct new_file *f)
{
	f->fd = openat(f->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ||
	    errno == ENOENT)
		return create_hidden(f);
	return -errno;
}

static bool is_ours(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       st.st_uid == geteuid() && !(st.st_mode & 077);
}

int new_file_open_partial(struct new_file *f)
{
	cleanup_close int fd = -1;

	if (!f->resumable || !*f->partial)
		return -ENOENT;
	fd = openat(f->dir, f->partial,
		    O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || !is_ours(fd))
		return -ENOENT;
	f->fd = steal_fd(&fd);
	return 0;
}

int new_file_go_on(struct new_file *f, uint64_t size)
{
	/* What is behind that was not compared. */
	if (ftruncate(f->fd, (off_t)size) < 0)
		return -errno;
	strcpy(f->temporary, f->partial);
	return 0;
}

int new_file_create(struct new_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (!f->resumable)
		return create_nameless(f);
	if (!*f->partial)
		return -ENAMETOOLONG;
	if (unlinkat(f->dir, f->partial, 0) < 0 && errno != ENOENT)
		return -errno;
	return create(f, f->partial);
}

/* Gives a nameless file a name that is free. */
static int link_as(const struct new_file *f, const char *name)
{
	char path[32];

	if (!linkat(f->fd, "", f->dir, name, AT_EMPTY_PATH))
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	/* That takes a privilege; this takes /proc. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, path, f->dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int link_hidden(struct new_file *f)
{
	char name[NAME_MAX + 1];
	int ret = -EEXIST;

	for (int i = 0; i < NAME_TRIES && ret == -EEXIST; i++) {
		ret = new_file_random_name(name);
		strcpy(f->temporary, ret ? "" : name);
		if (!ret)
			ret = link_as(f, name);
	}
	if (ret)
		f->temporary[0] = '\0';
	return ret;
}

static int give_name(struct new_file *f)
{
	int ret = 0;

	if (!*f->temporary) {
		ret = link_as(f, f->name);
		if (ret != -EEXIST)
			return ret;
		ret = link_hidden(f);
	}
	if (!ret && renameat(f->dir, f->temporary, f->dir, f->name) < 0)
		ret = -errno;
	if (!ret)
		f->temporary[0] = '\0';
	return ret;
}

static int sync_dir(int dir)
{
	cleanup_close int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Where one may write, but not list, that is left to the kernel. */
	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	/* Some file systems of other machines cannot. */
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int new_file_finish(struct new_file *f)
{
	int ret;

	if (fsync(f->fd) < 0)
		return -errno;
	ret = give_name(f);
	if (ret)
		return ret;
	/* One of an earlier try, which was given up. */
	if (!f->resumable && *f->partial)
		unlinkat(f->dir, f->partial, 0);
	return sync_dir(f->dir);
}

void new_file_close(struct new_file *f, bool keep)
{
	if (*f->temporary && !(keep && f->resumable))
		unlinkat(f->dir, f->temporary, 0);
	f->temporary[0] = '\0';
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
