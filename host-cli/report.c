/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text.h"
#include "tty.h"

#define WARNINGS_MAX 100
#define SCHEMA	     1 /* raised when a member of the JSON object changes its meaning */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

void report_begin(struct report *r, const struct options *options, const char *verb,
		  const char *vm)
{
	memset(r, 0, sizeof(*r));
	r->options = options;
	r->verb = verb;
	r->vm = vm;
	text_copy(r->printable, sizeof(r->printable), vm, strlen(vm));
	r->failed_step = "";
	r->json_to = stdout;
	r->began = now_ns();
	r->body = json_object();
}

static void clear_progress(struct report *r)
{
	if (r->progress)
		fputs("\r\033[K", stderr);
	r->progress = false;
}

void report_progress(struct report *r, const char *fmt, ...)
{
	char text[REPORT_TEXT_MAX];
	va_list ap;
	int used;

	clear_progress(r);
	if (r->options->quiet || r->options->verbose || !tty_is(stderr))
		return;
	used = snprintf(text, sizeof(text), "%s: ", r->printable);
	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - (size_t)used, fmt, ap);
	va_end(ap);
	/* Only the last row can be cleared: there must be no other. */
	fprintf(stderr, "%.*s", (int)tty_columns(stderr) - 1, text);
	fflush(stderr);
	r->progress = true;
}

void report_step_end(struct report *r)
{
	size_t last = r->steps - 1;

	if (!r->steps || r->step[last].ended)
		return;
	r->step[last].ended = now_ns();
	clear_progress(r);
	report_debug(r, "%s: %.1f ms", r->step[last].name,
		     ms(r->step[last].ended - r->step[last].began));
}

void report_step(struct report *r, const char *name)
{
	report_step_end(r);
	if (r->steps == REPORT_STEPS_MAX)
		return;
	r->step[r->steps].name = name;
	r->step[r->steps].began = now_ns();
	r->step[r->steps++].ended = 0;
	report_progress(r, "%s ...", name);
}

enum status report_fail(struct report *r, enum status status, const char *fmt, ...)
{
	va_list ap;

	if (r->status != STATUS_OK)
		return r->status;
	r->status = status;
	r->again = false;
	if (r->steps && !r->step[r->steps - 1].ended)
		r->failed_step = r->step[r->steps - 1].name;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	text_sanitize(r->text);
	return status;
}

void report_fail_more(struct report *r, enum status status, const char *fmt, ...)
{
	size_t used = strlen(r->text);
	va_list ap;

	if (status != STATUS_OK)
		r->status = status;
	va_start(ap, fmt);
	vsnprintf(r->text + used, sizeof(r->text) - used, fmt, ap);
	va_end(ap);
	text_sanitize(r->text);
}

void report_retract(struct report *r)
{
	r->status = STATUS_OK;
	r->again = false;
	r->failed_step = "";
	r->text[0] = '\0';
}

enum status report_may_repeat(struct report *r, enum status status)
{
	r->again = r->status == status;
	return r->status;
}

enum status report_not_repeated(struct report *r)
{
	if (r->again)
		report_fail_more(r, STATUS_OK,
				 "; the request is not sent again, since the guest may "
				 "have carried it out");
	return r->status;
}

static void say(struct report *r, const char *text)
{
	clear_progress(r);
	fprintf(stderr, "vmctl: %s%s%s\n", r->printable, *r->vm ? ": " : "", text);
}

void report_warn(struct report *r, const char *fmt, ...)
{
	char text[REPORT_TEXT_MAX];
	json_t *list;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_sanitize(text);
	if (!r->options->quiet)
		say(r, text);
	list = json_object_get(r->body, "warnings");
	if (!list) {
		list = json_array();
		report_set(r, "warnings", list);
	}
	/* All are said; a command that goes on for days does not keep them all. */
	if (json_array_size(list) < WARNINGS_MAX)
		json_array_append_new(list, json_string(text));
}

void report_debug(struct report *r, const char *fmt, ...)
{
	char text[REPORT_TEXT_MAX];
	va_list ap;

	if (!r->options->verbose)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_sanitize(text);
	say(r, text);
}

void report_set(struct report *r, const char *key, json_t *value)
{
	json_object_set_new(r->body, key, value);
}

void report_print_steps(const struct report *r)
{
	size_t i;

	printf("took    ");
	for (i = 0; i < r->steps; i++)
		printf(" %s %.1f,", r->step[i].name,
		       ms(r->step[i].ended - r->step[i].began));
	printf(" all %.1f ms\n", ms(now_ns() - r->began));
}

static json_t *steps_json(const struct report *r)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < r->steps; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:f}", "name", r->step[i].name, "ms",
					ms(r->step[i].ended - r->step[i].began)));
	return list;
}

static int exit_code(const struct report *r)
{
	if (!r->passes_on)
		return (int)r->status;
	if (r->status == STATUS_OK)
		return r->passed_on;
	return r->status == STATUS_TIMEOUT ? REPORT_CODE_TIMEOUT : REPORT_CODE_FAILED;
}

static int print_json(struct report *r)
{
	json_t *vm = json_string(r->vm); /* NULL for what is not UTF-8 */
	json_t *o = json_pack(
		"{s:i, s:s, s:o, s:b, s:i, s:s}", "schema", SCHEMA, "verb", r->verb,
		"vm", vm ? vm : json_string(r->printable), "ok", r->status == STATUS_OK,
		"exit_code", exit_code(r), "status", status_name(r->status));
	int ret;

	if (!o)
		return -1;
	if (r->status != STATUS_OK) {
		json_object_set_new(o, "step", json_string(r->failed_step));
		json_object_set_new(o, "error", json_string(r->text));
	}
	json_object_update(o, r->body);
	json_object_set_new(o, "steps", steps_json(r));
	json_object_set_new(o, "ms", json_real(ms(now_ns() - r->began)));
	/* Strings of a guest may have what a terminal acts on beyond ASCII, too. */
	ret = json_dumpf(o, r->json_to,
			 JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9));
	json_decref(o);
	putc('\n', r->json_to);
	return ret;
}

int report_finish(struct report *r)
{
	int ret = 0;

	report_step_end(r);
	clear_progress(r);
	if (r->options->json)
		ret = print_json(r);
	if (r->status != STATUS_OK)
		fprintf(stderr, "%s%svmctl:%s %s%s%s%s%s\n", tty_bold(stderr),
			tty_red(stderr), tty_end(stderr), r->printable,
			*r->vm ? ": " : "", r->failed_step, *r->failed_step ? ": " : "",
			r->text);
	json_decref(r->body);
	r->body = NULL;
	if (ret || fflush(stdout) || ferror(stdout)) {
		perror("vmctl: writing to standard output");
		if (r->status == STATUS_OK)
			r->status = STATUS_FAILURE;
	}
	return exit_code(r);
}
