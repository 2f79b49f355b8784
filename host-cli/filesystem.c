/* SPDX-License-Identifier: Apache-2.0 */
#include "filesystem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "step.h"
#include "text.h"

/* More than any guest has: what a broken one sends does not fill this host's memory. */
#define FILESYSTEMS_MAX 65536
#define BYTES_MAX	(16u << 20) /* of all messages */

const char *filesystem_text(const ProtobufCBinaryData *bytes, char *to, size_t size)
{
	text_copy(to, size, bytes->len ? (const char *)bytes->data : "", bytes->len);
	return to;
}

json_t *filesystem_json(const ProtobufCBinaryData *bytes)
{
	json_t *string =
		json_stringn(bytes->len ? (const char *)bytes->data : "", bytes->len);
	char text[4096];

	return string ? string
		      : json_string(filesystem_text(bytes, text, sizeof(text)));
}

ProtobufCBinaryData *filesystem_names(const struct options *options, size_t *n,
				      struct report *r)
{
	ProtobufCBinaryData *names = calloc((size_t)options->nargs, sizeof(*names));

	*n = (size_t)options->nargs - 1;
	if (!names)
		report_fail(r, STATUS_FAILURE, "no memory");
	for (size_t i = 0; names && i < *n; i++)
		names[i] = message_bytes(options->args[i + 1]);
	return names;
}

static json_t *list_of(struct report *r)
{
	json_t *list = json_object_get(r->body, "filesystems");

	if (!list) {
		list = json_array();
		report_set(r, "filesystems", list);
	}
	return list;
}

void filesystem_result(struct report *r, const Vmctl__Agent__V1__FilesystemResult *one,
		       const char *done)
{
	char name[1024], why[256];

	filesystem_text(&one->mountpoint, name, sizeof(name));
	text_copy(why, sizeof(why), one->message, strlen(one->message));
	json_array_append_new(list_of(r),
			      json_pack("{s:o, s:i, s:s, s:o}", "mountpoint",
					filesystem_json(&one->mountpoint), "errno",
					(int)one->error, "message", why, "bytes",
					message_number(one->bytes)));
	if (r->options->json)
		return;
	if (one->error)
		printf("%s: %s\n", name, why);
	else if (one->bytes)
		printf("%s: %s, %llu bytes\n", name, done,
		       (unsigned long long)one->bytes);
	else
		printf("%s: %s\n", name, done);
}

int filesystem_next(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type,
		    deadline_t deadline, ProtobufCMessage **message, struct error *err)
{
	if (stream->messages < FILESYSTEMS_MAX && stream->bytes < BYTES_MAX)
		return guest_rpc_next(stream, type, deadline, message, err);
	rpc_cancel(stream);
	return error_set(err, -EPROTO,
			 "it tells of more file systems than can be: %llu so far, in "
			 "%llu bytes",
			 (unsigned long long)stream->messages,
			 (unsigned long long)stream->bytes);
}

int filesystem_each(struct rpc *rpc, bool all, filesystem_row *row, void *into,
		    deadline_t deadline, struct error *err)
{
	Vmctl__Agent__V1__ListFilesystemsRequest request =
		VMCTL__AGENT__V1__LIST_FILESYSTEMS_REQUEST__INIT;
	struct rpc_stream stream = {0};
	ProtobufCMessage *message;
	int ret;

	request.all = all;
	ret = guest_rpc_open(rpc, &stream, "ListFilesystems", &request.base,
			     RPC_SERVER_SENDS, deadline, err);
	while (!ret) {
		ret = filesystem_next(
			&stream,
			&vmctl__agent__v1__list_filesystems_response__descriptor,
			deadline, &message, err);
		if (ret != 1)
			break;
		ret = row((Vmctl__Agent__V1__ListFilesystemsResponse *)message, into,
			  err);
	}
	return ret;
}

struct search {
	const ProtobufCBinaryData *names;
	size_t n;
	bool found[];
};

/* Notes which of the names are mount points of the guest. */
static int find_names(Vmctl__Agent__V1__ListFilesystemsResponse *one, void *into,
		      struct error *err)
{
	const ProtobufCBinaryData *point = &one->mountpoint;
	struct search *s = into;

	(void)err;
	for (size_t i = 0; i < s->n; i++)
		s->found[i] |= s->names[i].len == point->len &&
			       !memcmp(s->names[i].data, point->data, point->len);
	message_free(one);
	return 0;
}

int filesystem_would(struct rpc *rpc, const char *verb, deadline_t deadline,
		     struct report *r, struct error *err)
{
	size_t n;
	cleanup_free ProtobufCBinaryData *names = filesystem_names(r->options, &n, r);
	cleanup_free struct search *search = calloc(1, sizeof(*search) + n);
	char what[64];
	int ret;

	if (!names || !search)
		return error_set(err, -ENOMEM, "no memory");
	search->names = names;
	search->n = n;
	ret = filesystem_each(rpc, true, find_names, search, deadline, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++)
		if (!search->found[i])
			return error_set(err, RPC_REFUSED,
					 "no file system is mounted at %s",
					 r->options->args[i + 1]);
	report_step_end(r);
	snprintf(what, sizeof(what), "%s %s", verb,
		 n ? "what is named" : "all that the guest can");
	step_would_only(r, what);
	return 0;
}

struct run {
	filesystem_job *job;
	void *into;
	struct report *report;
};

static int run(struct rpc *rpc, void *into, deadline_t deadline, struct error *err)
{
	const struct run *with = into;

	return with->job(rpc, with->into, deadline, with->report, err);
}

int filesystem_run(int argc, char **argv, const struct options_syntax *syntax,
		   const bool *asks, void *into, filesystem_job *job)
{
	struct report r;
	struct run with = {job, into, &r};
	struct options options;
	deadline_t deadline;
	struct vm vm;
	int ret = options_parse(argc, argv, syntax, &options, into);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax->verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) != STATUS_OK)
		return report_finish(&r);
	report_step(&r, "agent");
	if (!syntax->changes || options.dry_run || (asks && *asks))
		ask_again(&vm, run, &with, deadline, &r);
	else
		ask_change(&vm, run, &with, deadline, &r);
	report_step_end(&r);
	return report_finish(&r);
}
