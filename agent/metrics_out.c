// SPDX-License-Identifier: Apache-2.0
#include "metrics_out.h"

#include <stdarg.h>

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

void metrics_sample(struct metrics_out *out, double value, ...)
{
	const char *name;
	char before = '{';
	va_list args;

	fprintf(out->to, "%s%s", out->name, out->suffix);
	va_start(args, value);
	while ((name = va_arg(args, const char *))) {
		fprintf(out->to, "%c%s=\"", before, name);
		put_value(out->to, va_arg(args, const char *));
		putc('"', out->to);
		before = ',';
	}
	va_end(args);
	fprintf(out->to, "%s %.17g\n", before == ',' ? "}" : "", value);
}
