/* SPDX-License-Identifier: Apache-2.0 */
/* From the host to a guest. */
#include "copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "new_file.h"
#include "prefix.h"

/* What is read before it is sent may be so long. */
#define HELD_MAX (64u << 20)

typedef Vmctl__Agent__V1__WriteFileResponse Response;

/* The attributes of a file as messages. */
struct attributes {
	Vmctl__Agent__V1__FileAttributes all;
	Vmctl__Agent__V1__FileMode mode;
	Vmctl__Agent__V1__FileOwner owner;
	Vmctl__Agent__V1__FileTime mtime;
};

static enum status put(struct copy *c, int dir, const char *name, const char *path,
		       unsigned int depth);

static void fill(const struct copy *c, const struct stat *st, struct attributes *a)
{
	vmctl__agent__v1__file_attributes__init(&a->all);
	vmctl__agent__v1__file_mode__init(&a->mode);
	vmctl__agent__v1__file_owner__init(&a->owner);
	vmctl__agent__v1__file_time__init(&a->mtime);
	a->mode.bits = st->st_mode & 07777;
	/* Set-id for another owner than on the host would be another's power. */
	if (!c->owner)
		a->mode.bits &= 0777;
	a->owner.uid = st->st_uid;
	a->owner.gid = st->st_gid;
	a->mtime.sec = st->st_mtim.tv_sec;
	a->mtime.nsec = (uint32_t)st->st_mtim.tv_nsec;
	a->all.mode = &a->mode;
	a->all.mtime = &a->mtime;
	if (c->owner)
		a->all.owner = &a->owner;
}

static enum status fail_local(struct copy *c, const char *name, int code)
{
	return report_fail(c->report, STATUS_FAILURE, "%s: %s", name, strerror(code));
}

/* How much of the file the guest has from before. */
static enum status find_partial(struct copy *c, const char *path, uint64_t *size)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? (int)(slash + 1 - path) : 0;
	Vmctl__Agent__V1__StatFileResponse *stat = NULL;
	cleanup_free char *partial = NULL;
	enum status status;

	*size = 0;
	if (asprintf(&partial,
		     "%.*s" NEW_FILE_PARTIAL_PREFIX "%s" NEW_FILE_PARTIAL_SUFFIX, dir,
		     path, path + dir) < 0) {
		partial = NULL;
		return fail_local(c, path, ENOMEM);
	}
	status = copy_stat_if_any(c, partial, false, &stat);
	if (stat && stat->stat->type == VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_REGULAR)
		*size = stat->stat->size;
	message_free(stat);
	return status;
}

/* 1 with *response, to be freed; else an error. */
static int next(struct copy *c, struct rpc_stream *stream, deadline_t deadline,
		Response **response, struct error *err)
{
	ProtobufCMessage *message = NULL;
	int ret = guest_rpc_next(stream,
				 &vmctl__agent__v1__write_file_response__descriptor,
				 deadline, &message, err);

	(void)c;
	*response = (Response *)message;
	return ret ? ret : error_set(err, -EPROTO, "the stream ended early");
}

static int send_chunk(struct copy *c, struct rpc_stream *stream, uint8_t *data,
		      size_t len, struct error *err)
{
	Vmctl__Agent__V1__WriteFileRequest chunk =
		VMCTL__AGENT__V1__WRITE_FILE_REQUEST__INIT;
	Response *early = NULL;
	int ret;

	chunk.data.data = data;
	chunk.data.len = len;
	ret = guest_rpc_send(stream, &chunk.base, copy_deadline(c), err);
	if (ret)
		return ret;
	/* The guest may have given up: its disk is full. */
	ret = next(c, stream, DEADLINE_NOW, &early, err);
	message_free(early);
	if (ret == 1)
		return error_set(err, -EPROTO, "an answer before the end");
	return ret == -EAGAIN ? 0 : ret;
}

/* *local: the failure is the host's. */
static int send_data(struct copy *c, struct rpc_stream *stream, int fd, bool *local,
		     struct error *err)
{
	uint8_t buf[COPY_CHUNK];
	int ret = 0;

	while (!ret && c->at < c->size) {
		size_t want =
			c->size - c->at < sizeof(buf) ? c->size - c->at : sizeof(buf);
		ssize_t n = pread(fd, buf, want, (off_t)c->at);

		if (n < 0 && errno == EINTR)
			continue;
		*local = n <= 0;
		if (n <= 0)
			return error_set(err, n ? -errno : -ENODATA, "%s",
					 n ? strerror(errno)
					   : "it became shorter while it was copied; "
					     "copy it again");
		ret = send_chunk(c, stream, buf, (size_t)n, err);
		if (!ret)
			copy_progress(c, c->at + (uint64_t)n);
	}
	return ret;
}

static int finish(struct copy *c, struct rpc_stream *stream, struct error *err)
{
	Response *response = NULL;
	int ret = rpc_close_send(stream, err);
	bool done;

	if (!ret)
		ret = next(c, stream, copy_deadline(c), &response, err);
	if (ret != 1)
		return ret;
	done = response->done;
	message_free(response);
	if (!done)
		return error_set(err, -EPROTO,
				 "the guest does not say that it is done");
	ret = guest_rpc_next(stream, &vmctl__agent__v1__write_file_response__descriptor,
			     copy_deadline(c), (ProtobufCMessage **)&response, err);
	if (ret == 1) {
		message_free(response);
		ret = error_set(err, -EPROTO, "more than one end");
	}
	return ret;
}

static int stream_file(struct copy *c, int fd, Vmctl__Agent__V1__WriteFileOpen *request,
		       const char *path, bool *local, struct error *err)
{
	Vmctl__Agent__V1__WriteFileRequest first =
		VMCTL__AGENT__V1__WRITE_FILE_REQUEST__INIT;
	struct rpc_stream stream = {0};
	Response *response = NULL;
	uint64_t offset;
	int ret;

	first.open = request;
	ret = guest_rpc_open(&c->rpc, &stream, "WriteFile", &first.base,
			     RPC_CLIENT_SENDS, copy_deadline(c), err);
	if (!ret)
		ret = next(c, &stream, copy_deadline(c), &response, err);
	if (ret != 1)
		return ret;
	offset = response->offset;
	message_free(response);
	if (offset && (!request->prefix || offset != request->prefix->size)) {
		rpc_cancel(&stream);
		return error_set(err, -EPROTO, "the guest has an offset of its own");
	}
	c->resumed += offset;
	copy_progress_begin(c, path, offset, request->size);
	ret = send_data(c, &stream, fd, local, err);
	if (!ret)
		ret = finish(c, &stream, err);
	if (ret)
		rpc_cancel(&stream);
	return ret;
}

/* name: what it is called here. */
static enum status send_file(struct copy *c, int fd, const struct stat *st,
			     const char *name, const char *path)
{
	Vmctl__Agent__V1__WriteFileOpen request =
		VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	Vmctl__Agent__V1__FilePrefix prefix = VMCTL__AGENT__V1__FILE_PREFIX__INIT;
	uint8_t digest[PREFIX_DIGEST];
	struct attributes attributes;
	struct error err = {0};
	bool local = false;
	int ret;

	fill(c, st, &attributes);
	request.path = message_bytes(path);
	request.size = (uint64_t)st->st_size;
	request.attributes = &attributes.all;
	request.resumable = c->resume;
	if (c->resume && find_partial(c, path, &prefix.size) != STATUS_OK)
		return c->report->status;
	if (prefix.size && prefix.size <= request.size &&
	    !prefix_digest(fd, prefix.size, digest, NULL, NULL)) {
		prefix.sha256.data = digest;
		prefix.sha256.len = sizeof(digest);
		request.prefix = &prefix;
	}
	ret = stream_file(c, fd, &request, path, &local, &err);
	if (ret && local)
		return report_fail(c->report, STATUS_FAILURE, "%s: %s", name, err.text);
	if (ret)
		return copy_fail_guest(c, path, ret, &err);
	copy_progress_end(c);
	c->files++;
	return STATUS_OK;
}

/* A file of what is read from one, without a name. *size: how much that was. */
static int hold(int fd, off_t *size)
{
	cleanup_close int held = memfd_create("vmctl-cp", MFD_CLOEXEC);
	uint8_t buf[COPY_CHUNK];
	ssize_t n;
	int ret;

	if (held < 0)
		return -errno;
	for (*size = 0; (n = read(fd, buf, sizeof(buf))); *size += n) {
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0 || *size + n > HELD_MAX)
			return n < 0 ? -errno : -EFBIG;
		ret = io_pwrite_full(held, buf, (size_t)n, (uint64_t)*size);
		if (ret)
			return ret;
	}
	return steal_fd(&held);
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/*
 * The guest is told how much there is before it comes. Files of /proc say that they
 * have nothing, those of /sys that they have a page: what is so short is read first.
 */
static enum status put_file(struct copy *c, int fd, const struct stat *st,
			    const char *name, const char *path)
{
	cleanup_close int held = -1;
	struct stat is = *st, after;
	enum status status;

	if (st->st_size <= sysconf(_SC_PAGESIZE)) {
		held = hold(fd, &is.st_size);
		if (held < 0)
			return fail_local(c, name, -held);
	}
	status = send_file(c, held < 0 ? fd : held, &is, name, path);
	if (status == STATUS_OK && (fstat(fd, &after) < 0 || !same(st, &after)))
		report_warn(c->report, "%s changed while it was copied", name);
	return status;
}

static enum status put_symlink(struct copy *c, int dir, const char *name,
			       const struct stat *st, const char *path)
{
	Vmctl__Agent__V1__MakeSymlinkRequest request =
		VMCTL__AGENT__V1__MAKE_SYMLINK_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct attributes attributes;
	char target[PATH_MAX];
	struct error err = {0};
	ssize_t n = readlinkat(dir, name, target, sizeof(target));
	int ret;

	if (n < 0)
		return fail_local(c, name, errno);
	fill(c, st, &attributes);
	request.path = message_bytes(path);
	request.target.data = (uint8_t *)target;
	request.target.len = (size_t)n;
	request.attributes = &attributes.all;
	ret = guest_rpc_call(&c->rpc, "MakeSymlink", &request.base,
			     &vmctl__agent__v1__make_symlink_response__descriptor,
			     copy_deadline(c), &reply, &err);
	message_free(reply);
	if (ret)
		return copy_fail_guest(c, path, ret, &err);
	c->symlinks++;
	return STATUS_OK;
}

/* Twice: before what is in it, and after, with what that would change. */
static enum status make_directory(struct copy *c, const struct stat *st,
				  const char *path, bool last)
{
	Vmctl__Agent__V1__MakeDirectoryRequest request =
		VMCTL__AGENT__V1__MAKE_DIRECTORY_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct attributes attributes;
	struct error err = {0};
	int ret;

	fill(c, st, &attributes);
	request.path = message_bytes(path);
	if (last)
		request.attributes = &attributes.all;
	ret = guest_rpc_call(&c->rpc, "MakeDirectory", &request.base,
			     &vmctl__agent__v1__make_directory_response__descriptor,
			     copy_deadline(c), &reply, &err);
	message_free(reply);
	return ret ? copy_fail_guest(c, path, ret, &err) : STATUS_OK;
}

static enum status put_entries(struct copy *c, DIR *dir, const char *path,
			       unsigned int depth)
{
	enum status status = STATUS_OK;
	struct dirent *entry;

	while (status == STATUS_OK && (errno = 0, entry = readdir(dir))) {
		const char *name = entry->d_name;
		cleanup_free char *inner = NULL;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		inner = copy_join(c, path, name);
		status = inner ? put(c, dirfd(dir), name, inner, depth + 1)
			       : c->report->status;
	}
	if (status == STATUS_OK && errno)
		status = fail_local(c, path, errno);
	return status;
}

static enum status put_directory(struct copy *c, int fd, const struct stat *st,
				 const char *path, unsigned int depth)
{
	enum status status;
	DIR *dir;

	if (depth == COPY_DEPTH_MAX)
		return report_fail(c->report, STATUS_FAILURE,
				   "%s: directories %d deep are too many", path,
				   COPY_DEPTH_MAX);
	status = make_directory(c, st, path, false);
	if (status != STATUS_OK)
		return status;
	dir = fdopendir(dup(fd));
	if (!dir)
		return fail_local(c, path, errno);
	status = put_entries(c, dir, path, depth);
	closedir(dir);
	if (status != STATUS_OK)
		return status;
	c->directories++;
	return make_directory(c, st, path, true);
}

static enum status put(struct copy *c, int dir, const char *name, const char *path,
		       unsigned int depth)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail_local(c, name, errno);
	if (S_ISLNK(st.st_mode))
		return c->options->dry_run ? STATUS_OK
					   : put_symlink(c, dir, name, &st, path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		copy_skip(c, name);
		return STATUS_OK;
	}
	fd = openat(dir, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_local(c, name, errno);
	if (c->options->dry_run)
		return STATUS_OK;
	return S_ISDIR(st.st_mode) ? put_directory(c, fd, &st, path, depth)
				   : put_file(c, fd, &st, name, path);
}

enum status copy_put(struct copy *c, int dir, const char *name, const char *path)
{
	return put(c, dir, name, path, 0);
}
