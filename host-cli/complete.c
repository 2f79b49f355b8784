/* SPDX-License-Identifier: Apache-2.0 */
#include "complete.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "names.h"
#include "options.h"
#include "status.h"
#include "verbs.h"

#define OPTIONS_MAX 64

/* A verb's syntax as it describes it, cut into strings that live in `text`. */
struct description {
	char text[16384];
	char *operands;
	struct {
		char *name, *letter, *arg, *help;
	} option[OPTIONS_MAX];
	size_t options;
};

static void offer(const char *prefix, const char *word, const char *what,
		  const char *cur)
{
	if (!strncmp(word, cur, strlen(cur)))
		printf("%s%s\t%s\n", prefix, word, what);
}

/* Has the verb describe itself, which it does on standard output. */
static bool read_description(const struct verb *verb, struct description *d)
{
	char *line[] = {(char *)verb->name, OPTIONS_DESCRIBE, NULL}, *at, *one;
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);
	size_t n = 0;

	memset(d, 0, sizeof(*d));
	if (file && saved >= 0) {
		fflush(stdout);
		dup2(fileno(file), STDOUT_FILENO);
		verb->fn(2, line);
		fflush(stdout);
		dup2(saved, STDOUT_FILENO);
		rewind(file);
		n = fread(d->text, 1, sizeof(d->text) - 1, file);
	}
	if (saved >= 0)
		close(saved);
	if (file)
		fclose(file);
	d->text[n] = '\0';
	at = d->text;
	while ((one = strsep(&at, "\n")) && *one) {
		char *first = strsep(&one, "\t");

		if (*first != '-') {
			d->operands = one;
		} else if (d->options < OPTIONS_MAX) {
			d->option[d->options].name = first;
			d->option[d->options].letter = strsep(&one, "\t");
			d->option[d->options].arg = strsep(&one, "\t");
			d->option[d->options++].help = one;
		}
	}
	return d->operands != NULL;
}

/* The argument's name of an option ("--for", "-q"); NULL: it takes none, or is none. */
static const char *argument_of(const struct description *d, const char *option,
			       size_t len)
{
	size_t i;

	for (i = 0; i < d->options; i++) {
		bool named = strlen(d->option[i].name) == len &&
			     !memcmp(d->option[i].name, option, len);

		if (named && *d->option[i].arg)
			return d->option[i].arg;
	}
	return NULL;
}

/* What follows a name: nothing, or the colon before a path. */
static void offer_names(const char *prefix, const char *cur, const char *behind)
{
	char word[NAME_MAX + 2];
	struct names names;
	size_t i;

	if (!names_read(&names, NULL))
		for (i = 0; i < names.count; i++) {
			snprintf(word, sizeof(word), "%s%s", names.name[i], behind);
			offer(prefix, word, "VM", cur);
		}
	names_free(&names);
}

/* For cp: a file of this host, or VM:PATH, of which nothing here lists the path. */
static void offer_places(const char *prefix, const char *cur)
{
	size_t len = strcspn(cur, ":/");

	if (cur[len] == ':')
		return;
	if (!cur[len])
		offer_names(prefix, cur, ":");
	puts(":files");
}

/* Of a list with commas it is the last word that is being written. */
static void offer_list(const char *prefix, const char *cur, const char *const *words)
{
	const char *comma = strrchr(cur, ',');
	size_t before = comma ? (size_t)(comma + 1 - cur) : 0;
	char *all = NULL;

	if (asprintf(&all, "%s%.*s", prefix, (int)before, cur) < 0)
		return;
	if (!words)
		offer_names(all, cur + before, "");
	for (; words && *words; words++)
		offer(all, *words, "", cur + before);
	free(all);
}

/* What can stand where a help text says so: for options and operands alike. */
static void offer_values(const char *name, const char *prefix, const char *cur)
{
	static const char *const parties[] = {"agent", "module", NULL};

	if (!strcmp(name, "VM") || !strcmp(name, "NAME"))
		offer_names(prefix, cur, "");
	else if (!strcmp(name, "NAMES"))
		offer_list(prefix, cur, NULL);
	else if (!strcmp(name, "PARTIES"))
		offer_list(prefix, cur, parties);
	else if (!strncmp(name, "SOURCE", 6) || !strncmp(name, "DEST", 4))
		offer_places(prefix, cur);
	else if (strstr(name, "PATH") || strstr(name, "FILE"))
		puts(":files");
}

static void offer_options(const struct description *d, const char *cur)
{
	size_t i;

	for (i = 0; i < d->options; i++)
		offer("", d->option[i].name, d->option[i].help, cur);
}

/* The n-th of "VM [DRIVER] LOCAL=PORT...", into buf; the last one may be repeated. */
static const char *operand(const char *operands, size_t n, char buf[static 32])
{
	size_t len;

	buf[0] = '\0';
	while (*operands) {
		operands += strspn(operands, " []");
		len = strcspn(operands, " []");
		if (!n || (len > 3 && !memcmp(operands + len - 3, "...", 3))) {
			snprintf(buf, 32, "%.*s", (int)len, operands);
			break;
		}
		operands += len;
		n--;
	}
	return buf;
}

/* words[0..n) stand behind the verb, and cur is being written. */
static void complete_verb(const struct description *d, char **words, int n,
			  const char *cur)
{
	const char *arg = NULL, *equals = strchr(cur, '=');
	bool operands_only = false;
	size_t operand_number = 0;
	char name[32], *prefix;
	int i;

	for (i = 0; i < n; i++) {
		if (arg) {
			arg = NULL;
		} else if (!operands_only && !strcmp(words[i], "--")) {
			operands_only = true;
		} else if (!operands_only && words[i][0] == '-') {
			arg = argument_of(d, words[i], strlen(words[i]));
			if (!strcmp(words[i], "--all") || !strcmp(words[i], "--vm") ||
			    !strncmp(words[i], "--vm=", 5))
				operand_number++;
		} else {
			operand_number++;
			/* From there on all is the command's. */
			operands_only |=
				operand_number > 1 && strstr(d->operands, "COMMAND");
		}
	}
	if (arg) {
		offer_values(arg, "", cur);
	} else if (!operands_only && *cur == '-' && equals) {
		arg = argument_of(d, cur, (size_t)(equals - cur));
		prefix = strndup(cur, (size_t)(equals + 1 - cur));
		if (arg && prefix)
			offer_values(arg, prefix, equals + 1);
		free(prefix);
	} else if (!operands_only && *cur == '-') {
		offer_options(d, cur);
	} else {
		offer_values(operand(d->operands, operand_number, name), "", cur);
	}
}

static void offer_verbs(const struct verb *table, const char *cur)
{
	for (; table->name; table++)
		offer("", table->name, table->help, cur);
}

int complete_main(int argc, char **argv)
{
	const char *cur = argc > 1 ? argv[argc - 1] : "";
	const struct verb *table = verbs_all, *v = NULL;
	struct description *d;
	bool help = argc > 2 && !strcmp(argv[1], "help");
	int first = help ? 2 : 1;

	/* Verbs, up to two words of them. */
	for (; table && first < argc - 1; first++) {
		v = verbs_find(table, argv[first]);
		table = v ? v->sub : NULL;
		if (!v)
			return STATUS_OK;
		if (!table) {
			first++;
			break;
		}
	}
	if (table) {
		offer_verbs(table, cur);
		if (table == verbs_all && !help)
			offer("", "help", "what a verb does, and its options", cur);
		return STATUS_OK;
	}
	d = malloc(sizeof(*d));
	if (d && !help && read_description(v, d))
		complete_verb(d, argv + first, argc - 1 - first, cur);
	free(d);
	return STATUS_OK;
}
