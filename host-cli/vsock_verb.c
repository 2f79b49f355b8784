/* SPDX-License-Identifier: Apache-2.0 */
#include "vsock_verb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "cleanup.h"
#include "registry.h"
#include "retry.h"
#include "text.h"
#include "verbs.h"
#include "vm.h"
#include "vsock_control.h"

const struct verb vsock_verbs[] = {
	{"stats", vsock_stats_main, "what the VM's vsock device has done", VERB_HOST,
	 NULL},
	{"list", vsock_list_main, "the connections that there are", VERB_HOST, NULL},
	{NULL, NULL, NULL, VERB_GROUPS, NULL},
};

#define PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

int vsock_set_control(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct vsock_options *)into)->control = value;
	return 0;
}

static enum status find_control(const char *name, const char *given,
				char path[static PATH_SIZE], struct report *r)
{
	struct error err = {0};
	struct vm vm;

	if (vm_resolve(&vm, name, NULL, r) != STATUS_OK)
		return r->status;
	if (given && strlen(given) >= PATH_SIZE)
		return report_fail(r, STATUS_USAGE,
				   "--control %s: the socket path is too long (%zu "
				   "bytes at most)",
				   given, PATH_SIZE - 1);
	if (given) {
		strcpy(path, given);
		return STATUS_OK;
	}
	if (!registry_name_valid(name))
		return report_fail(r, STATUS_NO_TRANSPORT,
				   "no control socket is known for an address; name it "
				   "with --control PATH");
	if (registry_path(name, "control.sock", path, PATH_SIZE, &err))
		return report_fail(r, STATUS_FAILURE, "%s", err.text);
	return STATUS_OK;
}

static enum status fail(int ret, const char *path, const struct error *err,
			struct report *r)
{
	switch (ret) {
	case -ETIMEDOUT:
		return report_fail(r, STATUS_TIMEOUT,
				   "--timeout of %.3g s passed: %s; is vsockd "
				   "stopped, or has it many such clients?",
				   (double)r->options->timeout_ms / 1000, err->text);
	case -EACCES:
	case -EPERM:
		return report_fail(r, STATUS_NO_TRANSPORT,
				   "%s; the socket is for the user that runs vsockd",
				   err->text);
	case -ENOENT:
	case -ECONNREFUSED:
		report_fail(r, STATUS_NO_TRANSPORT,
			    "no control socket (%s); start vsockd with --control %s",
			    err->text, path);
		return report_may_repeat(r, STATUS_NO_TRANSPORT);
	case -EPROTO:
		return report_fail(r, STATUS_FAILURE,
				   "%s; try again, or see vsockd's log: it may be of "
				   "another version",
				   err->text);
	default:
		return report_fail(r, STATUS_FAILURE, "%s", err->text);
	}
}

static enum status ask(const struct vsock_verb *verb, const char *path,
		       const char *request, deadline_t deadline, struct report *r)
{
	cleanup_free char *answer = NULL;
	struct error err = {0};
	struct retry t;
	int ret;

	report_step(r, "ask");
	retry_begin(&t, deadline, r);
	do {
		ret = vsock_control_ask(path, request, deadline, &answer, &err);
		if (ret)
			fail(ret, path, &err, r);
	} while (ret && retry_again(&t));
	if (!ret && !strcmp(request, "metrics"))
		printf("%s# EOF\n", answer);
	else if (!ret)
		ret = verb->show(answer, r, &err);
	if (ret)
		fail(ret, path, &err, r);
	report_step_end(r);
	return r->status;
}

int vsock_verb_main(int argc, char **argv, const struct vsock_verb *verb)
{
	struct vsock_options own = {.metrics = false};
	char path[PATH_SIZE];
	struct options options;
	struct report r;
	deadline_t deadline;
	int ret = options_parse(argc, argv, verb->syntax, &options, &own);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	if (own.metrics && options.json) {
		fprintf(stderr,
			"vmctl %s: --metrics and --json are two forms of the "
			"same: give one\n",
			verb->syntax->verb);
		return STATUS_USAGE;
	}
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, verb->syntax->verb, options.args[0]);
	if (find_control(options.args[0], own.control, path, &r) == STATUS_OK)
		ask(verb, path, own.metrics ? "metrics" : verb->request, deadline, &r);
	return report_finish(&r);
}

json_t *vsock_value(const char *word)
{
	uint64_t number;

	if (text_number(word, 0, INT64_MAX, &number))
		return json_string(word);
	return json_integer((json_int_t)number);
}

static void print_help(FILE *to)
{
	fputs("usage: vmctl vsock VERB [options] VM\n\n", to);
	for (const struct verb *v = vsock_verbs; v->name; v++)
		fprintf(to, "  %-5s  %s\n", v->name, v->help);
	fputs("\nvmctl vsock VERB --help has more.\n", to);
}

int vsock_main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	const struct verb *v = verbs_find(vsock_verbs, word);
	char printable[64];

	if (v)
		return v->fn(argc - 1, argv + 1);
	if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
		print_help(stdout);
		return STATUS_OK;
	}
	text_copy(printable, sizeof(printable), word, strlen(word));
	if (*word)
		fprintf(stderr,
			"vmctl vsock: there is no verb '%s'; see vmctl vsock --help\n",
			printable);
	else
		print_help(stderr);
	return STATUS_USAGE;
}
