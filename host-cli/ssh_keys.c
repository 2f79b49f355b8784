/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "fleet.h"
#include "step.h"
#include "verbs.h"
#include "vmctl/agent/v1/ssh_keys.pb-c.h"

#define KEYS_MAX 256 /* of a file that is given */

struct ssh_keys {
	const char *user, *add, *remove; /* NULL: not given */
	char *keys[KEYS_MAX];
	size_t n;
};

static int set_user(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct ssh_keys *)into)->user = value;
	return 0;
}

static int set_add(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct ssh_keys *)into)->add = value;
	return 0;
}

static int set_remove(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct ssh_keys *)into)->remove = value;
	return 0;
}

static const struct option_spec specs[] = {
	{"user", "USER", "whose they are (root)", 0, set_user},
	{"add", "FILE", "add the keys of this file, such as ~/.ssh/id_ed25519.pub", 0,
	 set_add},
	{"remove", "FILE", "remove the keys of this file", 0, set_remove},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "ssh-keys",
	.operands = "VM",
	.about = "Lists the keys that let into a user's account by ssh, or changes "
		 "them. FILE may be\n"
		 "\"-\", standard input.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.changes = true,
};

/* Lines that are neither empty nor comments. */
static int read_lines(struct ssh_keys *k, FILE *f, struct error *err)
{
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	while (!ret && getline(&line, &size, f) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!*line || *line == '#')
			continue;
		if (k->n == KEYS_MAX)
			ret = error_set(err, -E2BIG, "more than %d keys", KEYS_MAX);
		else if (!(k->keys[k->n] = strdup(line)))
			ret = error_set(err, -ENOMEM, "no memory for a key");
		else
			k->n++;
	}
	free(line);
	if (!ret && ferror(f))
		ret = error_set(err, -EIO, "it cannot be read");
	return !ret && !k->n ? error_set(err, -EINVAL, "there is no key in it") : ret;
}

static int read_file(struct ssh_keys *k, const char *name, struct error *err)
{
	bool input = !strcmp(name, "-");
	FILE *f;
	int ret;

	/* There it is empty: one cannot be read for each. */
	if (input && fleet_is_member())
		return error_set(err, -EINVAL,
				 "-: standard input is for one VM; give a file to "
				 "several");
	f = input ? stdin : fopen(name, "re");
	if (!f)
		return error_set(err, -errno, "%s: %s", name, strerror(errno));
	ret = read_lines(k, f, err);
	if (f != stdin)
		fclose(f);
	if (ret)
		error_prefix(err, "%s", name);
	return ret;
}

static void print(const Vmctl__Agent__V1__SshKeysResponse *answer, bool changed,
		  struct report *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < answer->n_keys; i++) {
		json_array_append_new(list, json_string(answer->keys[i]));
		if (!r->options->json && !changed)
			puts(answer->keys[i]);
	}
	report_set(r, "keys", list);
	report_set(r, "changed", json_integer((json_int_t)answer->changed));
	if (changed && !r->options->json && !r->options->quiet)
		printf("%s: %u keys changed, %zu there are\n", r->printable,
		       answer->changed, answer->n_keys);
}

static void run(const struct ssh_keys *k, const struct vm *vm, struct report *r)
{
	Vmctl__Agent__V1__SshKeysRequest request =
		VMCTL__AGENT__V1__SSH_KEYS_REQUEST__INIT;
	deadline_t deadline = deadline_after_ms(r->options->timeout_ms);
	bool change = (k->add || k->remove) && !r->options->dry_run;
	struct ask ask = {
		.method = !change  ? "ListSshKeys"
			  : k->add ? "AddSshKeys"
				   : "RemoveSshKeys",
		.request = &request.base,
		.type = &vmctl__agent__v1__ssh_keys_response__descriptor,
		.step = change ? "change" : "ask",
		.changes = change,
	};
	ProtobufCMessage *m;

	if (k->user)
		request.user = (char *)k->user;
	if (change) {
		request.keys = (char **)k->keys;
		request.n_keys = k->n;
	}
	if (ask_agent(&ask, vm, deadline, &m, r) != STATUS_OK)
		return;
	print((const Vmctl__Agent__V1__SshKeysResponse *)m, change, r);
	message_free(m);
	if ((k->add || k->remove) && !change)
		step_would_only(r, k->add ? "add" : "remove");
}

int ssh_keys_main(int argc, char **argv)
{
	struct ssh_keys k = {0};
	struct error err = {0};
	struct options options;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &k);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (k.add && k.remove)
		report_fail(&r, STATUS_USAGE, "give --add or --remove, not both");
	else if ((k.add || k.remove) && read_file(&k, k.add ? k.add : k.remove, &err))
		report_fail(&r, STATUS_USAGE, "%s", err.text);
	else if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&k, &vm, &r);
	while (k.n)
		free(k.keys[--k.n]);
	return report_finish(&r);
}
