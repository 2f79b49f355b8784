/* SPDX-License-Identifier: Apache-2.0 */
#include "filesystem.h"

#include <stdlib.h>
#include <string.h>

#include "step.h"
#include "text.h"

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
			      json_pack("{s:o, s:i, s:s, s:I}", "mountpoint",
					filesystem_json(&one->mountpoint), "errno",
					(int)one->error, "message", why, "bytes",
					(json_int_t)one->bytes));
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

int filesystem_would(struct report *r, const char *what)
{
	report_step_end(r);
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

	report_step(with->report, "agent");
	return with->job(rpc, with->into, deadline, with->report, err);
}

int filesystem_run(int argc, char **argv, const struct options_syntax *syntax,
		   void *into, filesystem_job *job)
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
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		ask_once(&vm, run, &with, deadline, &r);
	return report_finish(&r);
}
