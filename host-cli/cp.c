/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "copy.h"
#include "step.h"
#include "text.h"
#include "verbs.h"

static int set_resume(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct copy *)into)->resume = true;
	return 0;
}

static int set_owner(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct copy *)into)->owner = true;
	return 0;
}

static const struct option_spec specs[] = {
	{"resume", NULL, "keep what has come if it breaks, and go on with that", 0,
	 set_resume},
	{"owner", NULL, "keep owner and group, by number", 0, set_owner},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "cp",
	.operands = "SOURCE... DESTINATION",
	.about = "Copies files, directories and symlinks to a guest (DESTINATION is "
		 "VM:PATH)\nor from it (each SOURCE is).",
	.own = specs,
	.min_args = 2,
	.max_args = INT_MAX,
	.timeout_help = "without any progress (30)",
	.changes = true,
	.one_vm = true,
};

/* An operand taken apart; of the host's files vm is NULL. */
struct place {
	char *vm;
	const char *path;
};

/*
 * The colon before the path: behind a VM's name, or an address of one of the schemes
 * that endpoints have. What has a slash before any colon is a path of the host.
 */
static const char *find_colon(const char *operand)
{
	const char *colon = strchr(operand, ':'), *slash = strchr(operand, '/');

	if (!colon || colon == operand || (slash && slash < colon))
		return NULL;
	if (!strncmp(operand, "unix:", 5))
		return strrchr(operand + 5, ':');
	if (!strncmp(operand, "vsock:", 6))
		return strchr(operand + 6, ':');
	if (!strncmp(operand, "tcp:", 4)) {
		const char *host = operand + 4, *end;

		/* tcp:[::1]:PORT */
		end = *host == '[' ? strchr(host, ']') : host;
		colon = end ? strchr(end, ':') : NULL;
		return colon ? strchr(colon + 1, ':') : NULL;
	}
	return colon;
}

static int take_place(const char *operand, struct place *p)
{
	const char *colon = find_colon(operand);

	p->vm = NULL;
	p->path = operand;
	if (!colon)
		return *operand ? 0 : -EINVAL;
	p->vm = strndup(operand, (size_t)(colon - operand));
	p->path = colon[1] ? colon + 1 : "/";
	return p->vm ? 0 : -ENOMEM;
}

/* The last component, without slashes at the end; NULL: there is none. */
static char *base_of(const char *path)
{
	size_t end = strlen(path), start;

	while (end && path[end - 1] == '/')
		end--;
	for (start = end; start && path[start - 1] != '/'; start--)
		;
	if (start == end || (end - start == 1 && path[start] == '.') ||
	    (end - start == 2 && !strncmp(path + start, "..", 2)))
		return NULL;
	return strndup(path + start, end - start);
}

static bool ends_in_slash(const char *path)
{
	return *path && path[strlen(path) - 1] == '/';
}

/*
 * A destination on the host. A symlink may be what a guest had copied here before: it
 * is followed where the user has said so, with a slash behind it.
 */
static enum status is_host_directory(struct copy *c, const char *path, bool *is)
{
	struct stat st;

	*is = !stat(path, &st) && S_ISDIR(st.st_mode);
	if (*is && !lstat(path, &st) && S_ISLNK(st.st_mode))
		return report_fail(c->report, STATUS_FAILURE,
				   "%s is a symlink to a directory, and may have come "
				   "from a guest; to copy to where it leads, say %s/",
				   path, path);
	return STATUS_OK;
}

/* Whether things go into the destination, and not in its place. */
static enum status is_directory(struct copy *c, const struct place *to, bool must,
				bool *is)
{
	Vmctl__Agent__V1__StatFileResponse *response = NULL;

	if (to->vm) {
		if (copy_stat_if_any(c, to->path, true, &response) != STATUS_OK)
			return c->report->status;
		*is = response &&
		      response->stat->type ==
			      VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_DIRECTORY;
		message_free(response);
	} else if (is_host_directory(c, to->path, is) != STATUS_OK) {
		return c->report->status;
	}
	if (!*is && (must || ends_in_slash(to->path)))
		return report_fail(c->report, STATUS_FAILURE, "%s is no directory",
				   to->path);
	return STATUS_OK;
}

static enum status to_guest(struct copy *c, const char *from, const char *to)
{
	/* A symlink that is named is what is copied, as those in a directory. */
	return copy_put(c, AT_FDCWD, from, to);
}

static enum status to_host(struct copy *c, const char *from, const char *to)
{
	cleanup_free char *name = base_of(to), *parent = strdup(to);
	cleanup_close int dir = -1;
	char *slash;

	if (!name || !parent)
		return report_fail(c->report, STATUS_FAILURE, "%s: no name of a file",
				   to);
	while (ends_in_slash(parent))
		parent[strlen(parent) - 1] = '\0';
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent ? 1 : 0] = '\0';
	dir = open(slash ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return report_fail(c->report, STATUS_FAILURE, "%s: %s",
				   slash ? parent : ".", strerror(errno));
	return copy_get(c, from, dir, name);
}

static void tell_would(struct copy *c, const char *from, const char *to)
{
	cleanup_free char *what = NULL;

	if (asprintf(&what, "copy %s to %s", from, to) < 0) {
		what = NULL;
		return;
	}
	text_sanitize(what);
	step_would(c->report, what);
}

static enum status copy_one(struct copy *c, const struct place *from,
			    const struct place *to, bool into)
{
	uint64_t skipped = c->skipped;
	enum status status;
	cleanup_free char *base = base_of(from->path), *path = NULL;

	if (into && !base)
		return report_fail(c->report, STATUS_FAILURE,
				   "%s has no name to be copied under", from->path);
	path = into ? copy_join(c, to->path, base) : strdup(to->path);
	if (!path)
		return report_fail(c->report, STATUS_FAILURE, "no memory");
	status = to->vm ? to_guest(c, from->path, path) : to_host(c, from->path, path);
	if (status == STATUS_OK && c->options->dry_run && c->skipped == skipped)
		tell_would(c, from->path, path);
	return status;
}

static enum status copy_all(struct copy *c, const struct place *places, int n)
{
	const struct place *to = &places[n - 1];
	enum status status;
	bool into = false;

	status = is_directory(c, to, n > 2, &into);
	for (int i = 0; status == STATUS_OK && i < n - 1; i++)
		status = copy_one(c, &places[i], to, into);
	if (status == STATUS_OK && c->skipped)
		status = report_fail(c->report, STATUS_FAILURE, "%llu not copied",
				     (unsigned long long)c->skipped);
	return status;
}

/* All sources on one side, the destination on the other. Returns the VM or NULL. */
static const char *find_vm(const struct place *places, int n)
{
	const char *vm = places[n - 1].vm ? places[n - 1].vm : places[0].vm;

	for (int i = 0; vm && i < n - 1; i++)
		if (!places[i].vm != !!places[n - 1].vm ||
		    (places[i].vm && strcmp(places[i].vm, vm)))
			return NULL;
	return vm;
}

static void tell(const struct copy *c)
{
	struct report *r = c->report;

	report_set(r, "files", json_integer((json_int_t)c->files));
	report_set(r, "directories", json_integer((json_int_t)c->directories));
	report_set(r, "symlinks", json_integer((json_int_t)c->symlinks));
	report_set(r, "skipped", json_integer((json_int_t)c->skipped));
	report_set(r, "bytes", json_integer((json_int_t)c->bytes));
	report_set(r, "resumed_bytes", json_integer((json_int_t)c->resumed));
}

static int run(struct copy *c, const char *name, const struct place *places, int n)
{
	struct vm vm;

	report_begin(c->report, c->options, syntax.verb, name);
	rpc_init(&c->rpc, -1);
	if (vm_resolve(&vm, name, NULL, c->report) == STATUS_OK &&
	    vm_open_agent(&vm, &c->rpc, copy_deadline(c), c->report) == STATUS_OK) {
		report_step(c->report, "copy");
		copy_all(c, places, n);
		report_step_end(c->report);
	}
	rpc_close(&c->rpc);
	if (!c->options->json && json_object_get(c->report->body, "would"))
		step_print_would(c->report);
	tell(c);
	return report_finish(c->report);
}

int cp_main(int argc, char **argv)
{
	struct options options;
	struct place *places;
	struct report report;
	struct copy c = {.options = &options, .report = &report};
	const char *vm = NULL;
	int ret = options_parse(argc, argv, &syntax, &options, &c), n;

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	n = options.nargs;
	places = calloc((size_t)n, sizeof(*places));
	for (int i = 0; places && !ret && i < n; i++)
		ret = take_place(options.args[i], &places[i]);
	if (places && !ret)
		vm = find_vm(places, n);
	if (vm) {
		ret = run(&c, vm, places, n);
	} else {
		fprintf(stderr, "vmctl cp: either each SOURCE or the DESTINATION is "
				"VM:PATH, of one VM; see vmctl cp --help\n");
		ret = STATUS_USAGE;
	}
	for (int i = 0; places && i < n; i++)
		free(places[i].vm);
	free(places);
	return ret;
}
