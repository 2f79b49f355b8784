/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that may be repeated since they change nothing: after a connection that
 * broke, or that could not be made, another one is tried.
 */
#ifndef HOST_CLI_RETRY_H
#define HOST_CLI_RETRY_H

#include "io.h"
#include "report.h"

/* What has not answered yet in this command is given so long to come up. */
#define RETRY_PATIENCE_MS 2000

struct retry {
	struct report *report;
	deadline_t deadline; /* the command's: for what has answered before */
	deadline_t patience; /* since the first failure in a row; 0: there was none */
	unsigned int tries;  /* failed ones in a row */
	bool answered;
};

void retry_begin(struct retry *t, deadline_t deadline, struct report *report);

/* A call went well. */
void retry_answered(struct retry *t);

/*
 * After a failure: true, a little later and with the failure taken back, when there
 * is to be another try.
 */
bool retry_again(struct retry *t);

#endif
