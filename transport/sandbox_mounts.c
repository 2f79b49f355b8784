/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"

/* Any directory does: what is mounted there becomes the root. */
#define NEW_ROOT "/proc"

/* A directory that stays in sight: a copy of its mount, not yet attached. */
struct sight {
	char path[PATH_MAX]; /* from the root on, unresolved */
	int tree;
};

struct sights {
	struct sight of[SANDBOX_PATHS_MAX];
	size_t count;
};

static int directory_of(const char *file, const char *cwd, char path[static PATH_MAX],
			struct error *err)
{
	const char *end = strrchr(file, '/');
	int len = end ? (int)(end - file) : 0, n;

	if (file[0] == '/')
		n = snprintf(path, PATH_MAX, "%.*s", len ? len : 1, file);
	else
		n = snprintf(path, PATH_MAX, "%s%s%.*s", cwd, len ? "/" : "", len,
			     file);
	if (n >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "the path of %s is too long",
				 file);
	return 0;
}

static int look_at(struct sights *sights, const char *file, const char *cwd,
		   struct error *err)
{
	struct sight *sight = &sights->of[sights->count];
	int ret = directory_of(file, cwd, sight->path, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < sights->count; i++)
		if (!strcmp(sights->of[i].path, sight->path))
			return 0;
	sight->tree = open_tree(AT_FDCWD, sight->path,
				OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (sight->tree < 0)
		return error_set(err, -errno, "cannot take %s along: %s", sight->path,
				 strerror(errno));
	sights->count++;
	return 0;
}

/* The directory and all above it, below the current one. */
static int make_directories(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')); at++) {
		int ret;

		*at = 0;
		ret = mkdir(path + 1, 0755) < 0 && errno != EEXIST ? -errno : 0;
		*at = '/';
		if (ret < 0)
			return ret;
	}
	return mkdir(path + 1, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int show(struct sights *sights, const char *cwd, struct error *err)
{
	struct mount_attr plain = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					       MOUNT_ATTR_NOEXEC};
	char here[PATH_MAX];

	snprintf(here, sizeof(here), "%s", cwd);
	if (make_directories(here) < 0)
		return error_set(err, -errno, "cannot make %s: %s", cwd,
				 strerror(errno));
	for (size_t i = 0; i < sights->count; i++) {
		struct sight *sight = &sights->of[i];

		if (make_directories(sight->path) < 0 ||
		    move_mount(sight->tree, "", AT_FDCWD, sight->path + 1,
			       MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return error_set(err, -errno, "cannot show %s: %s", sight->path,
					 strerror(errno));
		mount_setattr(AT_FDCWD, sight->path + 1, AT_RECURSIVE, &plain,
			      sizeof(plain));
	}
	return 0;
}

/* In the new root, which becomes the root. */
static int enter(const char *cwd, struct error *err)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return error_set(err, -errno, "cannot change the root: %s",
				 strerror(errno));
	/* Both lie on top of each other: the old one goes. */
	umount2(".", MNT_DETACH);
	mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
	      NULL);
	if (chdir(cwd) < 0)
		return error_set(err, -errno, "cannot go back to %s: %s", cwd,
				 strerror(errno));
	return 0;
}

static int build(struct sights *sights, const char *cwd, struct error *err)
{
	int ret;

	if (mount("vsockd", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=755,size=64k") < 0)
		return error_set(err, -errno, "cannot mount a tmpfs: %s",
				 strerror(errno));
	if (chdir(NEW_ROOT) < 0)
		ret = error_set(err, -errno, "cannot enter the new root: %s",
				strerror(errno));
	else
		ret = show(sights, cwd, err);
	if (ret == 0)
		ret = enter(cwd, err);
	if (ret < 0) {
		umount2(NEW_ROOT, MNT_DETACH);
		if (chdir(cwd) < 0)
			return error_set(err, -errno, "cannot go back to %s: %s", cwd,
					 strerror(errno));
	}
	return ret;
}

int sandbox_mounts(const struct sandbox *sandbox, struct error *err)
{
	static struct sights sights;
	char cwd[PATH_MAX];
	int ret = 0;

	sights.count = 0;
	if (!getcwd(cwd, sizeof(cwd)))
		return error_set(err, -errno, "cannot tell the current directory: %s",
				 strerror(errno));
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_set(err, -errno, "cannot keep mounts to itself: %s",
				 strerror(errno));
	for (size_t i = 0; ret == 0 && i < sandbox->paths; i++)
		ret = look_at(&sights, sandbox->path[i], cwd, err);
	for (size_t i = 0; ret == 0 && i < sights.count; i++)
		if (!strcmp(sights.of[i].path, "/"))
			ret = error_set(err, -EINVAL,
					"a socket is in the root directory");
	if (ret == 0)
		ret = build(&sights, cwd, err);
	for (size_t i = 0; i < sights.count; i++)
		close(sights.of[i].tree);
	return ret;
}
