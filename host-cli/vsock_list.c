/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vsock_control.h"
#include "vsock_verb.h"

#define COLUMNS_MAX 64

static const struct option_spec specs[] = {
	VSOCK_CONTROL_SPEC,
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "vsock list",
	.operands = "VM",
	.about =
		"Lists the VM's vsock connections, as ss does, from the guest's side: "
		"what\n"
		"has come and is not read yet, what was sent and is not taken yet, the "
		"two\n"
		"ends, and the bytes so far.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

struct row {
	char *name[COLUMNS_MAX], *word[COLUMNS_MAX];
	size_t columns;
};

/* The word of a column; "-" where there is no such column. */
static const char *column(const struct row *row, const char *name)
{
	for (size_t i = 0; i < row->columns; i++)
		if (!strcmp(row->name[i], name))
			return row->word[i];
	return "-";
}

static const char *format_age(const char *ms, char buf[static 24])
{
	unsigned long long s = strtoull(ms, NULL, 10) / 1000;

	if (s < 60)
		snprintf(buf, 24, "%llus", s);
	else if (s < 3600)
		snprintf(buf, 24, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, 24, "%lluh%02llum", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, 24, "%llud%02lluh", s / 86400, s % 86400 / 3600);
	return buf;
}

static void print_head(void)
{
	printf("%-9s %-9s %7s %7s %-16s %-16s %-6s %6s %12s %12s\n", "TYPE", "STATE",
	       "RECV-Q", "SEND-Q", "LOCAL", "PEER", "ORIGIN", "AGE", "SENT",
	       "RECEIVED");
}

static void print_row(const struct row *row)
{
	char local[64], peer[64], age[24];

	snprintf(local, sizeof(local), "%.20s:%.20s", column(row, "guest_cid"),
		 column(row, "guest_port"));
	snprintf(peer, sizeof(peer), "%.20s:%.20s", column(row, "peer_cid"),
		 column(row, "peer_port"));
	printf("%-9s %-9s %7s %7s %-16s %-16s %-6s %6s %12s %12s\n",
	       column(row, "type"), column(row, "state"),
	       column(row, "in_flight_bytes"), column(row, "backlog_bytes"), local,
	       peer, column(row, "origin"), format_age(column(row, "age_ms"), age),
	       column(row, "from_guest_bytes"), column(row, "to_guest_bytes"));
}

static json_t *row_json(const struct row *row)
{
	json_t *o = json_object();

	for (size_t i = 0; i < row->columns; i++)
		json_object_set_new(o, row->name[i], vsock_value(row->word[i]));
	return o;
}

static int show(char *answer, struct report *r, struct error *err)
{
	json_t *list = json_array();
	struct row row;
	size_t words;

	if (r->options->json)
		report_set(r, "connections", json_incref(list));
	row.columns = vsock_control_words(&answer, row.name, COLUMNS_MAX);
	if (!r->options->json)
		print_head();
	while ((words = vsock_control_words(&answer, row.word, COLUMNS_MAX))) {
		if (words != row.columns) {
			json_decref(list);
			return error_set(err, -EPROTO,
					 "a line of %zu words, where %zu are columns",
					 words, row.columns);
		}
		if (r->options->json)
			json_array_append_new(list, row_json(&row));
		else
			print_row(&row);
	}
	json_decref(list);
	return 0;
}

int vsock_list_main(int argc, char **argv)
{
	static const struct vsock_verb verb = {&syntax, "list", show};

	return vsock_verb_main(argc, argv, &verb);
}
