/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's and the agent's figures as text. For jobs: file systems may hang. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include "error.h"

struct agent;

enum metrics_format {
	METRICS_OPENMETRICS, /* ends with "# EOF" */
	METRICS_PROMETHEUS,  /* the older text format */
};

/*
 * The text, which the caller frees, or NULL with err filled. What a kernel does not
 * tell is left out.
 */
char *metrics_text(const struct agent *agent, enum metrics_format format,
		   struct error *err);

#endif
