/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of a guest's logical CPU numbers. A value: copied by assignment.
 */
#ifndef HOST_CLI_CPUMASK_H
#define HOST_CLI_CPUMASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUMASK_MAX 8192 /* NR_CPUS of the largest x86 kernel configuration */

struct cpumask {
	uint64_t bits[CPUMASK_MAX / 64];
};

/* Adds a CPU; -ERANGE for a number of CPUMASK_MAX and above. */
int cpumask_add(struct cpumask *m, uint32_t cpu);
bool cpumask_has(const struct cpumask *m, uint32_t cpu);
size_t cpumask_count(const struct cpumask *m);
/* Those of a that are not in b. */
struct cpumask cpumask_minus(const struct cpumask *a, const struct cpumask *b);
/* Writes "0-3,5" ("none" for no CPU), cut with "..." to fit; returns buf. */
const char *cpumask_format(const struct cpumask *m, char *buf, size_t size);
/* An array of numbers, ascending; a new reference, NULL without memory. */
json_t *cpumask_json(const struct cpumask *m);

#endif
