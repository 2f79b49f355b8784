// SPDX-License-Identifier: Apache-2.0
#include "file_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "decode.h"
#include "file_prefix.h"
#include "file_stat.h"
#include "rooted.h"

#define NAME_TRIES 16

struct write {
	struct agent_task_io *io;
	struct rooted_name target;
	int fd;
	uint64_t at, size;
	bool resumable;
	char partial[NAME_MAX + 1];   /* the name of a resumable one, "" if too long */
	char temporary[NAME_MAX + 1]; /* what the file is called now; "": not at all */
};

static int random_name(char name[static NAME_MAX + 1], struct error *err)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return error_set(err, -errno, "getrandom: %s", strerror(errno));
	snprintf(name, NAME_MAX + 1, FILE_NEW_PREFIX "%016llx",
		 (unsigned long long)number);
	return 0;
}

static int create(struct write *w, const char *name)
{
	w->fd = openat(w->target.dir, name,
		       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return -errno;
	if (name != w->temporary)
		strcpy(w->temporary, name);
	return 0;
}

static int create_hidden(struct write *w, struct error *err)
{
	int ret = -EEXIST;

	for (int i = 0; i < NAME_TRIES && ret == -EEXIST; i++) {
		char name[NAME_MAX + 1];

		ret = random_name(name, err);
		if (!ret)
			ret = create(w, name);
	}
	return ret;
}

static int create_nameless(struct write *w, struct error *err)
{
	w->fd = openat(w->target.dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (w->fd >= 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL ||
	    errno == ENOENT)
		return create_hidden(w, err);
	return -errno;
}

/*
 * A partial file is one that this agent made: another user of the guest may have put
 * something else in its place, or may have it open for writing.
 */
static bool is_ours(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	       st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* Takes up a partial file that is the beginning of the peer's. */
static bool take_up(struct write *w, const Vmctl__Agent__V1__FilePrefix *prefix)
{
	cleanup_close int fd =
		openat(w->target.dir, w->partial,
		       O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || !prefix || prefix->size > w->size || !is_ours(fd) ||
	    !file_prefix_matches(w->io, fd, prefix))
		return false;
	/* What is behind the prefix was not compared. */
	if (ftruncate(fd, (off_t)prefix->size) < 0)
		return false;
	w->fd = steal_fd(&fd);
	w->at = prefix->size;
	strcpy(w->temporary, w->partial);
	return true;
}

static int create_partial(struct write *w, const Vmctl__Agent__V1__FilePrefix *prefix)
{
	if (!*w->partial)
		return -ENAMETOOLONG;
	if (take_up(w, prefix))
		return 0;
	if (unlinkat(w->target.dir, w->partial, 0) < 0 && errno != ENOENT)
		return -errno;
	return create(w, w->partial);
}

static int begin(struct write *w, const Vmctl__Agent__V1__WriteFileOpen *request,
		 struct error *err)
{
	struct stat st;
	int ret;

	if (request->size > INT64_MAX)
		return error_set(err, -EFBIG, "a file of %llu bytes",
				 (unsigned long long)request->size);
	w->size = request->size;
	w->resumable = request->resumable;
	if (snprintf(w->partial, sizeof(w->partial),
		     FILE_PARTIAL_PREFIX "%s" FILE_PARTIAL_SUFFIX,
		     w->target.name) > NAME_MAX)
		w->partial[0] = '\0';
	/* The end would find out too, after all of the data. */
	if (!fstatat(w->target.dir, w->target.name, &st, AT_SYMLINK_NOFOLLOW) &&
	    S_ISDIR(st.st_mode))
		return error_set(err, -EISDIR, "%s: %s", w->target.name,
				 strerror(EISDIR));
	ret = w->resumable ? create_partial(w, request->prefix)
			   : create_nameless(w, err);
	if (ret)
		return error_set(err, ret, "%s: %s", w->target.name, strerror(-ret));
	return 0;
}

static int put(struct write *w, const uint8_t *data, size_t len, struct error *err)
{
	if (len > w->size - w->at)
		return error_set(err, -EINVAL, "more data than the %llu bytes said",
				 (unsigned long long)w->size);
	while (len) {
		ssize_t n = pwrite(w->fd, data, len, (off_t)w->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int code = n ? errno : ENOSPC;

			return error_set(err, -code, "%s: writing at %llu: %s",
					 w->target.name, (unsigned long long)w->at,
					 strerror(code));
		}
		data += n;
		len -= n;
		w->at += n;
	}
	return 0;
}

/* 0: the stream ended well. */
static int take_data(struct write *w, struct error *err)
{
	ProtobufCMessage *message;
	int ret;

	while ((ret = agent_task_receive(w->io, &message)) > 0) {
		const Vmctl__Agent__V1__WriteFileRequest *request =
			(const Vmctl__Agent__V1__WriteFileRequest *)message;

		ret = request->open
			      ? error_set(err, -EINVAL, "a second file in a stream")
			      : put(w, request->data.data, request->data.len, err);
		agent_decode_free(message);
		if (ret)
			return ret;
	}
	if (!ret && w->at != w->size)
		return error_set(err, -EINVAL, "%llu bytes of the %llu said came",
				 (unsigned long long)w->at,
				 (unsigned long long)w->size);
	return ret;
}

/* Gives a nameless file a name that is free. */
static int link_as(struct write *w, const char *name)
{
	char path[32];

	if (!linkat(w->fd, "", w->target.dir, name, AT_EMPTY_PATH))
		return 0;
	if (errno != ENOENT && errno != EPERM)
		return -errno;
	/* That takes a privilege; this takes /proc. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd);
	return linkat(AT_FDCWD, path, w->target.dir, name, AT_SYMLINK_FOLLOW) < 0
		       ? -errno
		       : 0;
}

static int link_hidden(struct write *w, struct error *err)
{
	char name[NAME_MAX + 1];
	int ret = -EEXIST;

	for (int i = 0; i < NAME_TRIES && ret == -EEXIST; i++) {
		ret = random_name(name, err);
		if (!ret)
			ret = link_as(w, name);
	}
	if (!ret)
		strcpy(w->temporary, name);
	return ret;
}

static int give_name(struct write *w, struct error *err)
{
	const char *name = w->target.name;
	int ret = 0;

	if (!*w->temporary) {
		ret = link_as(w, name);
		if (ret != -EEXIST)
			return ret;
		ret = link_hidden(w, err);
	}
	if (!ret && renameat(w->target.dir, w->temporary, w->target.dir, name) < 0)
		ret = -errno;
	if (!ret)
		w->temporary[0] = '\0';
	return ret;
}

static int finish(struct write *w, const Vmctl__Agent__V1__FileAttributes *attributes,
		  struct error *err)
{
	cleanup_close int dir = -1;
	int ret = file_stat_apply(w->fd, attributes, err);

	if (ret)
		return ret;
	if (fsync(w->fd) < 0)
		return error_set(err, -errno, "%s: fsync: %s", w->target.name,
				 strerror(errno));
	ret = give_name(w, err);
	if (ret)
		return error_set(err, ret, "%s: %s", w->target.name, strerror(-ret));
	/* One of an earlier try, which was given up. */
	if (!w->resumable && *w->partial)
		unlinkat(w->target.dir, w->partial, 0);
	dir = rooted_reopen_dir(w->target.dir, err);
	if (dir < 0)
		return dir;
	if (fsync(dir) < 0)
		return error_set(err, -errno, "%s: fsync of its directory: %s",
				 w->target.name, strerror(errno));
	return 0;
}

static int answer(struct write *w, bool done)
{
	Vmctl__Agent__V1__WriteFileResponse response =
		VMCTL__AGENT__V1__WRITE_FILE_RESPONSE__INIT;

	response.offset = w->at;
	response.done = done;
	return agent_task_send(w->io, &response.base);
}

static int write_file(struct write *w, const Vmctl__Agent__V1__WriteFileOpen *request,
		      struct error *err)
{
	int ret = begin(w, request, err);

	if (!ret)
		ret = answer(w, false);
	if (!ret)
		ret = take_data(w, err);
	if (!ret)
		ret = finish(w, request->attributes, err);
	/* Nothing is left, but for what somebody may want to go on with. */
	if (ret && *w->temporary && !(w->resumable && ret == -ECANCELED))
		unlinkat(w->target.dir, w->temporary, 0);
	return ret ? ret : answer(w, true);
}

static int open_and_write(struct agent_task_io *io,
			  const Vmctl__Agent__V1__WriteFileOpen *request,
			  struct error *err)
{
	cleanup_close int root = rooted_root(agent_task_options(io)->files_root, err);
	struct write w = {.io = io, .fd = -1};
	int ret;

	if (root < 0)
		return root;
	ret = rooted_split(root, &request->path, &w.target, err);
	if (!ret)
		ret = write_file(&w, request, err);
	if (w.fd >= 0)
		close(w.fd);
	if (w.target.dir >= 0)
		close(w.target.dir);
	return ret;
}

int file_write(struct agent_task_io *io, const ProtobufCMessage *request,
	       struct error *err)
{
	const Vmctl__Agent__V1__WriteFileRequest *first;
	ProtobufCMessage *message = NULL;
	int ret = agent_task_receive(io, &message);

	(void)request; /* all comes by the stream */
	if (ret < 0)
		return ret;
	first = (const Vmctl__Agent__V1__WriteFileRequest *)message;
	if (!ret || !first->open || first->data.len)
		ret = error_set(err, -EINVAL, "the first message opens the file");
	else
		ret = open_and_write(io, first->open, err);
	agent_decode_free(message);
	return ret;
}
