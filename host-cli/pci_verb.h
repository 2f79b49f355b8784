/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-pci and unplug-pci: what pci_verb.c (the command line, and the way in) and
 * pci_out.c (the way out) share.
 */
#ifndef HOST_CLI_PCI_VERB_H
#define HOST_CLI_PCI_VERB_H

#include "change.h"

#define PCI_PROPS_MAX 32

struct pci_verb {
	struct change c; /* first: a step gets it */
	const char *driver, *bus;
	const char *prop[PCI_PROPS_MAX];
	size_t props;
	bool guest_only, addressed;
	uint64_t bdf;
	char free_bus[CHANGE_ID_MAX];

	/* After c.del, which has the guest let go of it: frees the slot in QEMU. */
	struct change_request eject;
	/* How far the way out came. */
	bool absent;   /* the guest had not got it to begin with */
	bool let_go;   /* the guest has it no more */
	bool wanted;   /* device_del was sent ... */
	bool agreed;   /* ... and QEMU said yes */
	bool ejecting; /* the eject was sent */
};

/* Unplugs the device that QEMU calls c.id. */
enum status pci_out_run(struct pci_verb *v);
/* The way back from plugging: as struct change's take_back. */
int pci_out_take_back(struct change *c, deadline_t deadline, struct error *err);

#endif
