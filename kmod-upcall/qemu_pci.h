/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's PCI hotplug registers (QEMU's docs/specs/acpi_pci_hotplug), by which it
 * frees a device that it was asked to take back (device_del).
 *
 * QEMU has numbers of its own for the buses that it hot-plugs into, which only its
 * ACPI tables would translate. What can be had without them: a slot that was made by
 * device_add is marked until somebody looks, so that whoever looks when the host asks
 * for one device sees which hotplug bus it is on. Buses here are those of segment 0, by
 * the guest's own numbers; slots are 0 to 31.
 *
 * All calls but init and exit come from the one work queue that runs requests, so
 * that the select register needs no lock.
 */
#ifndef UPCALL_QEMU_PCI_H
#define UPCALL_QEMU_PCI_H

#include <linux/types.h>

/* QEMU numbers its hotplug buses from 0 (ACPI_PCIHP_MAX_HOTPLUG_BUS). */
#define QEMU_PCI_BUSES 256

#define QEMU_PCI_UNKNOWN (-1)

/* Finds the registers. Not to find any is no error. */
void qemu_pci_init(void);
void qemu_pci_exit(void);

bool qemu_pci_available(void);

/*
 * The host asks for a device in that slot to be plugged: if just one hotplug bus has
 * something new there, it is this bus's from now on.
 */
void qemu_pci_learn(u8 bus, unsigned int slot);

/* What an earlier load had learned. */
void qemu_pci_remember(u8 bus, int hotplug_bus);

/* The number that QEMU has for a bus, or QEMU_PCI_UNKNOWN. */
int qemu_pci_hotplug_bus(u8 bus);

/* It turned out to be wrong. */
void qemu_pci_forget(u8 bus);

/*
 * Sets a bit in asked[] for each hotplug bus of which QEMU wants the slot back and
 * which may be that bus: one, where it was learned. 0, -ENODEV when there is none,
 * -EBUSY when there are several. `alone`: the guest has no other device that one of
 * them could be, so that they may all go.
 */
int qemu_pci_find_asked(u8 bus, unsigned int slot, bool alone, unsigned long *asked);

/*
 * Has QEMU free what is in the slot of each bus in asked[], which the kernel must have
 * let go of before. 0, or -EIO if QEMU still wants one back.
 */
int qemu_pci_eject(const unsigned long *asked, unsigned int slot);

#endif
