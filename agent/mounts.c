// SPDX-License-Identifier: Apache-2.0
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "sysfile.h"

#define MOUNTS_MAX 4096

/* Those that the kernel calls "nodev", and have storage all the same. */
static const char *const without_device[] = {"9p",   "afs",	 "bcachefs", "ceph",
					     "cifs", "nfs",	 "nfs4",     "overlay",
					     "smb3", "virtiofs", "zfs"};

static int real_open(const char *path, int flags)
{
	return open(path, flags);
}

static int real_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

int (*mounts_open_path)(const char *path, int flags) = real_open;
int (*mounts_ioctl)(int fd, unsigned long request, void *arg) = real_ioctl;

/* "\040" and the like; the kernel writes so what would end a field or a line. */
static void decode(char *s)
{
	char *to = s;

	for (; *s; to++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
		    s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				     (s[3] - '0'));
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = '\0';
}

/* Of options with commas between them. */
static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (; options; options = strchr(options, ',')) {
		options += *options == ',';
		if (!strncmp(options, name, len) &&
		    (options[len] == ',' || !options[len]))
			return true;
	}
	return false;
}

static void free_mount(struct mount *m)
{
	free(m->mountpoint);
	free(m->source);
	free(m->type);
}

/* ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE SOURCE OPTIONS */
static int parse_line(char *line, struct mount *m)
{
	char *field[6], *save, *type, *source, *super;

	for (int i = 0; i < 6; i++) {
		field[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!field[i])
			return -EINVAL;
	}
	do {
		type = strtok_r(NULL, " \n", &save);
		if (!type)
			return -EINVAL;
	} while (strcmp(type, "-"));
	type = strtok_r(NULL, " \n", &save);
	source = strtok_r(NULL, " \n", &save);
	super = strtok_r(NULL, " \n", &save);
	if (!type || !source)
		return -EINVAL;
	if (!super) { /* an empty source: two spaces, which strtok takes for one */
		super = source;
		source = (char *)"";
	}
	m->id = strtoull(field[0], NULL, 10);
	if (sscanf(field[2], "%u:%u", &m->major, &m->minor) != 2)
		return -EINVAL;
	decode(field[4]);
	m->whole = !strcmp(field[3], "/");
	m->read_only = has_option(field[5], "ro") || has_option(super, "ro");
	m->mountpoint = strdup(field[4]);
	m->type = strdup(type);
	m->source = strdup(source);
	if (!m->mountpoint || !m->type || !m->source)
		return -ENOMEM;
	decode(m->type);
	decode(m->source);
	return 0;
}

/* One of several mounts of a file system: the first one of its whole stays. */
static int add(struct mounts *mounts, struct mount *m)
{
	struct mount *list;

	for (size_t i = 0; i < mounts->n; i++) {
		struct mount *other = &mounts->mount[i];

		if (other->major != m->major || other->minor != m->minor)
			continue;
		if (!other->whole && m->whole) {
			free_mount(other);
			*other = *m;
			*m = (struct mount){0};
		}
		return 0;
	}
	if (mounts->n == MOUNTS_MAX)
		return -E2BIG;
	list = realloc(mounts->mount, (mounts->n + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	mounts->mount = list;
	list[mounts->n++] = *m;
	*m = (struct mount){0};
	return 0;
}

static int read_mountinfo(FILE *file, struct mounts *mounts)
{
	cleanup_free char *line = NULL;
	size_t size = 0;
	int ret = 0;

	while (!ret && getline(&line, &size, file) >= 0) {
		struct mount m = {0};

		ret = parse_line(line, &m);
		if (!ret)
			ret = add(mounts, &m);
		free_mount(&m);
	}
	return ret;
}

/* Each line is a type, after "nodev" or not, and a tab. */
static void read_filesystems(FILE *file, struct mounts *mounts)
{
	cleanup_free char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, file) >= 0) {
		char *name = line + (*line == '\t');

		name[strcspn(name, "\n")] = '\0';
		for (size_t i = 0; *line == '\t' && i < mounts->n; i++)
			if (!strcmp(mounts->mount[i].type, name))
				mounts->mount[i].device = true;
	}
}

static bool has_storage(const struct mount *m)
{
	for (size_t i = 0; i < sizeof(without_device) / sizeof(*without_device); i++)
		if (!strcmp(m->type, without_device[i]))
			return true;
	return m->device || !strcmp(m->type, "fuseblk");
}

int mounts_read(const char *root, struct mounts *mounts, struct error *err)
{
	FILE *file;
	int ret;

	*mounts = (struct mounts){0};
	file = sysfile_stream(root, "/proc/self/mountinfo", err);
	if (!file)
		return err->code;
	ret = read_mountinfo(file, mounts);
	fclose(file);
	if (ret)
		return error_set(err, ret, "/proc/self/mountinfo: %s", strerror(-ret));
	file = sysfile_stream(root, "/proc/filesystems", err);
	if (!file)
		return err->code;
	read_filesystems(file, mounts);
	fclose(file);
	for (size_t i = 0; i < mounts->n; i++)
		mounts->mount[i].real = has_storage(&mounts->mount[i]);
	return 0;
}

void mounts_free(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->n; i++)
		free_mount(&mounts->mount[i]);
	free(mounts->mount);
	*mounts = (struct mounts){0};
}

const struct mount *mounts_find(const struct mounts *mounts,
				const ProtobufCBinaryData *mountpoint)
{
	/* What was mounted last is what is to be seen. */
	for (size_t i = mounts->n; i--;) {
		const char *name = mounts->mount[i].mountpoint;

		if (strlen(name) == mountpoint->len &&
		    !memcmp(name, mountpoint->data, mountpoint->len))
			return &mounts->mount[i];
	}
	return NULL;
}

int mounts_open(const struct mount *mount)
{
	cleanup_close int fd =
		mounts_open_path(mount->mountpoint, O_RDONLY | O_NONBLOCK | O_NOFOLLOW |
							    O_NOCTTY | O_CLOEXEC);
	struct statx st;

	if (fd < 0)
		return errno == ELOOP ? -ESTALE : -errno;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return -errno;
	if (!(st.stx_mask & STATX_MNT_ID) || st.stx_mnt_id != mount->id)
		return -ESTALE;
	return steal_fd(&fd);
}
