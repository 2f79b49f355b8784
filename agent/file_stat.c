// SPDX-License-Identifier: Apache-2.0
#include "file_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

static Vmctl__Agent__V1__FileType type_of(mode_t mode)
{
	if (S_ISREG(mode))
		return VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_REGULAR;
	if (S_ISDIR(mode))
		return VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_DIRECTORY;
	if (S_ISLNK(mode))
		return VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_SYMLINK;
	return VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_OTHER;
}

void file_stat_fill(const struct stat *st, Vmctl__Agent__V1__FileStat *message)
{
	vmctl__agent__v1__file_stat__init(message);
	message->type = type_of(st->st_mode);
	message->mode = st->st_mode & 07777;
	message->uid = st->st_uid;
	message->gid = st->st_gid;
	message->size = st->st_size;
	message->mtime_sec = st->st_mtim.tv_sec;
	message->mtime_nsec = (uint32_t)st->st_mtim.tv_nsec;
}

static int check(const Vmctl__Agent__V1__FileAttributes *a, struct error *err)
{
	if (a->mode && a->mode->bits & ~07777u)
		return error_set(err, -EINVAL, "a mode of 0%o", a->mode->bits);
	if (a->mtime && a->mtime->nsec >= NS_PER_S)
		return error_set(err, -EINVAL, "a time of %u ns", a->mtime->nsec);
	return 0;
}

static void fill_times(const Vmctl__Agent__V1__FileTime *mtime,
		       struct timespec times[static 2])
{
	times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
	times[1] = (struct timespec){mtime->sec, mtime->nsec};
}

int file_stat_apply(int fd, const Vmctl__Agent__V1__FileAttributes *a,
		    struct error *err)
{
	struct timespec times[2];
	int ret;

	if (!a)
		return 0;
	ret = check(a, err);
	if (ret)
		return ret;
	/* The owner first: a change of it takes set-id bits away. */
	if (a->owner && fchown(fd, a->owner->uid, a->owner->gid) < 0)
		return error_set(err, -errno, "setting the owner: %s", strerror(errno));
	if (a->mode && fchmod(fd, a->mode->bits) < 0)
		return error_set(err, -errno, "setting the mode: %s", strerror(errno));
	if (a->mtime) {
		fill_times(a->mtime, times);
		if (futimens(fd, times) < 0)
			return error_set(err, -errno, "setting the time: %s",
					 strerror(errno));
	}
	return 0;
}

int file_stat_apply_symlink(int dir, const char *name,
			    const Vmctl__Agent__V1__FileAttributes *a,
			    struct error *err)
{
	struct timespec times[2];
	int ret;

	if (!a)
		return 0;
	ret = check(a, err);
	if (ret)
		return ret;
	if (a->owner &&
	    fchownat(dir, name, a->owner->uid, a->owner->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, -errno, "setting the owner: %s", strerror(errno));
	if (a->mtime) {
		fill_times(a->mtime, times);
		if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
			return error_set(err, -errno, "setting the time: %s",
					 strerror(errno));
	}
	return 0;
}
