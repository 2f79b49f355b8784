/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "fleet.h"
#include "text.h"

#define SPECS_MAX 48
#define LONG_BASE 256 /* getopt's values from here up are indexes into specs */
#define OPERAND	  1   /* getopt's value for one, where it gives them in their order */

static int set_json(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct options *)into)->json = true;
	return 0;
}

static int set_quiet(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct options *)into)->quiet = true;
	return 0;
}

static int set_verbose(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct options *)into)->verbose++;
	return 0;
}

static int set_timeout(void *into, const char *value, struct error *err)
{
	struct options *o = into;

	if (text_seconds(value, &o->timeout_ms))
		return error_set(err, -EINVAL,
				 "--timeout %s: give seconds, such as 30 or 0.5",
				 value);
	return 0;
}

static int set_dry_run(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct options *)into)->dry_run = true;
	return 0;
}

static int set_all(void *into, const char *value, struct error *err)
{
	(void)into;
	(void)value;
	(void)err;
	fleet_want_all();
	return 0;
}

static int set_vm(void *into, const char *value, struct error *err)
{
	(void)into;
	return fleet_want(value, err);
}

static int show_help(void *into, const char *value, struct error *err)
{
	(void)into;
	(void)value;
	(void)err;
	return 1;
}

static int show_version(void *into, const char *value, struct error *err)
{
	(void)into;
	(void)value;
	(void)err;
	puts("vmctl " VMCTL_VERSION);
	return 2;
}

static const struct option_spec change_specs[] = {
	{"dry-run", NULL, "say what would be done, and change nothing", 0, set_dry_run},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct option_spec fleet_specs[] = {
	{"all", NULL, "for every VM of the registry, in place of VM", 0, set_all},
	{"vm", "NAMES", "for these, with commas between them, in place of VM", 0,
	 set_vm},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct option_spec timeout_specs[] = {
	{"timeout", "SECONDS", "for the whole command (30)", 0, set_timeout},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct option_spec common_specs[] = {
	{"json", NULL, "print one JSON object", 0, set_json},
	{"quiet", NULL, "no messages but errors", 'q', set_quiet},
	{"verbose", NULL, "say what is being done", 'v', set_verbose},
	{"help", NULL, "print this", 'h', show_help},
	{"version", NULL, "print the version", 'V', show_version},
	{NULL, NULL, NULL, 0, NULL},
};

struct parser {
	const struct options_syntax *syntax;
	const struct option_spec *spec[SPECS_MAX];
	void *into[SPECS_MAX];
	size_t count;
};

static void collect(struct parser *p, const struct option_spec *specs, void *into)
{
	for (; specs && specs->name && p->count < SPECS_MAX; specs++) {
		p->spec[p->count] = specs;
		p->into[p->count++] = into;
	}
}

static void print_usage(const struct parser *p, FILE *to)
{
	const char *operands = p->syntax->operands;

	fprintf(to, "usage: vmctl %s [options]%s%s\n", p->syntax->verb,
		*operands ? " " : "", operands);
}

static const char *help_of(const struct parser *p, const struct option_spec *s)
{
	return p->syntax->timeout_help && s == timeout_specs ? p->syntax->timeout_help
							     : s->help;
}

static void print_help(const struct parser *p)
{
	size_t i;

	print_usage(p, stdout);
	printf("%s\n\n", p->syntax->about);
	for (i = 0; i < p->count; i++) {
		const struct option_spec *s = p->spec[i];
		char name[48], letter[8] = "    ";

		if (s->letter)
			snprintf(letter, sizeof(letter), "-%c, ", s->letter);
		snprintf(name, sizeof(name), "%s--%s%s%s", letter, s->name,
			 s->arg ? " " : "", s->arg ? s->arg : "");
		printf("  %-26s  %s\n", name, help_of(p, s));
	}
}

static void describe(const struct parser *p)
{
	size_t i;

	printf("operands\t%s\n", p->syntax->operands);
	for (i = 0; i < p->count; i++) {
		const struct option_spec *s = p->spec[i];

		printf("--%s\t%.1s\t%s\t%s\n", s->name, s->letter ? &s->letter : "",
		       s->arg ? s->arg : "", help_of(p, s));
	}
}

static int wrong(const struct parser *p, const char *what)
{
	char printable[640];

	text_copy(printable, sizeof(printable), what, strlen(what));
	fprintf(stderr, "vmctl %s: %s; see vmctl %s --help\n", p->syntax->verb,
		printable, p->syntax->verb);
	return -EINVAL;
}

/* getopt's tables from ours. */
static void prepare(const struct parser *p, struct option *longs, char *shorts)
{
	size_t i;

	if (p->syntax->runs_command)
		*shorts++ = '-'; /* operands in their order */
	*shorts++ = ':';
	for (i = 0; i < p->count; i++) {
		longs[i].name = p->spec[i]->name;
		longs[i].has_arg = p->spec[i]->arg ? required_argument : no_argument;
		longs[i].val = LONG_BASE + (int)i;
		if (p->spec[i]->letter)
			*shorts++ = p->spec[i]->letter;
	}
	*shorts = '\0';
}

static int find(const struct parser *p, int c)
{
	size_t i;

	if (c >= LONG_BASE)
		return c - LONG_BASE;
	for (i = 0; i < p->count; i++)
		if (p->spec[i]->letter == c)
			return (int)i;
	return -1;
}

/* One option that getopt found: 0, 1 when all is said, -EINVAL. */
static int take(struct parser *p, int c, char **argv)
{
	struct error err = {0};
	char what[640];
	int i = find(p, c), ret;

	if (c == ':' || i < 0) {
		snprintf(what, sizeof(what),
			 c == ':' ? "%s needs an argument" : "%s is no option here",
			 argv[optind - 1]);
		return wrong(p, what);
	}
	ret = p->spec[i]->set(p->into[i], optarg, &err);
	if (ret < 0)
		return wrong(p, err.text);
	if (ret == 1)
		print_help(p);
	return ret ? 1 : 0;
}

/* The operands are those of a verb that takes a VM, which may be one of several. */
static bool takes_several(const struct options_syntax *syntax)
{
	return !syntax->one_vm && !strncmp(syntax->operands, "VM", 2) &&
	       !strchr("-_=:", syntax->operands[2] ? syntax->operands[2] : ' ');
}

static int check_operands(const struct parser *p, struct options *common)
{
	int implied = fleet_wanted();
	char what[320];

	if (common->nargs + implied < p->syntax->min_args) {
		print_usage(p, stderr);
		return -EINVAL;
	}
	if (common->nargs + implied <= p->syntax->max_args)
		return 0;
	snprintf(what, sizeof(what), "one operand too many: %s",
		 common->args[p->syntax->max_args - implied]);
	return wrong(p, what);
}

int options_parse(int argc, char **argv, const struct options_syntax *syntax,
		  struct options *common, void *into)
{
	struct parser p = {.syntax = syntax};
	struct error err = {0};
	struct option longs[SPECS_MAX + 1] = {0};
	char shorts[SPECS_MAX + 3], *vm = NULL;
	int c, ret;

	fleet_begin();
	memset(common, 0, sizeof(*common));
	common->timeout_ms = syntax->no_timeout ? -1 : OPTIONS_DEFAULT_TIMEOUT_MS;
	collect(&p, syntax->own, into);
	if (syntax->changes)
		collect(&p, change_specs, common);
	if (takes_several(syntax))
		collect(&p, fleet_specs, common);
	collect(&p, timeout_specs, common);
	collect(&p, common_specs, common);
	if (argc == 2 && !strcmp(argv[1], OPTIONS_DESCRIBE)) {
		describe(&p);
		return 1;
	}
	prepare(&p, longs, shorts);
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == OPERAND && !vm && !fleet_wanted()) {
			vm = optarg;
			continue;
		}
		if (c == OPERAND) {
			optind--; /* the command begins */
			break;
		}
		ret = take(&p, c, argv);
		if (ret)
			return ret;
	}
	if (vm && fleet_wanted())
		return wrong(&p, "give VM, or --all or --vm in its place");
	/* What stands before the command has been read. */
	if (vm)
		argv[--optind] = vm;
	common->args = argv + optind;
	common->nargs = argc - optind;
	ret = check_operands(&p, common);
	if (ret || !fleet_wanted())
		return ret;
	if (fleet_set_line(argc, argv, optind, syntax, common, &err))
		return wrong(&p, err.text);
	return 1;
}
