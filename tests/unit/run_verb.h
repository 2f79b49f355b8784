/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a verb of vmctl in this process, with its output caught. */
#ifndef RUN_VERB_H
#define RUN_VERB_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})

struct output {
	int code;
	char out[16384], err[32768];
};

static void slurp(FILE *f, char *to, size_t size)
{
	size_t n;

	rewind(f);
	n = fread(to, 1, size - 1, f);
	to[n] = '\0';
	fclose(f);
}

/* Runs a verb with its output caught. */
static struct output run(int (*verb)(int argc, char **argv), char **argv)
{
	FILE *out = tmpfile(), *err = tmpfile();
	struct output o = {0};
	int saved[2], argc = 0;

	while (argv[argc])
		argc++;
	fflush(stdout);
	fflush(stderr);
	saved[0] = dup(STDOUT_FILENO);
	saved[1] = dup(STDERR_FILENO);
	dup2(fileno(out), STDOUT_FILENO);
	dup2(fileno(err), STDERR_FILENO);
	o.code = verb(argc, argv);
	fflush(stdout);
	fflush(stderr);
	dup2(saved[0], STDOUT_FILENO);
	dup2(saved[1], STDERR_FILENO);
	close(saved[0]);
	close(saved[1]);
	slurp(out, o.out, sizeof(o.out));
	slurp(err, o.err, sizeof(o.err));
	return o;
}

/* With this on standard input. */
__attribute__((unused)) static struct output run_with(
	const void *input, size_t len, int (*verb)(int argc, char **argv), char **argv)
{
	int saved = dup(STDIN_FILENO);
	FILE *in = tmpfile();
	struct output o;

	assert_int_equal(fwrite(input, 1, len, in), len);
	rewind(in);
	dup2(fileno(in), STDIN_FILENO);
	o = run(verb, argv);
	dup2(saved, STDIN_FILENO);
	close(saved);
	fclose(in);
	return o;
}

/* A failure: this code, nothing on stdout, one printable line on stderr. */
__attribute__((unused)) static void check_failure(const struct output *o, int code,
						  const char *words)
{
	size_t len = strlen(o->err);

	if (o->code != code)
		fail_msg("exit code %d, not %d: %s", o->code, code, o->err);
	assert_string_equal(o->out, "");
	assert_true(len > 0);
	assert_ptr_equal(strchr(o->err, '\n'), o->err + len - 1);
	assert_null(strchr(o->err, '\x1b'));
	if (strncmp(o->err, "vmctl: vm1: ", 12) || !strstr(o->err, words))
		fail_msg("'%s' is not in: %s", words, o->err);
}

#endif
