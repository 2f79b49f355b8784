/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's memory hotplug registers (QEMU's docs/specs/acpi_mem_hotplug): which DIMMs
 * there are, and how to give one back.
 *
 * All calls but init and exit come from the one work queue that runs requests, so
 * that the selector register needs no lock.
 */
#ifndef UPCALL_QEMU_MEM_H
#define UPCALL_QEMU_MEM_H

#include <linux/ioport.h>
#include <linux/types.h>

/* Finds the registers. Not to find any is no error. */
void qemu_mem_init(void);
void qemu_mem_exit(void);

bool qemu_mem_available(void);

/*
 * The addresses that QEMU keeps for DIMMs, made or not; boot memory may be among them.
 * False where there are none.
 */
bool qemu_mem_place(struct resource *place);

/*
 * Bytes of the range that DIMMs fill; in *outside, how many bytes the same DIMMs have
 * outside it.
 */
u64 qemu_mem_covered(u64 start, u64 size, u64 *outside);

/*
 * Has QEMU free the DIMMs that lie wholly within the range, which the kernel must have
 * let go of before. 0, or -EIO if QEMU kept one.
 */
int qemu_mem_eject(u64 start, u64 size);

#endif
