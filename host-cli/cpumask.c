/* SPDX-License-Identifier: Apache-2.0 */
#include "cpumask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORDS (CPUMASK_MAX / 64)

int cpumask_add(struct cpumask *m, uint32_t cpu)
{
	if (cpu >= CPUMASK_MAX)
		return -ERANGE;
	m->bits[cpu / 64] |= 1ull << (cpu % 64);
	return 0;
}

bool cpumask_has(const struct cpumask *m, uint32_t cpu)
{
	return cpu < CPUMASK_MAX && (m->bits[cpu / 64] >> (cpu % 64) & 1);
}

size_t cpumask_count(const struct cpumask *m)
{
	size_t i, n = 0;

	for (i = 0; i < WORDS; i++)
		n += __builtin_popcountll(m->bits[i]);
	return n;
}

struct cpumask cpumask_minus(const struct cpumask *a, const struct cpumask *b)
{
	struct cpumask m;
	size_t i;

	for (i = 0; i < WORDS; i++)
		m.bits[i] = a->bits[i] & ~b->bits[i];
	return m;
}

const char *cpumask_format(const struct cpumask *m, char *buf, size_t size)
{
	uint32_t cpu = 0, last;
	size_t used = 0;

	snprintf(buf, size, "none");
	while (cpu < CPUMASK_MAX) {
		const char *comma = used ? "," : "";
		int n;

		if (!cpumask_has(m, cpu)) {
			cpu++;
			continue;
		}
		for (last = cpu; cpumask_has(m, last + 1);)
			last++;
		if (last > cpu)
			n = snprintf(buf + used, size - used, "%s%u-%u", comma, cpu,
				     last);
		else
			n = snprintf(buf + used, size - used, "%s%u", comma, cpu);
		if (n < 0 || (size_t)n >= size - used) {
			if (size > 3)
				memcpy(buf + size - 4, "...", 4);
			break;
		}
		used += n;
		cpu = last + 1;
	}
	return buf;
}

json_t *cpumask_json(const struct cpumask *m)
{
	json_t *array = json_array();
	uint32_t cpu;

	for (cpu = 0; array && cpu < CPUMASK_MAX; cpu++)
		if (cpumask_has(m, cpu))
			json_array_append_new(array, json_integer(cpu));
	return array;
}
