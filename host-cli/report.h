/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command tells its user: which step it is at, how long each took, what
 * went wrong first, and at the end one JSON object or the message. Data goes to
 * stdout, all else to stderr.
 */
#ifndef HOST_CLI_REPORT_H
#define HOST_CLI_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"
#include "status.h"

#define REPORT_STEPS_MAX 16
#define REPORT_TEXT_MAX	 1024

/* Of a verb that passes a program's exit code on, in place of the status. */
#define REPORT_CODE_TIMEOUT 124
#define REPORT_CODE_FAILED  125

struct report {
	const struct options *options;
	const char *verb;
	const char *vm;	     /* what the user called it; "" for verbs without */
	char printable[256]; /* that, fit for a terminal, cut to fit */
	enum status status;
	const char *failed_step;    /* "" before any step */
	char text[REPORT_TEXT_MAX]; /* why it failed, and what to do */
	struct {
		const char *name;
		uint64_t began, ended; /* CLOCK_MONOTONIC, ns; ended 0: under way */
	} step[REPORT_STEPS_MAX];
	size_t steps;
	uint64_t began;
	bool again;	/* what failed may go well on another connection */
	bool progress;	/* a progress line stands on the terminal */
	bool passes_on; /* success has the code below, and a failure one of those above
			 */
	int passed_on;
	FILE *json_to; /* where the JSON object goes; stdout, if nothing else is said */
	json_t *body;  /* the verb's own members, and the warnings */
};

void report_begin(struct report *r, const struct options *options, const char *verb,
		  const char *vm);

/* Ends the step under way and begins the named one (a string that stays). */
void report_step(struct report *r, const char *name);
/* Ends the step under way. */
void report_step_end(struct report *r);

/*
 * Notes why the command fails, at the step under way; the first note stays.
 * Returns the status that counts. Text that a peer sent may be in the arguments.
 */
enum status report_fail(struct report *r, enum status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds to the noted message; replaces its status unless that is given as OK. */
void report_fail_more(struct report *r, enum status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Takes the noted failure back, for another try. */
void report_retract(struct report *r);
/* After a connection that broke during a change: why there is no other try. */
enum status report_not_repeated(struct report *r);
/* Another try may help: for a failure that was just noted. Both return r->status. */
enum status report_may_repeat(struct report *r, enum status status);

/* A line, cut to fit, that is written over by the next one; for terminals only. */
void report_progress(struct report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Says something at once: always, unless --quiet; only with --verbose. */
void report_warn(struct report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void report_debug(struct report *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Sets one member of the JSON result; takes the value over (NULL: no memory). */
void report_set(struct report *r, const char *key, json_t *value);

/* Prints how long the steps took, as one line of text on stdout. */
void report_print_steps(const struct report *r);

/*
 * Ends the command: the JSON object with --json, the message on stderr when it
 * failed. Returns the exit code.
 */
int report_finish(struct report *r);

#endif
