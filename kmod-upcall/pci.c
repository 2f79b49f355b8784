// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI devices, by the guest's own bus numbers. Function 0 stands for its whole slot:
 * a device without it cannot be, and QEMU plugs slots.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/virtio_ids.h>

#include "class.h"
#include "pci_target.h"
#include "plugged.h"
#include "qemu_pci.h"
#include "window.h"

/* Device ids of virtio 1.x over PCI (virtio 1.2, section 4.1.2). */
#define VIRTIO_VENDOR	0x1af4
#define VIRTIO_ID_FIRST 0x1040

/* QEMU's registers are about segment 0. */
static int hotplug_bus(const struct request_pci *pci)
{
	return pci->segment ? QEMU_PCI_UNKNOWN : qemu_pci_hotplug_bus(pci->bus);
}

static struct upcall_list_entry entry_of(const struct request_pci *pci,
					 const struct pci_dev *dev)
{
	return (struct upcall_list_entry){
		.class_number = cpu_to_le32(UPCALL_CLASS_PCI),
		.key = cpu_to_le64(request_pci_key(pci)),
		.pci = {.vendor = cpu_to_le16(dev ? dev->vendor : 0),
			.device = cpu_to_le16(dev ? dev->device : 0),
			.class_code = cpu_to_le32(dev ? dev->class : 0),
			.hotplug_bus = cpu_to_le32(hotplug_bus(pci) + 1)},
	};
}

/*
 * The driver of a virtio-iommu takes for granted that firmware told of what is behind
 * it, and falls over the next device that is probed (viommu_probe_device()).
 */
static int check_known(struct pci_dev *dev, struct report *report)
{
	/* Nothing is scanned behind it, and shpchp falls over a bridge without a bus.
	 */
	if (dev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "%s is a bridge, and only devices can be plugged",
				   pci_name(dev));
	if (dev->vendor != VIRTIO_VENDOR ||
	    dev->device != VIRTIO_ID_FIRST + VIRTIO_ID_IOMMU)
		return 0;
	return report_fail(
		report, REPORT_NO_ENTRY, -EOPNOTSUPP,
		"%s is a virtio-iommu, and only those at MMIO can be plugged",
		pci_name(dev));
}

/* Finds, checks and starts: a device that is not let in is never known to a driver. */
static int start(struct pci_target *target, struct report *report)
{
	int ret = pci_target_check(target, check_known, report);

	return ret ?: pci_target_start(target, report);
}

static int plug(const struct request_pci *pci, struct upcall_list_entry *entry,
		struct report *report)
{
	struct pci_target target;
	struct pci_dev *dev;
	int ret;

	ret = pci_target_find(pci, &target, report);
	if (ret)
		return ret;
	dev = pci_target_get(&target);
	if (dev) {
		ret = report_fail(report, REPORT_NO_ENTRY, -EEXIST,
				  "%s is there already", pci_name(dev));
		pci_dev_put(dev);
		return ret;
	}
	if (!pci_target_scan(&target))
		return report_fail(
			report, REPORT_NO_ENTRY, -ENODEV,
			"no device answers at %04x:%02x:%02x.%u; has the VMM "
			"made it?",
			pci->segment, pci->bus, PCI_SLOT(pci->devfn),
			PCI_FUNC(pci->devfn));
	ret = start(&target, report);
	if (ret) {
		pci_target_remove(&target);
		return ret;
	}
	dev = pci_target_get(&target);
	*entry = entry_of(pci, dev);
	pci_dev_put(dev);
	return 0;
}

static void take_back(const struct request_pci *pci)
{
	struct report report;
	struct pci_target target;

	report_init(&report);
	pci_lock_rescan_remove();
	if (!pci_target_find(pci, &target, &report))
		pci_target_remove(&target);
	pci_unlock_rescan_remove();
}

static int pci_add(const struct request *request, struct report *report)
{
	struct upcall_list_entry entry;
	u64 start = ktime_get_ns();
	int ret;

	if (!request->pci.segment)
		qemu_pci_learn(request->pci.bus, PCI_SLOT(request->pci.devfn));
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

static bool is_bridge(const struct pci_dev *dev)
{
	return dev->class >> 16 == PCI_BASE_CLASS_BRIDGE;
}

/* What may not go: what others hang on, and what this request came through. */
static int check_removable(struct pci_dev *dev, struct report *report)
{
	if (is_bridge(dev))
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY, "%s is a bridge",
				   pci_name(dev));
	if (window_virtio_id(&dev->dev) == VIRTIO_ID_VSOCK)
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY,
				   "%s carries the connection to the host",
				   pci_name(dev));
	/* Their drivers would go on with addresses that nobody translates. */
	if (window_virtio_id(&dev->dev) == VIRTIO_ID_IOMMU)
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY,
				   "%s is a virtio-iommu, which devices may be behind",
				   pci_name(dev));
	return 0;
}

/*
 * Whether the guest has another device that a hotplug bus which was never learned may
 * be about: in the same slot of a bus that was never learned either.
 */
static bool has_namesake(const struct request_pci *pci)
{
	struct pci_dev *dev = NULL;
	bool found = false;

	while (!found && (dev = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, dev)))
		found = !pci_domain_nr(dev->bus) && dev->bus->number != pci->bus &&
			PCI_SLOT(dev->devfn) == PCI_SLOT(pci->devfn) &&
			!is_bridge(dev) &&
			qemu_pci_hotplug_bus(dev->bus->number) == QEMU_PCI_UNKNOWN;
	pci_dev_put(dev);
	return found;
}

/* The hotplug buses to eject from, found before anything is taken out. */
static int find_eject(const struct request *request, unsigned long *asked,
		      struct report *report)
{
	const struct request_pci *pci = &request->pci;
	int ret;

	if (!qemu_pci_available())
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "this machine has no registers of QEMU's to eject a "
				   "PCI device");
	if (PCI_FUNC(pci->devfn) || pci->segment)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "QEMU ejects whole slots of segment 0: name "
				   "function 0");
	ret = qemu_pci_find_asked(pci->bus, PCI_SLOT(pci->devfn), !has_namesake(pci),
				  asked);
	if (ret == -ENODEV)
		return report_fail(
			report, REPORT_NO_ENTRY, -ENODEV,
			"QEMU was not asked for the device: device_del comes "
			"before the eject");
	if (ret)
		return report_fail(report, REPORT_NO_ENTRY, ret,
				   "QEMU was asked for slot %u of several buses, and "
				   "which is this one is not known",
				   PCI_SLOT(pci->devfn));
	return 0;
}

/* The guest has let go of the slot; QEMU frees it. */
static int eject(const struct pci_target *target, const unsigned long *asked,
		 struct report *report)
{
	u8 bus = target->bus->number;
	int ret = qemu_pci_eject(asked, PCI_SLOT(target->devfn));

	if (ret || pci_target_answers(target)) {
		qemu_pci_forget(bus);
		return report_fail(report, REPORT_NO_ENTRY, -EIO,
				   "QEMU did not eject %04x:%02x:%02x%s",
				   pci_domain_nr(target->bus), bus,
				   PCI_SLOT(target->devfn),
				   ret ? "" : ", but what else it wanted back");
	}
	if (bitmap_weight(asked, QEMU_PCI_BUSES) == 1)
		qemu_pci_remember(bus, find_first_bit(asked, QEMU_PCI_BUSES));
	return 0;
}

static int unplug(const struct request *request, struct upcall_list_entry *entry,
		  struct report *report)
{
	DECLARE_BITMAP(asked, QEMU_PCI_BUSES);
	const struct request_pci *pci = &request->pci;
	struct pci_target target;
	struct report later;
	struct pci_dev *dev;
	int ret;

	ret = pci_target_find(pci, &target, report);
	if (!ret && request->eject)
		ret = find_eject(request, asked, report);
	if (ret)
		return ret;
	dev = pci_target_get(&target);
	*entry = entry_of(pci, dev);
	pci_dev_put(dev);
	/* What the guest refused, or let go of without us, QEMU still has. */
	if (!dev && request->eject)
		return eject(&target, asked, report);
	if (!dev)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "this guest has no PCI device %04x:%02x:%02x.%u",
				   pci->segment, pci->bus, PCI_SLOT(pci->devfn),
				   PCI_FUNC(pci->devfn));
	ret = pci_target_check(&target, check_removable, report);
	if (ret)
		return ret;
	pci_target_remove(&target);
	ret = request->eject ? eject(&target, asked, report) : 0;
	if (!ret)
		return 0;
	report_init(&later); /* what failed is in the report already */
	if (pci_target_scan(&target) && !start(&target, &later)) {
		report->rolled_back = 1;
		return ret;
	}
	/* As if it had never come: so it can be plugged again. */
	pci_target_remove(&target);
	report->stuck = 1;
	return ret;
}

/* What the load before this one had learned, once it is needed. */
static bool remembered;

static int remember(const struct plugged *plugged, void *data)
{
	const struct upcall_list_entry *entry = &plugged->entry[0];
	u64 key = le64_to_cpu(entry->key);

	if (le32_to_cpu(entry->class_number) == UPCALL_CLASS_PCI && !(key >> 16))
		qemu_pci_remember(key >> 8,
				  (int)le32_to_cpu(entry->pci.hotplug_bus) - 1);
	return 0;
}

static int pci_del(const struct request *request, struct report *report)
{
	struct upcall_list_entry entry;
	u64 start = ktime_get_ns();
	int ret;

	if (!remembered)
		plugged_visit(remember, NULL);
	remembered = true;
	pci_lock_rescan_remove();
	ret = unplug(request, &entry, report);
	pci_unlock_rescan_remove();
	report->kernel_ns = ktime_get_ns() - start;
	if (!ret || report->stuck)
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
