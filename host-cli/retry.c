/* SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"

#include <poll.h>
#include <string.h>

#define PAUSE_MS     10 /* after the first failure; doubled each time */
#define PAUSE_MAX_MS 200

void retry_begin(struct retry *t, deadline_t deadline, struct report *report)
{
	memset(t, 0, sizeof(*t));
	t->deadline = deadline;
	t->report = report;
}

void retry_answered(struct retry *t)
{
	t->answered = true;
	t->tries = 0;
}

static bool give_up(const struct retry *t)
{
	if (t->tries > 1)
		report_fail_more(t->report, STATUS_OK, "; it was tried %u times",
				 t->tries);
	return false;
}

bool retry_again(struct retry *t)
{
	deadline_t until;
	int pause = PAUSE_MAX_MS, left;

	if (!t->report->again)
		return give_up(t);
	if (!t->tries++) {
		t->patience = deadline_after_ms(RETRY_PATIENCE_MS);
		if (t->answered)
			report_warn(t->report, "%s: trying again", t->report->text);
		else
			report_debug(t->report, "%s: trying again", t->report->text);
	}
	until = t->answered || t->deadline < t->patience ? t->deadline : t->patience;
	if (t->tries < 5)
		pause = PAUSE_MS << (t->tries - 1);
	/* With no time left for an answer, what is known says more. */
	left = deadline_left_ms(until);
	if (left >= 0 && left <= pause)
		return give_up(t);
	poll(NULL, 0, pause);
	report_retract(t->report);
	return true;
}
