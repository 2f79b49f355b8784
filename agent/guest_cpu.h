/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's CPUs in sysfs: Documentation/ABI/testing/sysfs-devices-system-cpu
 * and Documentation/admin-guide/cputopology.rst in the kernel tree.
 */
#ifndef AGENT_GUEST_CPU_H
#define AGENT_GUEST_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* Logical CPU numbers are below this: x86's NR_CPUS at most (MAXSMP). */
#define GUEST_CPU_MAX 8192

struct guest_cpu_mask {
	uint64_t bits[GUEST_CPU_MAX / 64];
};

struct guest_cpus {
	struct guest_cpu_mask possible;
	struct guest_cpu_mask present;
	struct guest_cpu_mask online;
};

/*
 * Parses the kernel's list format, "0-3,5\n"; an empty line is an empty mask.
 * -EINVAL for anything else, -ERANGE for a CPU from GUEST_CPU_MAX up.
 */
int guest_cpu_parse(const char *text, struct guest_cpu_mask *mask);
/* False also for a number from GUEST_CPU_MAX up. */
bool guest_cpu_test(const struct guest_cpu_mask *mask, uint32_t cpu);
unsigned int guest_cpu_count(const struct guest_cpu_mask *mask);

/* Reads the three masks. Waits for no CPU that is being brought online. */
int guest_cpu_read(const char *root, struct guest_cpus *cpus, struct error *err);

/*
 * Brings a CPU online and sees that it is: 0 or a negative errno. Blocks until
 * the CPU has started or the kernel has given it up (10 s); while the kernel is
 * busy with another hotplug, tries again for 5 s.
 */
int guest_cpu_online(const char *root, uint32_t cpu);
/* Takes it offline, likewise. The kernel says -EBUSY of its last CPU too. */
int guest_cpu_offline(const char *root, uint32_t cpu);

#endif
