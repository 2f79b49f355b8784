/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>

#include "cleanup.h"
#include "filesystem.h"
#include "text.h"
#include "verbs.h"

struct trim {
	uint64_t minimum;
};

static int set_minimum(void *into, const char *value, struct error *err)
{
	struct trim *t = into;

	if (text_number(value, 0, INT64_MAX, &t->minimum))
		return error_set(err, -EINVAL, "--minimum %s: give bytes", value);
	return 0;
}

static const struct option_spec specs[] = {
	{"minimum", "BYTES", "leave shorter free ranges alone (0)", 0, set_minimum},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "trim",
	.operands = "VM [MOUNTPOINT...]",
	.about = "Tells the disks which blocks of the guest's file systems are free.",
	.own = specs,
	.min_args = 1,
	.max_args = INT_MAX,
	.changes = true,
};

/* What is named must be trimmed; of all, those that can be. */
static void judge(struct report *r, size_t named, size_t done, size_t failed)
{
	if (failed && (named || !done))
		report_fail(r, STATUS_REFUSED, "%zu of %zu were not trimmed", failed,
			    done + failed);
}

static int trim(struct rpc *rpc, void *into, deadline_t deadline, struct report *r,
		struct error *err)
{
	Vmctl__Agent__V1__TrimFilesystemsRequest request =
		VMCTL__AGENT__V1__TRIM_FILESYSTEMS_REQUEST__INIT;
	cleanup_free ProtobufCBinaryData *names =
		filesystem_names(r->options, &request.n_mountpoints, r);
	struct rpc_stream stream = {0};
	size_t done = 0, failed = 0;
	int ret;

	if (!names)
		return 0;
	if (r->options->dry_run)
		return filesystem_would(rpc, "trim", deadline, r, err);
	request.mountpoints = names;
	request.minimum_bytes = ((struct trim *)into)->minimum;
	ret = guest_rpc_open(rpc, &stream, "TrimFilesystems", &request.base,
			     RPC_SERVER_SENDS, deadline, err);
	while (!ret) {
		ProtobufCMessage *message = NULL;
		const Vmctl__Agent__V1__FilesystemResult *one;

		ret = filesystem_next(&stream,
				      &vmctl__agent__v1__filesystem_result__descriptor,
				      deadline, &message, err);
		if (ret != 1)
			break;
		one = (const Vmctl__Agent__V1__FilesystemResult *)message;
		report_step_end(r);
		filesystem_result(r, one, "trimmed");
		*(one->error ? &failed : &done) += 1;
		message_free(message);
		ret = 0;
	}
	if (!ret)
		judge(r, request.n_mountpoints, done, failed);
	return ret;
}

int trim_main(int argc, char **argv)
{
	struct trim t = {0};

	return filesystem_run(argc, argv, &syntax, NULL, &t, trim);
}
