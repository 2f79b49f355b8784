// SPDX-License-Identifier: Apache-2.0
/* How full a volume is, and the host's shares. */
#include "kata.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "agent.h"
#include "cleanup.h"
#include "kata/agent.pb-c.h"
#include "sysfile.h"

static Grpc__VolumeUsage usage_of(uint64_t total, uint64_t available, uint64_t unit,
				  Grpc__VolumeUsage__Unit name)
{
	Grpc__VolumeUsage usage = GRPC__VOLUME_USAGE__INIT;

	usage.total = total * unit;
	usage.available = available * unit;
	usage.used = (total - available) * unit;
	usage.unit = name;
	return usage;
}

static int make_stats(struct agent_answer *answer, const struct agent *agent,
		      const ProtobufCMessage *message, struct error *err)
{
	const char *path =
		((const Grpc__VolumeStatsRequest *)message)->volume_guest_path;
	Grpc__VolumeStatsResponse response = GRPC__VOLUME_STATS_RESPONSE__INIT;
	Grpc__VolumeCondition condition = GRPC__VOLUME_CONDITION__INIT;
	Grpc__VolumeUsage usage[2], *list[2] = {&usage[0], &usage[1]};
	cleanup_close int fd = -1;
	struct statfs st;

	if (*path != '/')
		return error_set(err, -EINVAL, "'%.200s' is no absolute path", path);
	fd = sysfile_open(agent->options->root, path, O_PATH, err);
	if (fd < 0)
		return error_set(err, -EIO, "open %.200s: %s", path, strerror(-fd));
	if (fstatfs(fd, &st) < 0)
		return error_set(err, -EIO, "statfs %.200s: %s", path, strerror(errno));
	usage[0] = usage_of(st.f_blocks, st.f_bfree, st.f_bsize,
			    GRPC__VOLUME_USAGE__UNIT__BYTES);
	usage[1] =
		usage_of(st.f_files, st.f_ffree, 1, GRPC__VOLUME_USAGE__UNIT__INODES);
	condition.message = (char *)"OK";
	response.n_usage = 2;
	response.usage = list;
	response.volume_condition = &condition;
	return agent_answer_send(answer, &response.base, err);
}

/*
 * The host's virtiofsd lets go of what is not there any more when the guest looks at
 * its shares again. Nothing is unmounted, whatever the call's name says, and a share
 * that cannot be looked at is no error.
 */
static int make_shares(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *message, struct error *err)
{
	const char *root = agent->options->root;
	FILE *mounts = sysfile_stream(root, "/proc/self/mounts", err);
	char line[2 * PATH_MAX], path[2 * PATH_MAX];
	struct mntent entry;
	struct stat st;

	(void)message;
	if (!mounts)
		return error_prefix(err, "looking for shares");
	while (getmntent_r(mounts, &entry, line, sizeof(line))) {
		if (strncmp(entry.mnt_dir, KATA_SHARE_DIR, strlen(KATA_SHARE_DIR)))
			continue;
		snprintf(path, sizeof(path), "%s%s", root, entry.mnt_dir);
		stat(path, &st);
	}
	fclose(mounts);
	return kata_send_empty(answer, err);
}

static void stats(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_stats);
}

static void shares(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start_slow(call, request, make_shares);
}

static const struct agent_method methods[] = {
	{
		.name = "GetVolumeStats",
		.request = &grpc__volume_stats_request__descriptor,
		.request_max = 8192,
		.response = &grpc__volume_stats_response__descriptor,
		.handle = stats,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "RemoveStaleVirtiofsShareMounts",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__empty__descriptor,
		.handle = shares,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service kata_volume_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
