/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions that a PCI request is about: those of a slot, or one. All calls are
 * made under pci_lock_rescan_remove().
 */
#ifndef UPCALL_PCI_TARGET_H
#define UPCALL_PCI_TARGET_H

#include <linux/pci.h>

#include "report.h"
#include "request.h"

#define PCI_TARGET_FUNCTIONS 8

struct pci_target {
	struct pci_bus *bus;
	u8 devfn;
	unsigned int first, last; /* functions: function 0 stands for the whole slot */
	/* A bit for each BAR that a function has: of those that find no room, the
	 * kernel forgets that they are. */
	u8 bars[PCI_TARGET_FUNCTIONS];
};

/* -ENODEV, with the report filled, if the guest has no such bus. */
int pci_target_find(const struct request_pci *pci, struct pci_target *target,
		    struct report *report);

/* A reference to the function that the request names, or NULL. */
struct pci_dev *pci_target_get(const struct pci_target *target);

/* Whether something answers there, known to the kernel or not. */
bool pci_target_answers(const struct pci_target *target);

/* Calls check() for each function, until one returns not 0. */
int pci_target_check(const struct pci_target *target,
		     int (*check)(struct pci_dev *dev, struct report *report),
		     struct report *report);

/* Has the kernel look for functions that it does not know. Whether there are any. */
bool pci_target_scan(const struct pci_target *target);

/*
 * Gives what was found its addresses and its drivers. No other device is moved for it.
 * Returns 0, or with the report filled -ENOSPC if a BAR finds no room; then no driver
 * has been started.
 */
int pci_target_start(struct pci_target *target, struct report *report);

void pci_target_remove(const struct pci_target *target);

#endif
