/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest is: kernel, name, age, CPUs, memory, our module. */
#ifndef AGENT_GUEST_INFO_H
#define AGENT_GUEST_INFO_H

#include <stdint.h>
#include <sys/utsname.h>

#include "error.h"
#include "guest_cpu.h"

struct guest_info {
	struct utsname names; /* release and nodename; printable ASCII */
	uint64_t uptime_nano; /* since boot, suspended time included */
	struct guest_cpus cpus;
	uint64_t memory_total;	   /* bytes */
	uint64_t memory_available; /* bytes; 0 on a kernel that does not say */
	char module_version[64];   /* of upcall.ko; empty when it is not loaded */
};

/* Reads it all anew. A negative errno when /proc or /sys is not as it must be. */
int guest_info_read(const char *root, struct guest_info *info, struct error *err);

/*
 * Finds a "Name:  123 kB" line of /proc/meminfo and gives bytes. -ENOENT, or
 * -EINVAL for a line that is not like that.
 */
int guest_info_parse_meminfo(const char *text, const char *name, uint64_t *bytes);

#endif
