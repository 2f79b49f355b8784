// SPDX-License-Identifier: Apache-2.0
#include "file_write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "decode.h"
#include "file_prefix.h"
#include "file_stat.h"
#include "io.h"
#include "new_file.h"
#include "rooted.h"

struct write {
	struct agent_task_io *io;
	struct rooted_name target;
	struct new_file file;
	uint64_t at, size;
};

/* Takes up a partial file that is the beginning of the peer's. */
static bool take_up(struct write *w, const Vmctl__Agent__V1__FilePrefix *prefix)
{
	if (!prefix || prefix->size > w->size || new_file_open_partial(&w->file) ||
	    !file_prefix_matches(w->io, w->file.fd, prefix) ||
	    new_file_go_on(&w->file, prefix->size))
		return false;
	w->at = prefix->size;
	return true;
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
	/* The end would find out too, after all of the data. */
	if (!fstatat(w->target.dir, w->target.name, &st, AT_SYMLINK_NOFOLLOW) &&
	    S_ISDIR(st.st_mode))
		return error_set(err, -EISDIR, "%s: %s", w->target.name,
				 strerror(EISDIR));
	ret = take_up(w, request->prefix) ? 0 : new_file_create(&w->file);
	if (ret)
		return error_set(err, ret, "%s: %s", w->target.name, strerror(-ret));
	return 0;
}

static int put(struct write *w, const uint8_t *data, size_t len, struct error *err)
{
	int ret;

	if (len > w->size - w->at)
		return error_set(err, -EINVAL, "more data than the %llu bytes said",
				 (unsigned long long)w->size);
	ret = io_pwrite_full(w->file.fd, data, len, w->at);
	if (ret)
		return error_set(err, ret, "%s: writing at %llu: %s", w->target.name,
				 (unsigned long long)w->at, strerror(-ret));
	w->at += len;
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

static int finish(struct write *w, const Vmctl__Agent__V1__FileAttributes *attributes,
		  struct error *err)
{
	int ret = file_stat_apply(w->file.fd, attributes, err);

	if (ret)
		return ret;
	ret = new_file_finish(&w->file);
	if (ret)
		return error_set(err, ret, "%s: %s", w->target.name, strerror(-ret));
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
	int ret;

	new_file_init(&w->file, w->target.dir, w->target.name, request->resumable);
	ret = begin(w, request, err);
	if (!ret)
		ret = answer(w, false);
	if (!ret)
		ret = take_data(w, err);
	if (!ret)
		ret = finish(w, request->attributes, err);
	/* Nothing is left, but for what somebody may want to go on with. */
	new_file_close(&w->file, ret == -ECANCELED);
	return ret ? ret : answer(w, true);
}

static int open_and_write(struct agent_task_io *io,
			  const Vmctl__Agent__V1__WriteFileOpen *request,
			  struct error *err)
{
	cleanup_close int root = rooted_root(agent_task_options(io)->files_root, err);
	struct write w = {.io = io};
	int ret;

	if (root < 0)
		return root;
	ret = rooted_split(root, &request->path, &w.target, err);
	if (ret)
		return ret;
	ret = write_file(&w, request, err);
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
