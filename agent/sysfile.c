// SPDX-License-Identifier: Apache-2.0
#include "sysfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

int sysfile_open(const char *root, const char *path, int flags, struct error *err)
{
	char full[PATH_MAX];
	int n, fd;

	n = snprintf(full, sizeof(full), "%s%s", root, path);
	if (n < 0 || (size_t)n >= sizeof(full))
		return error_set(err, -ENAMETOOLONG, "path below %s is too long", root);
	fd = open(full, flags | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_set(err, -errno, "open %s: %s", full, strerror(errno));
	return fd;
}

int sysfile_read(const char *root, const char *path, char *buf, size_t size,
		 struct error *err)
{
	/* A FIFO that somebody has put there is not waited for. */
	cleanup_close int fd = sysfile_open(root, path, O_RDONLY | O_NONBLOCK, err);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	for (;;) {
		if (used == size)
			return error_set(err, -EFBIG, "%s%s is larger than %zu bytes",
					 root, path, size - 1);
		n = read(fd, buf + used, size - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "read %s%s: %s", root, path,
					 strerror(errno));
		if (!n)
			break;
		used += n;
	}
	buf[used] = '\0';
	return used;
}

int sysfile_read_number(const char *root, const char *path, int base, long long *value,
			struct error *err)
{
	char text[SYSFILE_MAX], *end;
	int ret = sysfile_read(root, path, text, sizeof(text), err);

	if (ret < 0)
		return ret;
	errno = 0;
	*value = strtoll(text, &end, base);
	if (errno || end == text || (*end && *end != '\n'))
		return error_set(err, -EINVAL, "%s%s is no number", root, path);
	return 0;
}

int sysfile_read_line(const char *root, const char *path, char *to, size_t size,
		      struct error *err)
{
	char text[SYSFILE_MAX];
	int ret = sysfile_read(root, path, text, sizeof(text), err);

	text[ret < 0 ? 0 : strcspn(text, "\n")] = '\0';
	agent_log_printable(text, to, size);
	return ret < 0 ? ret : 0;
}

FILE *sysfile_stream(const char *root, const char *path, struct error *err)
{
	cleanup_close int fd = sysfile_open(root, path, O_RDONLY, err);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (file)
		steal_fd(&fd);
	else if (fd >= 0)
		error_set(err, -errno, "open %s%s: %s", root, path, strerror(errno));
	return file;
}

bool sysfile_exists(const char *root, const char *path)
{
	cleanup_close int fd = sysfile_open(root, path, O_PATH, NULL);

	return fd >= 0;
}

int sysfile_node(const char *root, const char *dir)
{
	char full[PATH_MAX];
	int node = -1;
	DIR *entries;

	if ((size_t)snprintf(full, sizeof(full), "%s%s", root, dir) >= sizeof(full))
		return -1;
	entries = opendir(full);
	if (!entries)
		return -1;
	for (struct dirent *e; node < 0 && (e = readdir(entries));)
		if (!strncmp(e->d_name, "node", 4) && e->d_name[4] >= '0' &&
		    e->d_name[4] <= '9')
			node = (int)strtol(e->d_name + 4, NULL, 10);
	closedir(entries);
	return node;
}

int sysfile_write(const char *root, const char *path, const char *text,
		  struct error *err)
{
	cleanup_close int fd = sysfile_open(root, path, O_WRONLY, err);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = write(fd, text, strlen(text));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_set(err, -errno, "write to %s%s: %s", root, path,
				 strerror(errno));
	return 0;
}
