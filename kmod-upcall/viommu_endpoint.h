/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The PCI functions behind a virtio-iommu. The kernel asks for a function's IOMMU once,
 * when the function appears, so one that is there already leaves and comes back.
 */
#ifndef UPCALL_VIOMMU_ENDPOINT_H
#define UPCALL_VIOMMU_ENDPOINT_H

#include <linux/property.h>
#include <linux/types.h>

#include "report.h"
#include "request.h"

struct endpoints {
	const struct request_range *range; /* UPCALL_RANGE_PCI */
	u32 range_count;
	u32 count; /* functions taken out */
	struct request_pci *function;
};

/* At load and unload: from here on functions that appear are given their IOMMU. */
int viommu_endpoint_init(void);
void viommu_endpoint_exit(void);

/*
 * Takes the functions in the ranges out; bridges stay. Nothing is done if one of
 * them is in use (-EBUSY), unless by force. The caller holds pci_lock_rescan_remove()
 * from here until they are back, and frees `function` with kfree().
 */
int viommu_endpoint_take_out(struct endpoints *endpoints, bool force,
			     struct report *report);

/*
 * Has the kernel find them again. With an IOMMU's fwnode they go behind it, without
 * (NULL) not. Returns 0, or, with the report filled, -EIO if one does not come back
 * or is in no IOMMU group although it should be.
 */
int viommu_endpoint_bring_back(const struct endpoints *endpoints,
			       struct fwnode_handle *iommu, struct report *report);

/* viommu.c: the fwnode of the plugged virtio-iommu with that key, or NULL. */
struct fwnode_handle *viommu_fwnode(u64 key);

/* What a range says, off the wire and out of a record. */
struct request_range viommu_range(const struct upcall_viommu_range *wire);

#endif
