/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio-mmio device as the kernel sees it: a window of registers, an IRQ, and a
 * platform device "virtio-mmio.<id>" that the driver virtio_mmio binds to.
 *
 * All calls may sleep; those that change something take a lock of their own.
 */
#ifndef UPCALL_WINDOW_H
#define UPCALL_WINDOW_H

#include <linux/types.h>

#include "report.h"
#include "request.h"

struct fwnode_handle;
struct platform_device;

#define WINDOW_ANY_ID	  (-1) /* the lowest id that is free */
#define WINDOW_ANY_DEVICE 0

/*
 * Checks all that can be told before the device is registered and changes nothing:
 * the window is in nobody's way, the IRQ is one of this machine's, and a virtio device
 * answers in the window: of type virtio_id (VIRTIO_ID_*), or WINDOW_ANY_DEVICE, which
 * is any but a virtio-iommu.
 *
 * Returns 0, or with the report filled: -EEXIST plugged already  -EADDRINUSE another
 * resource is there  -EINVAL no address or size of a device  -ENODEV no such IRQ,
 * no device or not that type  -EOPNOTSUPP  -ENOMEM
 */
int window_check(const struct request_mmio *mmio, u32 virtio_id, struct report *report);

/*
 * Whether a range has registers of a local APIC or of the IOAPIC in it, which the
 * kernel registers as a resource on machines with PCI only, or addresses of MSIs.
 */
bool window_is_apic(u64 base, u64 last);

/* Loads virtio_mmio unless it is there. 0, or -ENODEV with the report filled. */
int window_load_driver(struct report *report);

/*
 * Checks as window_check() does and registers the device, with that id or
 * WINDOW_ANY_ID and with a firmware node or NULL. With `bound` it loads virtio_mmio if
 * need be and takes the device back unless the driver has bound to it (-ENODEV).
 * report->kernel_ns counts the kernel's part. Returns the device, which stays
 * registered until window_unregister(), also over an unload; or an ERR_PTR with the
 * report filled.
 */
struct platform_device *window_register(const struct request_mmio *mmio, u32 virtio_id,
					int id, struct fwnode_handle *fwnode,
					bool bound, struct report *report);

/*
 * The device virtio-mmio.<id> if its window is at base with that size, by whoever it
 * was registered, or NULL. platform_device_put() it. Waits for no lock of hotplug.
 */
struct platform_device *window_find(u32 id, u64 base, u64 size);

/*
 * Takes the device away with all that is bound to it, and the reference that
 * window_find() gave. report->kernel_ns counts the time.
 */
void window_unregister(struct platform_device *device, struct report *report);

/*
 * The type (VIRTIO_ID_*) of the bound virtio device behind a device on a bus, 0: none
 * is bound.
 */
u32 window_virtio_id(struct device *device);

#endif
