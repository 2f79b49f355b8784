/* SPDX-License-Identifier: Apache-2.0 */
#include "step.h"

#include <stdio.h>

#include "interrupt.h"

enum status step_begin(struct report *r, const char *name, bool changes)
{
	report_step(r, name);
	if (changes)
		interrupt_block();
	if (interrupt_pending())
		return report_fail(r, STATUS_INTERRUPTED,
				   "interrupted before this step");
	return STATUS_OK;
}

void step_would(struct report *r, const char *what)
{
	json_t *list = json_object_get(r->body, "would");

	if (!list) {
		list = json_array();
		report_set(r, "would", list);
		report_set(r, "dry_run", json_true());
	}
	json_array_append_new(list, json_string(what));
}

void step_print_would(const struct report *r)
{
	json_t *list = json_object_get(r->body, "would"), *what;
	size_t i;

	fputs("steps   ", stdout);
	json_array_foreach (list, i, what) {
		printf("%s %s", i ? "," : "", json_string_value(what));
	}
	puts(json_array_size(list) ? "; nothing was changed" : " none");
}

void step_would_only(struct report *r, const char *what)
{
	step_would(r, what);
	if (!r->options->json)
		step_print_would(r);
}
