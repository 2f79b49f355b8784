// SPDX-License-Identifier: Apache-2.0
#include "rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

/* openat2 gives up with EAGAIN when something is renamed while it looks at "..". */
#define TRIES 128

int rooted_root(const char *path, struct error *err)
{
	int fd = open(path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, -errno, "the root of the files, %s: %s",
				 path ? path : "/", strerror(errno));
	return fd;
}

/* The bytes as a string. */
static int take_path(const ProtobufCBinaryData *path, char text[static PATH_MAX],
		     struct error *err)
{
	if (!path->len)
		return error_set(err, -EINVAL, "a path is missing");
	if (path->len >= PATH_MAX)
		return error_set(err, -ENAMETOOLONG, "a path of %zu bytes", path->len);
	if (memchr(path->data, '\0', path->len))
		return error_set(err, -EINVAL, "a path with a zero byte in it");
	memcpy(text, path->data, path->len);
	text[path->len] = '\0';
	return 0;
}

static int open_in_root(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int tries = TRIES;
	long fd;

	do {
		fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --tries)));
	return fd < 0 ? -errno : (int)fd;
}

int rooted_open(int root, const ProtobufCBinaryData *path, int flags, struct error *err)
{
	char text[PATH_MAX];
	int fd = take_path(path, text, err);

	if (fd)
		return fd;
	fd = open_in_root(root, text, flags);
	if (fd < 0)
		return error_set(err, fd, "%s: %s", text, strerror(-fd));
	return fd;
}

int rooted_split(int root, const ProtobufCBinaryData *path, struct rooted_name *name,
		 struct error *err)
{
	char text[PATH_MAX], *last;
	const char *dir = "/";
	size_t len;
	int ret;

	name->dir = -1;
	ret = take_path(path, text, err);
	if (ret)
		return ret;
	len = strlen(text);
	while (len && text[len - 1] == '/')
		text[--len] = '\0';
	last = strrchr(text, '/');
	if (last) {
		*last++ = '\0';
		dir = *text ? text : "/";
	} else {
		last = text;
	}
	if (!*last || !strcmp(last, ".") || !strcmp(last, ".."))
		return error_set(err, -EINVAL, "'%s' is no name of a file", last);
	if (strlen(last) > NAME_MAX)
		return error_set(err, -ENAMETOOLONG, "%.64s...: %s", last,
				 strerror(ENAMETOOLONG));
	strcpy(name->name, last);
	name->dir = open_in_root(root, dir, O_PATH | O_DIRECTORY);
	if (name->dir < 0)
		return error_set(err, name->dir, "%s: %s", dir, strerror(-name->dir));
	return 0;
}
