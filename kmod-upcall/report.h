/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What became of one request: the part of a reply that says how far a list got
 * and why it went no further, and what events tell.
 */
#ifndef UPCALL_REPORT_H
#define UPCALL_REPORT_H

#include <linux/compiler.h>
#include <linux/types.h>

#define REPORT_NO_ENTRY (~0u)

struct report {
	u64 request;	       /* its number */
	u32 type;	       /* enum upcall_type, as it was sent */
	u32 failed;	       /* index of the entry that failed, or REPORT_NO_ENTRY */
	u32 done;	       /* CPUs: entries done: the whole list, or 0 */
	u32 rolled_back;       /* entries done and taken back */
	u32 stuck;	       /* entries that could not be taken back */
	u64 kernel_ns;	       /* time in the kernel's hotplug calls */
	u64 total_ns;	       /* time of it all, set at the end */
	char reason[128];      /* one line; empty on success */
	struct list_head gone; /* struct plugged: what was unplugged */
};

void report_init(struct report *report);

/*
 * A report for what is still to be done for a request that has failed: what goes wrong
 * with it does not take the place of why.
 */
void report_init_later(struct report *later, const struct report *failed);

/*
 * Notes that entry `failed` (or REPORT_NO_ENTRY) failed, and why. Returns err,
 * so that the caller can return it in turn.
 */
__printf(4, 5) int report_fail(struct report *report, u32 failed, int err,
			       const char *fmt, ...);

#endif
