// SPDX-License-Identifier: Apache-2.0
#include "metrics_out.h"

static void begin(struct metrics_out *out, const char *name, const char *type,
		  const char *suffix, const char *help)
{
	/* The older format has the suffix in the family's name too. */
	const char *in_name = out->format == METRICS_PROMETHEUS ? suffix : "";

	out->name = name;
	out->suffix = suffix;
	fprintf(out->to, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, in_name, help, name,
		in_name, type);
}

void metrics_gauge(struct metrics_out *out, const char *name, const char *help)
{
	begin(out, name, "gauge", "", help);
}

void metrics_counter(struct metrics_out *out, const char *name, const char *help)
{
	begin(out, name, "counter", "_total", help);
}

static void put_value(FILE *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", to);
		else if ((unsigned char)*value < ' ' || (unsigned char)*value > '~')
			putc('?', to);
		else if (*value == '"' || *value == '\\')
			fprintf(to, "\\%c", *value);
		else
			putc(*value, to);
	}
}

void metrics_put(struct metrics_out *out, double value, const char *const *labels)
{
	char before = '{';

	fprintf(out->to, "%s%s", out->name, out->suffix);
	for (; *labels; labels += 2) {
		fprintf(out->to, "%c%s=\"", before, labels[0]);
		put_value(out->to, labels[1]);
		putc('"', out->to);
		before = ',';
	}
	fprintf(out->to, "%s %.17g\n", before == ',' ? "}" : "", value);
}
