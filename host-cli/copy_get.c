/* SPDX-License-Identifier: Apache-2.0 */
/* From a guest to the host. */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "new_file.h"
#include "prefix.h"

/*
 * What all directories on the way may have listed at a time, in bytes: more than a
 * million names. Each takes so much, besides what came for it.
 */
#define LISTED_MAX (256u << 20)
#define ENTRY_COST 200

typedef Vmctl__Agent__V1__ReadFileResponse Response;
typedef Vmctl__Agent__V1__ListDirectoryResponse Names;

static enum status get(struct copy *c, const char *path, const Copy_stat *stat, int dir,
		       const char *name, unsigned int depth);

static enum status fail_local(struct copy *c, const char *name, int ret)
{
	return report_fail(c->report, STATUS_FAILURE, "%s: %s", name, strerror(-ret));
}

/* 1 with *response, to be freed; 0 at the end. */
static int next(struct copy *c, struct rpc_stream *stream, Response **response,
		struct error *err)
{
	ProtobufCMessage *message = NULL;
	int ret = guest_rpc_next(stream,
				 &vmctl__agent__v1__read_file_response__descriptor,
				 copy_deadline(c), &message, err);

	*response = (Response *)message;
	return ret;
}

/* *local: the failure is the host's. */
static int receive_data(struct copy *c, struct rpc_stream *stream, int fd, bool *local,
			struct error *err)
{
	Response *response;
	int ret;

	while ((ret = next(c, stream, &response, err)) == 1) {
		uint64_t len = response->data.len;
		bool ends = response->end, changed = response->changed;

		/*
		 * A guest could go on for ever with messages of nothing. A file of
		 * /proc has data, and says that it has none.
		 */
		if (!len && !ends)
			ret = error_set(err, -EPROTO, "a message with nothing in it");
		else if (c->size && len > c->size - c->at)
			ret = error_set(err, -EPROTO, "more data than the file has");
		else
			ret = io_pwrite_full(fd, response->data.data, len, c->at);
		*local = ret && ret != -EPROTO;
		message_free(response);
		if (ret)
			return ret;
		copy_progress(c, c->at + len);
		if (changed)
			report_warn(c->report, "%s changed while it was copied",
				    c->name);
		if (ends)
			return 0;
	}
	return ret ? ret : error_set(err, -EPROTO, "the stream ended early");
}

/* What the host has from before, for the guest to compare. */
static void offer_prefix(struct new_file *file, Vmctl__Agent__V1__FilePrefix *prefix,
			 uint8_t digest[static PREFIX_DIGEST])
{
	struct stat st;

	if (new_file_open_partial(file) || fstat(file->fd, &st) < 0 || !st.st_size ||
	    prefix_digest(file->fd, (uint64_t)st.st_size, digest, NULL, NULL))
		return;
	prefix->size = (uint64_t)st.st_size;
	prefix->sha256.data = digest;
	prefix->sha256.len = PREFIX_DIGEST;
}

/* The first message: where the data begins. */
static int take_first(struct copy *c, struct rpc_stream *stream,
		      const Vmctl__Agent__V1__FilePrefix *prefix, const char *path,
		      uint32_t *mode, struct timespec *mtime, struct error *err)
{
	Response *first = NULL;
	int ret = next(c, stream, &first, err);

	if (ret != 1)
		return ret ? ret : error_set(err, -EPROTO, "the stream ended early");
	ret = 0;
	if (!first->stat || (first->offset && first->offset != prefix->size)) {
		ret = error_set(err, -EPROTO, "an answer that makes no sense");
	} else {
		*mode = first->stat->mode & 0777;
		mtime->tv_sec = first->stat->mtime_sec;
		mtime->tv_nsec = first->stat->mtime_nsec % 1000000000;
		c->resumed += first->offset;
		copy_progress_begin(c, path, first->offset, first->stat->size);
	}
	message_free(first);
	return ret;
}

static int finish(struct copy *c, struct new_file *file, const Copy_stat *stat,
		  uint32_t mode, struct timespec mtime)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, mtime};

	if (c->owner && fchown(file->fd, stat->uid, stat->gid) < 0)
		return -errno;
	if (fchmod(file->fd, mode) < 0 || futimens(file->fd, times) < 0)
		return -errno;
	return new_file_finish(file);
}

/* The reason is reported. *keep: a partial file is worth keeping. */
static enum status receive(struct copy *c, struct new_file *file, const char *path,
			   const Copy_stat *stat, bool *keep)
{
	Vmctl__Agent__V1__ReadFileRequest request =
		VMCTL__AGENT__V1__READ_FILE_REQUEST__INIT;
	Vmctl__Agent__V1__FilePrefix prefix = VMCTL__AGENT__V1__FILE_PREFIX__INIT;
	uint8_t digest[PREFIX_DIGEST];
	struct rpc_stream stream = {0};
	struct timespec mtime = {0};
	struct error err = {0};
	bool local = false;
	uint32_t mode = 0;
	int ret;

	request.path = message_bytes(path);
	offer_prefix(file, &prefix, digest);
	if (prefix.size)
		request.prefix = &prefix;
	ret = guest_rpc_open(&c->rpc, &stream, "ReadFile", &request.base,
			     RPC_SERVER_SENDS, copy_deadline(c), &err);
	if (!ret)
		ret = take_first(c, &stream, &prefix, path, &mode, &mtime, &err);
	if (!ret) {
		ret = c->at ? new_file_go_on(file, c->at) : new_file_create(file);
		local = ret;
	}
	if (!ret)
		ret = receive_data(c, &stream, file->fd, &local, &err);
	rpc_cancel(&stream);
	if (!ret) {
		ret = finish(c, file, stat, mode, mtime);
		local = ret;
	}
	*keep = ret && !local;
	if (!ret)
		return STATUS_OK;
	if (local)
		return fail_local(c, file->name, ret);
	return copy_fail_guest(c, path, ret, &err);
}

/* Of the handler below, which undoes it. */
static struct new_file *under_way;

/* All that this calls may be called from a handler. */
static void leave_nothing(int signal)
{
	new_file_close(under_way, true);
	raise(signal); /* which ends the command, now that it has been reset */
}

/*
 * Where a file system cannot have a file without a name, a command that is killed would
 * leave the hidden one. NULL: no file any more.
 */
static void mind_signals(struct new_file *file)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction handled = {.sa_handler = leave_nothing,
				    .sa_flags = (int)SA_RESETHAND},
			 standard = {.sa_handler = SIG_DFL}, old;

	if (file)
		under_way = file;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (!sigaction(signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(signals[i], file ? &handled : &standard, NULL);
}

static enum status get_file(struct copy *c, const char *path, const Copy_stat *stat,
			    int dir, const char *name)
{
	struct new_file file;
	enum status status;
	bool keep = false;

	new_file_init(&file, dir, name, c->resume);
	mind_signals(&file);
	status = receive(c, &file, path, stat, &keep);
	new_file_close(&file, keep);
	mind_signals(NULL);
	copy_progress_end(c);
	if (status == STATUS_OK)
		c->files++;
	return status;
}

static enum status get_symlink(struct copy *c, const Copy_stat *stat, int dir,
			       const char *name)
{
	char target[PATH_MAX], temporary[NAME_MAX + 1];
	int ret = new_file_random_name(temporary);

	if (!stat->target.len || stat->target.len >= sizeof(target) ||
	    memchr(stat->target.data, '\0', stat->target.len))
		return report_fail(c->report, STATUS_REFUSED,
				   "%s: the guest names no target of the symlink",
				   name);
	memcpy(target, stat->target.data, stat->target.len);
	target[stat->target.len] = '\0';
	if (!ret && symlinkat(target, dir, temporary) < 0)
		ret = -errno;
	if (!ret && renameat(dir, temporary, dir, name) < 0) {
		ret = -errno;
		unlinkat(dir, temporary, 0);
	}
	if (ret)
		return fail_local(c, name, ret);
	c->symlinks++;
	return STATUS_OK;
}

/* A name that a guest chose: one component of a path. */
static char *take_name(const ProtobufCBinaryData *bytes)
{
	char *name;

	if (!bytes->len || bytes->len > NAME_MAX ||
	    memchr(bytes->data, '\0', bytes->len) ||
	    memchr(bytes->data, '/', bytes->len))
		return NULL;
	name = strndup((const char *)bytes->data, bytes->len);
	if (name && (!strcmp(name, ".") || !strcmp(name, ".."))) {
		free(name);
		return NULL;
	}
	return name;
}

/* What a directory of the guest has. One stream at a time: they are collected first. */
struct entries {
	Names **message;
	size_t n;
	uint64_t bytes;
};

/* Takes the message over. */
static int add_names(struct copy *c, struct entries *e, Names *names, struct error *err)
{
	Names **list = reallocarray(e->message, e->n + 1, sizeof(*list));
	uint64_t bytes = protobuf_c_message_get_packed_size(&names->base) +
			 names->n_entries * ENTRY_COST;

	if (!list) {
		message_free(names);
		return error_set(err, -ENOMEM, "no memory");
	}
	e->message = list;
	e->message[e->n++] = names;
	e->bytes += bytes;
	c->listed += bytes;
	if (!names->n_entries)
		return error_set(err, -EPROTO, "a message with nothing in it");
	return c->listed > LISTED_MAX ? -E2BIG : 0;
}

static int list(struct copy *c, const char *path, struct entries *e, struct error *err)
{
	Vmctl__Agent__V1__ListDirectoryRequest request =
		VMCTL__AGENT__V1__LIST_DIRECTORY_REQUEST__INIT;
	struct rpc_stream stream = {0};
	ProtobufCMessage *message;
	int ret;

	request.path = message_bytes(path);
	ret = guest_rpc_open(&c->rpc, &stream, "ListDirectory", &request.base,
			     RPC_SERVER_SENDS, copy_deadline(c), err);
	while (!ret) {
		ret = guest_rpc_next(
			&stream, &vmctl__agent__v1__list_directory_response__descriptor,
			copy_deadline(c), &message, err);
		if (ret != 1)
			break;
		ret = add_names(c, e, (Names *)message, err);
	}
	rpc_cancel(&stream);
	return ret;
}

static enum status get_entry(struct copy *c, const char *path,
			     const Vmctl__Agent__V1__DirectoryEntry *entry, int dir,
			     unsigned int depth)
{
	cleanup_free char *name = take_name(&entry->name), *inner = NULL;

	if (!name || !entry->stat)
		return report_fail(c->report, STATUS_REFUSED,
				   "%s: the guest lists what is no name of a file",
				   path);
	inner = copy_join(c, path, name);
	return inner ? get(c, inner, entry->stat, dir, name, depth + 1)
		     : c->report->status;
}

static enum status get_entries(struct copy *c, const char *path, int dir,
			       unsigned int depth)
{
	struct entries e = {0};
	struct error err = {0};
	enum status status = STATUS_OK;
	int ret = list(c, path, &e, &err);

	if (ret == -E2BIG) {
		status = report_fail(c->report, STATUS_FAILURE,
				     "%s: the guest lists more names than fit into %u "
				     "MiB; copy what is in it in parts",
				     path, LISTED_MAX >> 20);
	} else if (ret) {
		status = copy_fail_guest(c, path, ret, &err);
	}
	for (size_t i = 0; i < e.n; i++) {
		for (size_t j = 0; status == STATUS_OK && j < e.message[i]->n_entries;
		     j++)
			status = get_entry(c, path, e.message[i]->entries[j], dir,
					   depth);
		message_free(e.message[i]);
	}
	free(e.message);
	c->listed -= e.bytes;
	return status;
}

static enum status get_directory(struct copy *c, const char *path,
				 const Copy_stat *stat, int dir, const char *name,
				 unsigned int depth)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {stat->mtime_sec, stat->mtime_nsec % 1000000000}};
	cleanup_close int fd = -1;
	enum status status;

	if (depth == COPY_DEPTH_MAX)
		return report_fail(c->report, STATUS_FAILURE,
				   "%s: directories %d deep are too many", path,
				   COPY_DEPTH_MAX);
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return fail_local(c, name, -errno);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_local(c, name, -errno);
	status = get_entries(c, path, fd, depth);
	if (status != STATUS_OK)
		return status;
	if (c->owner && fchown(fd, stat->uid, stat->gid) < 0)
		return fail_local(c, name, -errno);
	if (fchmod(fd, stat->mode & 0777) < 0 || futimens(fd, times) < 0)
		return fail_local(c, name, -errno);
	c->directories++;
	return STATUS_OK;
}

static enum status get(struct copy *c, const char *path, const Copy_stat *stat, int dir,
		       const char *name, unsigned int depth)
{
	bool would = c->options->dry_run;

	switch (stat->type) {
	case VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_REGULAR:
		return would ? STATUS_OK : get_file(c, path, stat, dir, name);
	case VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_DIRECTORY:
		return would ? STATUS_OK
			     : get_directory(c, path, stat, dir, name, depth);
	case VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_SYMLINK:
		return would ? STATUS_OK : get_symlink(c, stat, dir, name);
	default:
		copy_skip(c, path);
		return STATUS_OK;
	}
}

enum status copy_get(struct copy *c, const char *path, int dir, const char *name)
{
	Vmctl__Agent__V1__StatFileResponse *stat = NULL;
	enum status status = copy_stat(c, path, false, &stat);

	if (status == STATUS_OK)
		status = get(c, path, stat->stat, dir, name, 0);
	message_free(stat);
	return status;
}
