/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's PCI hotplug registers (QEMU's docs/specs/acpi_pci_hotplug), for guests whose
 * ACPI is off: QEMU frees a device that the host wants back (device_del) when the
 * guest ejects it there, and not before.
 *
 * All calls but init and exit come from the one work queue that runs requests, so
 * that the selector register needs no lock.
 */
#ifndef UPCALL_QEMU_PCI_H
#define UPCALL_QEMU_PCI_H

#include <linux/types.h>

/* Finds the registers. Not to find any is no error. */
void qemu_pci_init(void);
void qemu_pci_exit(void);

bool qemu_pci_available(void);

/*
 * The hotplug bus on which the host has asked for that slot (0 to 31) back. A guest
 * cannot tell which of its PCI buses that is, so there must be one only: -ENODEV,
 * nothing was asked for; -EBUSY, that slot of several buses.
 */
int qemu_pci_find_asked(unsigned int slot);

/* Has QEMU free all functions of the slot. 0, or -EIO if the request is still there. */
int qemu_pci_eject(int bus, unsigned int slot);

#endif
