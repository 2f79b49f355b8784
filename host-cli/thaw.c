/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include "cleanup.h"
#include "filesystem.h"
#include "verbs.h"

static const struct options_syntax syntax = {
	.verb = "thaw",
	.operands = "VM [MOUNTPOINT...]",
	.about = "Ends vmctl freeze. With names: thaws these, whoever froze them.",
	.min_args = 1,
	.max_args = INT_MAX,
	.changes = true,
};

static void tell(const Vmctl__Agent__V1__ThawFilesystemsResponse *response,
		 struct report *r)
{
	size_t failed = 0;

	report_set(r, "expired", json_boolean(response->expired));
	for (size_t i = 0; i < response->n_results; i++) {
		filesystem_result(r, response->results[i], "thawed");
		failed += r->options->nargs > 1 && response->results[i]->error;
	}
	if (response->expired)
		report_fail(r, STATUS_REFUSED,
			    "the time was up: the guest has written since then");
	else if (failed)
		report_fail(r, STATUS_REFUSED, "%zu of %zu were not thawed", failed,
			    response->n_results);
}

static int thaw(struct rpc *rpc, void *into, deadline_t deadline, struct report *r,
		struct error *err)
{
	Vmctl__Agent__V1__ThawFilesystemsRequest request =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_REQUEST__INIT;
	cleanup_free ProtobufCBinaryData *names =
		filesystem_names(r->options, &request.n_mountpoints, r);
	ProtobufCMessage *reply = NULL;
	int ret;

	(void)into;
	if (!names)
		return 0;
	if (r->options->dry_run)
		return filesystem_would(rpc, "thaw", deadline, r, err);
	request.mountpoints = names;
	ret = guest_rpc_call(rpc, "ThawFilesystems", &request.base,
			     &vmctl__agent__v1__thaw_filesystems_response__descriptor,
			     deadline, &reply, err);
	if (ret)
		return ret;
	report_step_end(r);
	tell((Vmctl__Agent__V1__ThawFilesystemsResponse *)reply, r);
	message_free(reply);
	return 0;
}

int thaw_main(int argc, char **argv)
{
	return filesystem_run(argc, argv, &syntax, NULL, NULL, thaw);
}
