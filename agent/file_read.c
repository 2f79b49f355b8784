// SPDX-License-Identifier: Apache-2.0
#include "file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "file_prefix.h"
#include "file_stat.h"
#include "rooted.h"

#define CHUNK (64u << 10)

/*
 * Opens a regular file. What a device does when it is opened, and a FIFO that waits for
 * somebody to write, are kept out of the way: the file is looked at first.
 */
static int open_regular(int root, const ProtobufCBinaryData *path, struct stat *st,
			struct error *err)
{
	cleanup_close int seen = rooted_open(root, path, O_PATH, err);
	cleanup_close int fd = -1;
	struct stat first;

	if (seen < 0)
		return seen;
	if (fstat(seen, &first) < 0)
		return error_set(err, -errno, "stat: %s", strerror(errno));
	if (!S_ISREG(first.st_mode))
		return error_set(err, -EINVAL, "%.*s is no regular file",
				 (int)path->len, (const char *)path->data);
	fd = rooted_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		return error_set(err, -errno, "stat: %s", strerror(errno));
	if (st->st_dev != first.st_dev || st->st_ino != first.st_ino)
		return error_set(err, -EBUSY, "%.*s was replaced meanwhile",
				 (int)path->len, (const char *)path->data);
	return steal_fd(&fd);
}

/* Up to `end`, so that a file which grows comes to an end. *at: how far it went. */
static int send_data(struct agent_task_io *io, int fd, uint64_t *at, uint64_t end,
		     struct error *err)
{
	Vmctl__Agent__V1__ReadFileResponse response =
		VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;
	uint8_t buf[CHUNK];
	int ret = 0;

	while (!ret && *at < end) {
		size_t want = end - *at < sizeof(buf) ? end - *at : sizeof(buf);
		ssize_t n = pread(fd, buf, want, (off_t)*at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "reading at %llu: %s",
					 (unsigned long long)*at, strerror(errno));
		if (!n)
			break;
		response.data.data = buf;
		response.data.len = n;
		ret = agent_task_send(io, &response.base);
		*at += n;
	}
	return ret;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int send_file(struct agent_task_io *io, int fd, const struct stat *st,
		     uint64_t at, struct error *err)
{
	/* Files of /proc and /sys have data, and say that they have none. */
	uint64_t end = st->st_size ? (uint64_t)st->st_size : INT64_MAX;
	Vmctl__Agent__V1__ReadFileResponse response =
		VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;
	struct stat after;
	int ret = send_data(io, fd, &at, end, err);

	if (ret)
		return ret;
	response.end = true;
	response.changed = fstat(fd, &after) < 0 || !same(st, &after) ||
			   (st->st_size && at != end);
	return agent_task_send(io, &response.base);
}

int file_read(struct agent_task_io *io, const ProtobufCMessage *message,
	      struct error *err)
{
	const Vmctl__Agent__V1__ReadFileRequest *request =
		(const Vmctl__Agent__V1__ReadFileRequest *)message;
	Vmctl__Agent__V1__ReadFileResponse response =
		VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;
	cleanup_close int root = rooted_root(agent_task_options(io)->files_root, err);
	cleanup_close int fd = -1;
	Vmctl__Agent__V1__FileStat stat;
	struct stat st;
	int ret;

	if (root < 0)
		return root;
	fd = open_regular(root, &request->path, &st, err);
	if (fd < 0)
		return fd;
	if (file_prefix_matches(io, fd, request->prefix))
		response.offset = request->prefix->size;
	file_stat_fill(&st, &stat);
	response.stat = &stat;
	ret = agent_task_send(io, &response.base);
	return ret ? ret : send_file(io, fd, &st, response.offset, err);
}
