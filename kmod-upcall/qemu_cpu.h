/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's CPU hotplug registers (QEMU's docs/specs/acpi_cpu_hotplug). A guest with
 * ACPI works them through AML. In one without, nobody does unless we do, and QEMU
 * then neither lets the host ask for a vCPU back nor ever frees it.
 *
 * All calls but init and exit come from the one work queue that runs requests, so
 * that the selector register needs no lock.
 */
#ifndef UPCALL_QEMU_CPU_H
#define UPCALL_QEMU_CPU_H

#include <linux/types.h>

#define EJECT_PORT_FIND	 (-1) /* go by the machine's DMI strings */
#define EJECT_PORT_LEAVE 0    /* touch nothing */

/*
 * EJECT_PORT_*, or the I/O port of the registers on a QEMU whose DMI strings have
 * been changed. Set before qemu_cpu_init().
 */
extern int eject_port;

/*
 * Finds the registers and switches them to the layout that knows of unplugging.
 * Not to find any is no error.
 */
void qemu_cpu_init(void);
void qemu_cpu_exit(void);

bool qemu_cpu_available(void);

/*
 * QEMU's index of the vCPU slot with that APIC id, or -ENODEV. The other calls
 * take this index.
 */
int qemu_cpu_find(u32 apic_id);

/* Whether there is a vCPU in the slot (made at start, or by device_add). */
bool qemu_cpu_occupied(int slot);

/*
 * Has QEMU free the slot's vCPU, which the kernel must have let go of before. 0,
 * or -EIO if QEMU kept it.
 */
int qemu_cpu_eject(int slot);

#endif
