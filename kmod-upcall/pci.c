// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI devices, by the guest's own bus numbers. Function 0 stands for its whole slot:
 * a device without it cannot be, and QEMU plugs slots.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/virtio_ids.h>

#include "class.h"
#include "plugged.h"
#include "qemu_pci.h"

#define FUNCTIONS 8

/* Device ids of virtio 1.x over PCI (virtio 1.2, section 4.1.2). */
#define VIRTIO_VENDOR	0x1af4
#define VIRTIO_ID_FIRST 0x1040

/* What a request is about, found with the PCI lock held. */
struct target {
	struct pci_bus *bus;
	u8 devfn;
	unsigned int first, last; /* functions */
};

static struct pci_dev *get_function(const struct target *target, unsigned int function)
{
	return pci_get_slot(target->bus, PCI_DEVFN(PCI_SLOT(target->devfn), function));
}

static int find_target(const struct request_pci *pci, struct target *target,
		       struct report *report)
{
	target->bus = pci_find_bus(pci->segment, pci->bus);
	if (!target->bus)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "this guest has no PCI bus %04x:%02x", pci->segment,
				   pci->bus);
	target->devfn = pci->devfn;
	target->first = PCI_FUNC(pci->devfn);
	target->last = target->first ? target->first : FUNCTIONS - 1;
	return 0;
}

/* All BARs must have got an address. An expansion ROM may do without. */
static int check_bars(struct pci_dev *dev, struct report *report)
{
	struct resource *bar;
	int i;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		bar = &dev->resource[i];
		if (!bar->flags || !resource_size(bar) || bar->parent)
			continue;
		return report_fail(report, REPORT_NO_ENTRY, -ENOSPC,
				   "no room for BAR %d (%#llx bytes) of %s below its "
				   "bridge",
				   i, (u64)resource_size(bar), pci_name(dev));
	}
	return 0;
}

static void remove_functions(const struct target *target)
{
	struct pci_dev *dev;
	unsigned int i;

	/* Function 0 goes last: the others are found through it. */
	for (i = target->last + 1; i-- > target->first;) {
		dev = get_function(target, i);
		if (dev)
			pci_stop_and_remove_bus_device(dev);
		pci_dev_put(dev);
	}
}

static struct upcall_list_entry entry_of(const struct request_pci *pci,
					 const struct pci_dev *dev)
{
	return (struct upcall_list_entry){
		.class_number = cpu_to_le32(UPCALL_CLASS_PCI),
		.key = cpu_to_le64(request_pci_key(pci)),
		.pci = {.vendor = cpu_to_le16(dev ? dev->vendor : 0),
			.device = cpu_to_le16(dev ? dev->device : 0),
			.class_code = cpu_to_le32(dev ? dev->class : 0)},
	};
}

/*
 * The driver of a virtio-iommu takes for granted that firmware told of what is behind
 * it, and falls over the next device that is probed (viommu_probe_device()).
 */
static int check_known(struct pci_dev *dev, struct report *report)
{
	if (dev->vendor != VIRTIO_VENDOR ||
	    dev->device != VIRTIO_ID_FIRST + VIRTIO_ID_IOMMU)
		return 0;
	return report_fail(
		report, REPORT_NO_ENTRY, -EOPNOTSUPP,
		"%s is a virtio-iommu, and only those at MMIO can be plugged",
		pci_name(dev));
}

static int check_functions(const struct target *target,
			   int (*check)(struct pci_dev *dev, struct report *report),
			   struct report *report)
{
	struct pci_dev *dev;
	unsigned int i;
	int ret = 0;

	for (i = target->first; i <= target->last && !ret; i++) {
		dev = get_function(target, i);
		if (dev)
			ret = check(dev, report);
		pci_dev_put(dev);
	}
	return ret;
}

/* Gives what was found its addresses and its drivers. */
static int start_functions(const struct target *target, struct report *report)
{
	int ret = check_functions(target, check_known, report);

	if (ret)
		return ret;
	if (target->bus->self)
		pci_assign_unassigned_bridge_resources(target->bus->self);
	else
		pci_assign_unassigned_bus_resources(target->bus);
	ret = check_functions(target, check_bars, report);
	if (!ret)
		pci_bus_add_devices(target->bus);
	return ret;
}

static int scan(const struct target *target)
{
	struct pci_dev *dev;

	if (PCI_FUNC(target->devfn) == 0)
		return pci_scan_slot(target->bus, target->devfn);
	dev = pci_scan_single_device(target->bus, target->devfn);
	return dev ? 1 : 0;
}

static int plug(const struct request_pci *pci, struct upcall_list_entry *entry,
		struct report *report)
{
	struct target target;
	struct pci_dev *dev;
	int ret;

	ret = find_target(pci, &target, report);
	if (ret)
		return ret;
	dev = get_function(&target, target.first);
	if (dev) {
		ret = report_fail(report, REPORT_NO_ENTRY, -EEXIST,
				  "%s is there already", pci_name(dev));
		pci_dev_put(dev);
		return ret;
	}
	if (!scan(&target))
		return report_fail(
			report, REPORT_NO_ENTRY, -ENODEV,
			"no device answers at %04x:%02x:%02x.%u; has the VMM "
			"made it?",
			pci->segment, pci->bus, PCI_SLOT(pci->devfn),
			PCI_FUNC(pci->devfn));
	ret = start_functions(&target, report);
	if (ret) {
		remove_functions(&target);
		return ret;
	}
	dev = get_function(&target, target.first);
	*entry = entry_of(pci, dev);
	pci_dev_put(dev);
	return 0;
}

static void take_back(const struct request_pci *pci)
{
	struct report report;
	struct target target;

	report_init(&report);
	pci_lock_rescan_remove();
	if (!find_target(pci, &target, &report))
		remove_functions(&target);
	pci_unlock_rescan_remove();
}

static int pci_add(const struct request *request, struct report *report)
{
	struct upcall_list_entry entry;
	u64 start = ktime_get_ns();
	int ret;

	pci_lock_rescan_remove();
	ret = plug(&request->pci, &entry, report);
	pci_unlock_rescan_remove();
	report->kernel_ns = ktime_get_ns() - start;
	if (ret)
		return ret;
	ret = plugged_add(&entry, 1, report);
	if (ret)
		take_back(&request->pci);
	return ret;
}

/* What may not go: what others hang on, and what this request came through. */
static int check_removable(struct pci_dev *dev, struct report *report)
{
	if (dev->class >> 16 == PCI_BASE_CLASS_BRIDGE)
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY, "%s is a bridge",
				   pci_name(dev));
	if (dev->vendor == VIRTIO_VENDOR &&
	    dev->device == VIRTIO_ID_FIRST + VIRTIO_ID_VSOCK)
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY,
				   "%s carries the connection to the host",
				   pci_name(dev));
	return 0;
}

/* The hotplug bus to eject from, checked before anything is taken out. */
static int find_eject(const struct request *request, struct report *report)
{
	int bus;

	if (!qemu_pci_available())
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "this machine has no registers of QEMU's to eject a "
				   "PCI device");
	if (PCI_FUNC(request->pci.devfn))
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "QEMU ejects whole slots: name function 0");
	bus = qemu_pci_find_asked(PCI_SLOT(request->pci.devfn));
	if (bus == -ENODEV)
		return report_fail(
			report, REPORT_NO_ENTRY, -ENODEV,
			"QEMU was not asked for the device: device_del comes "
			"before the eject");
	if (bus < 0)
		return report_fail(report, REPORT_NO_ENTRY, bus,
				   "QEMU was asked for slot %u of several buses",
				   PCI_SLOT(request->pci.devfn));
	return bus;
}

static int unplug(const struct request *request, int eject_bus,
		  struct upcall_list_entry *entry, struct report *report)
{
	const struct request_pci *pci = &request->pci;
	struct target target;
	struct pci_dev *dev;
	int ret;

	ret = find_target(pci, &target, report);
	if (ret)
		return ret;
	dev = get_function(&target, target.first);
	*entry = entry_of(pci, dev);
	pci_dev_put(dev);
	/* What the guest refused, or let go of without us, QEMU still has. */
	if (!dev && request->eject)
		return qemu_pci_eject(eject_bus, PCI_SLOT(pci->devfn))
			       ? report_fail(report, REPORT_NO_ENTRY, -EIO,
					     "QEMU did not eject %04x:%02x:%02x",
					     pci->segment, pci->bus,
					     PCI_SLOT(pci->devfn))
			       : 0;
	if (!dev)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "this guest has no PCI device %04x:%02x:%02x.%u",
				   pci->segment, pci->bus, PCI_SLOT(pci->devfn),
				   PCI_FUNC(pci->devfn));
	ret = check_functions(&target, check_removable, report);
	if (ret)
		return ret;
	remove_functions(&target);
	if (!request->eject)
		return 0;
	ret = qemu_pci_eject(eject_bus, PCI_SLOT(pci->devfn));
	if (!ret)
		return 0;
	report_fail(report, REPORT_NO_ENTRY, ret, "QEMU did not eject %04x:%02x:%02x",
		    pci->segment, pci->bus, PCI_SLOT(pci->devfn));
	if (scan(&target) && !start_functions(&target, report))
		report->rolled_back = 1;
	else
		report->stuck = 1;
	return ret;
}

static int pci_del(const struct request *request, struct report *report)
{
	struct upcall_list_entry entry;
	int eject_bus = 0, ret;
	u64 start;

	if (request->eject) {
		eject_bus = find_eject(request, report);
		if (eject_bus < 0)
			return eject_bus;
	}
	start = ktime_get_ns();
	pci_lock_rescan_remove();
	ret = unplug(request, eject_bus, &entry, report);
	pci_unlock_rescan_remove();
	report->kernel_ns = ktime_get_ns() - start;
	if (!ret)
		plugged_del(&entry, report);
	return ret;
}

static bool pci_is_present(const struct upcall_list_entry *entry)
{
	u64 key = le64_to_cpu(entry->key);
	struct pci_dev *dev;

	dev = pci_get_domain_bus_and_slot(key >> 16, key >> 8 & 0xff, key & 0xff);
	pci_dev_put(dev);
	return dev;
}

static int pci_setup(void)
{
	qemu_pci_init();
	return 0;
}

static u32 pci_features(void)
{
	return UPCALL_FEATURE_PCI |
	       (qemu_pci_available() ? UPCALL_FEATURE_EJECT_PCI : 0);
}

const struct device_class pci_class = {
	.name = "pci",
	.init = pci_setup,
	.exit = qemu_pci_exit,
	.features = pci_features,
	.add = pci_add,
	.del = pci_del,
	.present = pci_is_present,
};
