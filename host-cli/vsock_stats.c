/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vsock_control.h"
#include "vsock_verb.h"

static int set_metrics(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct vsock_options *)into)->metrics = true;
	return 0;
}

static const struct option_spec specs[] = {
	VSOCK_CONTROL_SPEC,
	{"metrics", NULL, "print OpenMetrics text, for Prometheus", 0, set_metrics},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "vsock stats",
	.operands = "VM",
	.about = "Asks the VM's vsockd what it has done since it began: connections, "
		 "bytes,\n"
		 "packets, resets by their reasons, and how often it reached a limit.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
};

/* "name value", or "name word value" where there are several of the name. */
static int add(json_t *stats, char **word, size_t words, struct error *err)
{
	json_t *several;

	if (words == 2) {
		json_object_set_new(stats, word[0], vsock_value(word[1]));
		return 0;
	}
	if (words != 3)
		return error_set(err, -EPROTO, "a line that begins with \"%.40s\"",
				 words ? word[0] : "");
	several = json_object_get(stats, word[0]);
	if (!json_is_object(several)) {
		several = json_object();
		json_object_set_new(stats, word[0], several);
	}
	json_object_set_new(several, word[1], vsock_value(word[2]));
	return 0;
}

static void print_value(const char *name, const json_t *value)
{
	/* Those that say whether. */
	if (!strcmp(name, "front_end_connected") || !strcmp(name, "driver_up"))
		fputs(json_integer_value(value) ? "yes" : "no", stdout);
	else if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else
		printf("%lld", (long long)json_integer_value(value));
}

/* Of several, those that are not 0. */
static void print_several(json_t *several)
{
	const char *separator = "", *word;
	json_t *value;

	json_object_foreach (several, word, value) {
		if (!json_integer_value(value))
			continue;
		printf("%s%s ", separator, word);
		print_value("", value);
		separator = ", ";
	}
	if (!*separator)
		fputs("0", stdout);
}

static void print_text(json_t *stats)
{
	const char *name;
	json_t *value;

	json_object_foreach (stats, name, value) {
		printf("%-26s", name);
		if (json_is_object(value))
			print_several(value);
		else
			print_value(name, value);
		putchar('\n');
	}
}

static int show(char *answer, struct report *r, struct error *err)
{
	json_t *stats = json_object();
	char *word[4];
	size_t words;
	int ret = 0;

	while (!ret && (words = vsock_control_words(&answer, word, 4)))
		ret = add(stats, word, words, err);
	if (!ret && !r->options->json)
		print_text(stats);
	if (!ret && r->options->json)
		report_set(r, "stats", json_incref(stats));
	json_decref(stats);
	return ret;
}

int vsock_stats_main(int argc, char **argv)
{
	static const struct vsock_verb verb = {&syntax, "stats", show};

	return vsock_verb_main(argc, argv, &verb);
}
