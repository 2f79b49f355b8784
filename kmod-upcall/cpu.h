/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CPUs: in and out of a running kernel without ACPI, whole lists or nothing.
 *
 * Both calls check the whole list before they change anything. If an entry fails
 * then all the same, the ones before it are taken back. The report says which
 * entry, why, and what could not be taken back. They return 0 or a negative errno,
 * may sleep, may take 10 s for a vCPU that does not start, and may not run at the
 * same time.
 */
#ifndef UPCALL_CPU_H
#define UPCALL_CPU_H

#include <linux/types.h>

struct report;

/* Whether this guest can plug CPUs at all; if not, both calls are -EOPNOTSUPP. */
bool cpu_available(void);

/*
 * Makes CPUs of that many APIC ids and brings them online.
 *
 * -EINVAL: none named, one named twice, or an id that no APIC can have
 * -ENOSPC: more than there are possible CPUs left
 * -EBUSY: the boot CPU  -EEXIST: present already
 * -ENODEV: not known to this kernel, or the VMM has not made the vCPU
 * -EIO and others: the kernel could not start it
 */
int cpu_plug(const u32 *apic_ids, u32 count, struct report *report);

/*
 * Takes CPUs offline and forgets them. With `eject`, has QEMU free the vCPUs then;
 * a vCPU that QEMU has and this kernel not (any more) is freed too, so that a host
 * can undo device_add.
 *
 * -EINVAL: none named, or one named twice
 * -EBUSY: the boot CPU, or no CPU would stay online, or one refuses to go
 * -ENODEV: no such CPU  -EOPNOTSUPP: eject, where there are no registers for it
 */
int cpu_unplug(const u32 *apic_ids, u32 count, bool eject, struct report *report);

#endif
