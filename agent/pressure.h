/* SPDX-License-Identifier: Apache-2.0 */
/* Pressure stall information: Documentation/accounting/psi.rst in the kernel tree. */
#ifndef AGENT_PRESSURE_H
#define AGENT_PRESSURE_H

#include <stdint.h>

struct pressure_line {
	double avg10, avg60, avg300; /* percent */
	uint64_t total_usec;
};

struct pressure {
	struct pressure_line some, full; /* full: zero where the kernel has none */
};

#define PRESSURE_COUNT 3
/* "cpu", "memory", "io" */
extern const char *const pressure_names[PRESSURE_COUNT];

/* -ENOENT on a kernel without it; -EINVAL for a file that makes no sense. */
int pressure_read(const char *root, const char *name, struct pressure *pressure);

#endif
