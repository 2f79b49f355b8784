/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "filesystem.h"
#include "text.h"
#include "verbs.h"

#define LASTS_MAX_MS 600000

struct freeze {
	int64_t lasts_ms; /* 0: as the agent likes */
	bool status;
};

static int set_lasts(void *into, const char *value, struct error *err)
{
	struct freeze *f = into;

	if (text_seconds(value, &f->lasts_ms) || f->lasts_ms > LASTS_MAX_MS)
		return error_set(err, -EINVAL,
				 "--thaw-after %s: give seconds, at most 600", value);
	return 0;
}

static int set_status(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct freeze *)into)->status = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"thaw-after", "SECONDS", "when it ends by itself (30)", 0, set_lasts},
	{"status", NULL, "say what is frozen, and how long yet", 0, set_status},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "freeze",
	.operands = "VM [MOUNTPOINT...]",
	.about = "Writes what the guest's file systems have in memory, and keeps them "
		 "as they are\nuntil vmctl thaw, or until the time is up: for a "
		 "snapshot of the disk.",
	.own = specs,
	.min_args = 1,
	.max_args = INT_MAX,
	.changes = true,
};

static int tell_status(struct rpc *rpc, deadline_t deadline, struct report *r,
		       struct error *err)
{
	Vmctl__Agent__V1__GetFreezeStatusRequest request =
		VMCTL__AGENT__V1__GET_FREEZE_STATUS_REQUEST__INIT;
	Vmctl__Agent__V1__GetFreezeStatusResponse *s;
	json_t *list = json_array();
	ProtobufCMessage *reply = NULL;
	char text[1024];
	int ret;

	report_set(r, "mountpoints", list);
	ret = guest_rpc_call(rpc, "GetFreezeStatus", &request.base,
			     &vmctl__agent__v1__get_freeze_status_response__descriptor,
			     deadline, &reply, err);
	if (ret)
		return ret;
	s = (Vmctl__Agent__V1__GetFreezeStatusResponse *)reply;
	report_step_end(r);
	report_set(r, "frozen", json_boolean(s->frozen));
	report_set(r, "left_ms", json_integer((json_int_t)s->left_ms));
	for (size_t i = 0; i < s->n_mountpoints; i++) {
		json_array_append_new(list, filesystem_json(&s->mountpoints[i]));
		if (!r->options->json)
			printf("%s: frozen, %.1f s left\n",
			       filesystem_text(&s->mountpoints[i], text, sizeof(text)),
			       (double)s->left_ms / 1000);
	}
	if (!s->frozen && !r->options->json)
		puts("nothing is frozen");
	message_free(reply);
	return 0;
}

static int freeze(struct rpc *rpc, void *into, deadline_t deadline, struct report *r,
		  struct error *err)
{
	Vmctl__Agent__V1__FreezeFilesystemsRequest request =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_REQUEST__INIT;
	const struct freeze *f = into;
	cleanup_free ProtobufCBinaryData *names = NULL;
	Vmctl__Agent__V1__FreezeFilesystemsResponse *response;
	ProtobufCMessage *reply = NULL;
	int ret;

	if (f->status)
		return tell_status(rpc, deadline, r, err);
	names = filesystem_names(r->options, &request.n_mountpoints, r);
	if (!names)
		return 0;
	if (r->options->dry_run)
		return filesystem_would(rpc, "freeze", deadline, r, err);
	request.mountpoints = names;
	request.timeout_ms = (uint64_t)f->lasts_ms;
	ret = guest_rpc_call(rpc, "FreezeFilesystems", &request.base,
			     &vmctl__agent__v1__freeze_filesystems_response__descriptor,
			     deadline, &reply, err);
	if (ret)
		return ret;
	report_step_end(r);
	response = (Vmctl__Agent__V1__FreezeFilesystemsResponse *)reply;
	report_set(r, "left_ms", json_integer((json_int_t)response->timeout_ms));
	for (size_t i = 0; i < response->n_results; i++)
		filesystem_result(r, response->results[i], "frozen");
	message_free(reply);
	return 0;
}

int freeze_main(int argc, char **argv)
{
	struct freeze f = {0};

	return filesystem_run(argc, argv, &syntax, &f.status, &f, freeze);
}
