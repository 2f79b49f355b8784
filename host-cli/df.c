/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filesystem.h"
#include "text.h"
#include "verbs.h"

struct df {
	bool all;
};

static int set_all_types(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct df *)into)->all = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"all-types", NULL, "those too that have no storage: tmpfs, proc, ...", 0,
	 set_all_types},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "df",
	.operands = "VM",
	.about = "Lists the guest's file systems and how much of them is used.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

typedef Vmctl__Agent__V1__ListFilesystemsResponse Filesystem;

static void print_text(const Filesystem *f, bool first)
{
	uint64_t used = f->total_bytes - f->free_bytes, of = used + f->available_bytes;
	char source[64], type[32], where[1024];

	if (first)
		printf("%-20s %-8s %12s %12s %12s %5s  %s\n", "SOURCE", "TYPE", "KIB",
		       "USED", "AVAILABLE", "USE", "MOUNTED ON");
	text_copy(type, sizeof(type), f->type, strlen(f->type));
	printf("%-20s %-8s %12llu %12llu %12llu %4llu%%  %s%s\n",
	       filesystem_text(&f->source, source, sizeof(source)), type,
	       (unsigned long long)f->total_bytes / 1024,
	       (unsigned long long)used / 1024,
	       (unsigned long long)f->available_bytes / 1024,
	       of ? (unsigned long long)((double)used * 100 / (double)of) : 0,
	       filesystem_text(&f->mountpoint, where, sizeof(where)),
	       f->error ? " (usage not known)" : "");
}

static json_t *to_json(const Filesystem *f)
{
	char type[32];

	text_copy(type, sizeof(type), f->type, strlen(f->type));
	return json_pack("{s:o, s:o, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:i}",
			 "mountpoint", filesystem_json(&f->mountpoint), "source",
			 filesystem_json(&f->source), "type", type, "read_only",
			 f->read_only, "total_bytes", message_number(f->total_bytes),
			 "free_bytes", message_number(f->free_bytes), "available_bytes",
			 message_number(f->available_bytes), "files",
			 message_number(f->files), "files_free",
			 message_number(f->files_free), "errno", (int)f->error);
}

struct rows {
	Filesystem **row;
	size_t n, room;
};

static int keep(Filesystem *one, void *into, struct error *err)
{
	struct rows *rows = into;
	size_t room = rows->room ? rows->room * 2 : 64;
	Filesystem **more;

	if (rows->n == rows->room) {
		more = realloc(rows->row, room * sizeof(*more));
		if (!more) {
			message_free(one);
			return error_set(err, -ENOMEM, "no memory for file systems");
		}
		rows->row = more;
		rows->room = room;
	}
	rows->row[rows->n++] = one;
	return 0;
}

/* What is shown is not shown again by another try, so nothing is before its end. */
static int list(struct rpc *rpc, void *into, deadline_t deadline, struct report *r,
		struct error *err)
{
	json_t *all = json_array();
	struct rows rows = {0};
	int ret = filesystem_each(rpc, ((struct df *)into)->all, keep, &rows, deadline,
				  err);

	report_set(r, "filesystems", all);
	if (!r->options->json && ret != -ECONNRESET)
		report_step_end(r);
	for (size_t i = 0; i < rows.n; i++) {
		if (r->options->json)
			json_array_append_new(all, to_json(rows.row[i]));
		else if (ret != -ECONNRESET)
			print_text(rows.row[i], !i);
		message_free(rows.row[i]);
	}
	free(rows.row);
	return ret;
}

int df_main(int argc, char **argv)
{
	struct df df = {0};

	return filesystem_run(argc, argv, &syntax, NULL, &df, list);
}
