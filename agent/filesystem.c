// SPDX-License-Identifier: Apache-2.0
#include "filesystem.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "log.h"
#include "mounts.h"
#include "usage.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

typedef Vmctl__Agent__V1__FilesystemResult Result;

static ProtobufCBinaryData bytes_of(char *text)
{
	return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static int send_usage(struct agent_task_io *io, const struct mount *m, bool all,
		      const struct usage *usage)
{
	const struct statvfs *stat = &usage->stat;
	Vmctl__Agent__V1__ListFilesystemsResponse r =
		VMCTL__AGENT__V1__LIST_FILESYSTEMS_RESPONSE__INIT;
	char type[64];

	if (!m->real && !all)
		return 0;
	r.error = -usage->error;
	if (r.error == ESTALE) /* hidden: not to be used by anyone */
		return 0;
	r.mountpoint = bytes_of(m->mountpoint);
	r.source = bytes_of(m->source);
	r.type = (char *)agent_log_printable(m->type, type, sizeof(type));
	r.read_only = m->read_only;
	r.total_bytes = (uint64_t)stat->f_blocks * stat->f_frsize;
	r.free_bytes = (uint64_t)stat->f_bfree * stat->f_frsize;
	r.available_bytes = (uint64_t)stat->f_bavail * stat->f_frsize;
	r.files = stat->f_files;
	r.files_free = stat->f_ffree;
	return agent_task_send(io, &r.base);
}

int filesystem_list(struct agent_task_io *io, const ProtobufCMessage *message,
		    struct error *err)
{
	const Vmctl__Agent__V1__ListFilesystemsRequest *request =
		(const Vmctl__Agent__V1__ListFilesystemsRequest *)message;
	cleanup_free struct usage *usage = NULL;
	struct mounts mounts;
	int ret = mounts_read(agent_task_options(io)->root, &mounts, err);

	if (!ret) {
		usage = calloc(mounts.n + 1, sizeof(*usage));
		ret = usage ? 0 : -ENOMEM;
	}
	if (!ret)
		usage_read(&mounts, request->all, usage);
	for (size_t i = 0; !ret && i < mounts.n; i++)
		ret = send_usage(io, &mounts.mount[i], request->all, &usage[i]);
	mounts_free(&mounts);
	return ret;
}

static void set_error(Result *r, int code)
{
	r->error = -code;
	r->message = code == -ENOTTY || code == -EOPNOTSUPP
			     ? (char *)"the file system cannot do that"
			     : strerror(-code);
}

static int send_trim(struct agent_task_io *io, const struct mount *m, uint64_t minimum)
{
	struct fstrim_range range = {.len = UINT64_MAX, .minlen = minimum};
	Result r = VMCTL__AGENT__V1__FILESYSTEM_RESULT__INIT;
	cleanup_close int fd = mounts_open(m);
	int ret = fd < 0 ? fd : 0;

	if (!ret && mounts_ioctl(fd, FITRIM, &range) < 0)
		ret = -errno;
	r.mountpoint = bytes_of(m->mountpoint);
	if (ret)
		set_error(&r, ret);
	else
		r.bytes = range.len;
	return agent_task_send(io, &r.base);
}

int filesystem_trim(struct agent_task_io *io, const ProtobufCMessage *message,
		    struct error *err)
{
	const Vmctl__Agent__V1__TrimFilesystemsRequest *request =
		(const Vmctl__Agent__V1__TrimFilesystemsRequest *)message;
	struct mounts mounts;
	int ret = mounts_read(agent_task_options(io)->root, &mounts, err);

	for (size_t i = 0; !ret && !request->n_mountpoints && i < mounts.n; i++)
		if (mounts.mount[i].real && !mounts.mount[i].read_only)
			ret = send_trim(io, &mounts.mount[i], request->minimum_bytes);
	for (size_t i = 0; !ret && i < request->n_mountpoints; i++) {
		const struct mount *m = mounts_find(&mounts, &request->mountpoints[i]);
		Result r = VMCTL__AGENT__V1__FILESYSTEM_RESULT__INIT;

		if (m) {
			ret = send_trim(io, m, request->minimum_bytes);
			continue;
		}
		r.mountpoint = request->mountpoints[i];
		r.error = ENOENT;
		r.message = (char *)"no file system is mounted there";
		ret = agent_task_send(io, &r.base);
	}
	mounts_free(&mounts);
	return ret;
}

static void thaw_one(const struct mounts *mounts, const ProtobufCBinaryData *name,
		     Result *r)
{
	const struct mount *m = mounts_find(mounts, name);
	cleanup_close int fd = m ? mounts_open(m) : -ENOENT;

	vmctl__agent__v1__filesystem_result__init(r);
	r->mountpoint = *name;
	if (fd < 0) {
		set_error(r, fd);
	} else if (mounts_ioctl(fd, FITHAW, NULL) < 0) {
		set_error(r, -errno);
		if (r->error == EINVAL)
			r->message = (char *)"it is not frozen";
	}
}

int filesystem_thaw(struct agent_task_io *io, const ProtobufCMessage *message,
		    struct error *err)
{
	const Vmctl__Agent__V1__ThawFilesystemsRequest *request =
		(const Vmctl__Agent__V1__ThawFilesystemsRequest *)message;
	Vmctl__Agent__V1__ThawFilesystemsResponse response =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;
	size_t n = request->n_mountpoints;
	cleanup_free Result *results = calloc(n + 1, sizeof(*results));
	cleanup_free Result **list = calloc(n + 1, sizeof(Result *));
	struct mounts mounts;
	int ret;

	if (!results || !list)
		return -ENOMEM;
	ret = mounts_read(agent_task_options(io)->root, &mounts, err);
	for (size_t i = 0; !ret && i < n; i++) {
		thaw_one(&mounts, &request->mountpoints[i], &results[i]);
		list[i] = &results[i];
	}
	response.results = list;
	response.n_results = n;
	if (!ret)
		ret = agent_task_send(io, &response.base);
	mounts_free(&mounts);
	return ret;
}
