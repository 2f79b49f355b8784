/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's PCI devices, from query-pci: where one of a known id is, and where there is
 * room for one.
 */
#ifndef HOST_CLI_PCI_BUS_H
#define HOST_CLI_PCI_BUS_H

#include "qmp.h"

/*
 * The address (segment 0, as in LIST) of the device with that id: 1 and *bdf, 0 when
 * there is none, or -errno. A device behind a bridge has the bus number that the
 * guest gave the bridge.
 */
int pci_bus_find(struct qmp *q, const char *id, uint64_t *bdf, deadline_t deadline,
		 struct error *err);
/*
 * The id of the first bridge with nothing behind it: into bus[size], to be named as
 * device_add's bus. -ENOSPC when there is none.
 */
int pci_bus_free(struct qmp *q, char *bus, size_t size, deadline_t deadline,
		 struct error *err);

#endif
