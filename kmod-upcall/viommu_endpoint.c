// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include "compat.h"

#if COMPAT_VIOMMU

#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/virtio.h>
#include <linux/virtio_ids.h>

#include "ksym.h"
#include "plugged.h"
#include "viommu_endpoint.h"

/* Before the IOMMU core's, which looks for the fwspec (drivers/iommu/iommu.c). */
#define NOTIFIER_PRIORITY 1

/* What is being plugged and has no record yet. Under pci_lock_rescan_remove(). */
static const struct endpoints *coming;
static struct fwnode_handle *coming_iommu;

struct request_range viommu_range(const struct upcall_viommu_range *wire)
{
	return (struct request_range){
		.kind = le32_to_cpu(wire->kind),
		.endpoint = le32_to_cpu(wire->endpoint),
		.segment = le32_to_cpu(wire->segment),
		.first = le16_to_cpu(wire->first),
		.last = le16_to_cpu(wire->last),
		.base = le64_to_cpu(wire->base),
	};
}

static bool is_in(const struct request_range *range, struct pci_dev *function)
{
	u16 bdf = pci_dev_id(function);

	return range->kind == UPCALL_RANGE_PCI &&
	       range->segment == pci_domain_nr(function->bus) && bdf >= range->first &&
	       bdf <= range->last;
}

static bool is_bridge(struct pci_dev *function)
{
	return function->hdr_type != PCI_HEADER_TYPE_NORMAL ||
	       function->class >> 16 == PCI_BASE_CLASS_BRIDGE;
}

static const struct request_range *find_range(const struct request_range *range,
					      u32 count, struct pci_dev *function)
{
	u32 i;

	for (i = 0; i < count && !is_bridge(function); i++) {
		if (is_in(&range[i], function))
			return &range[i];
	}
	return NULL;
}

struct search {
	struct pci_dev *function;
	bool found;
	u64 key; /* of the virtio-iommu */
	struct request_range range;
};

static int search_record(const struct plugged *plugged, void *data)
{
	struct search *search = data;
	u32 i;

	if (le32_to_cpu(plugged->entry[0].class_number) != UPCALL_CLASS_VIOMMU)
		return 0;
	for (i = 1; i < plugged->count; i++) {
		search->range = viommu_range(&plugged->entry[i].range);
		if (!find_range(&search->range, 1, search->function))
			continue;
		search->key = le64_to_cpu(plugged->entry[0].key);
		search->found = true;
		return 1;
	}
	return 0;
}

/* The virtio-iommu that a function belongs behind, or NULL, and its id there. */
static struct fwnode_handle *find_iommu(struct pci_dev *function, u32 *id)
{
	struct search search = {.function = function};
	const struct request_range *range = NULL;
	struct fwnode_handle *iommu = NULL;

	if (coming)
		range = find_range(coming->range, coming->range_count, function);
	if (range) {
		iommu = coming_iommu;
	} else {
		plugged_visit(search_record, &search);
		if (!search.found)
			return NULL;
		iommu = viommu_fwnode(search.key);
		range = &search.range;
	}
	*id = range->endpoint + (pci_dev_id(function) - range->first);
	return iommu;
}

static int function_appears(struct notifier_block *block, unsigned long action,
			    void *data)
{
	struct pci_dev *function = to_pci_dev(data);
	struct fwnode_handle *iommu;
	u32 id;
	int ret;

	if (action != BUS_NOTIFY_ADD_DEVICE)
		return NOTIFY_DONE;
	iommu = find_iommu(function, &id);
	if (!iommu)
		return NOTIFY_DONE;
	ksym_lock_iommu_probe();
	ret = iommu_fwspec_init(&function->dev, iommu);
	if (!ret)
		ret = iommu_fwspec_add_ids(&function->dev, &id, 1);
	ksym_unlock_iommu_probe();
	if (ret) {
		pci_warn(function, "not put behind its virtio-iommu: %pe\n",
			 ERR_PTR(ret));
	}
	return NOTIFY_DONE;
}

static struct notifier_block notifier = {
	.notifier_call = function_appears,
	.priority = NOTIFIER_PRIORITY,
};

int viommu_endpoint_init(void)
{
	return bus_register_notifier(&pci_bus_type, &notifier);
}

void viommu_endpoint_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &notifier);
}

/* Stops at a device, below a function, that may not go. */
static int find_use(struct device *device, void *data)
{
	const char **use = data;

	if (device->bus && !strcmp(device->bus->name, "virtio") &&
	    dev_to_virtio(device)->id.device == VIRTIO_ID_VSOCK)
		*use = "it is the vsock device";
	else if (device->class && !strcmp(device->class->name, "block") &&
		 device->type && !strcmp(device->type->name, "disk") &&
		 disk_openers(dev_to_disk(device)))
		*use = "its disk is in use";
	else
		device_for_each_child(device, data, find_use);
	return *use ? 1 : 0;
}

static const char *in_use(struct pci_dev *function)
{
	struct iommu_group *group = iommu_group_get(&function->dev);
	const char *use = NULL;

	if (function->driver && function->driver->driver_managed_dma && group &&
	    iommu_group_dma_owner_claimed(group))
		use = "a process has it (VFIO)";
	iommu_group_put(group);
	if (!use)
		device_for_each_child(&function->dev, &use, find_use);
	return use;
}

/* Counts the functions in the ranges, and notes them where there is room to. */
static int collect(struct endpoints *endpoints, bool force, struct report *report)
{
	struct pci_dev *function = NULL;
	const char *use;
	u32 count = 0;

	for_each_pci_dev(function)
	{
		if (!find_range(endpoints->range, endpoints->range_count, function))
			continue;
		use = force ? NULL : in_use(function);
		if (use) {
			report_fail(report, REPORT_NO_ENTRY, -EBUSY, "endpoint %s: %s",
				    pci_name(function), use);
			pci_dev_put(function);
			return -EBUSY;
		}
		if (endpoints->function)
			endpoints->function[count] = (struct request_pci){
				.segment = pci_domain_nr(function->bus),
				.bus = function->bus->number,
				.devfn = function->devfn,
			};
		count++;
	}
	endpoints->count = count;
	return 0;
}

static struct pci_dev *find_function(const struct request_pci *at)
{
	return pci_get_domain_bus_and_slot(at->segment, at->bus, at->devfn);
}

int viommu_endpoint_take_out(struct endpoints *endpoints, bool force,
			     struct report *report)
{
	struct pci_dev *function;
	u32 i;
	int ret;

	endpoints->function = NULL;
	/* What threads of the kernel close is closed later: by a scan of a disk. */
	flush_delayed_fput();
	ret = collect(endpoints, force, report);
	if (ret || endpoints->count == 0)
		return ret;
	endpoints->function =
		kcalloc(endpoints->count, sizeof(endpoints->function[0]), GFP_KERNEL);
	if (!endpoints->function)
		return report_fail(report, REPORT_NO_ENTRY, -ENOMEM, "out of memory");
	/* The same ones: they come and go under the lock that the caller holds. */
	ret = collect(endpoints, force, report);
	if (ret)
		return ret;
	for (i = 0; i < endpoints->count; i++) {
		function = find_function(&endpoints->function[i]);
		if (function)
			pci_stop_and_remove_bus_device(function);
		pci_dev_put(function);
	}
	return 0;
}

/* Whether a function is there, and behind that IOMMU. */
static int check_back(const struct request_pci *at, const struct fwnode_handle *iommu,
		      struct report *report)
{
	struct pci_dev *function = find_function(at);
	struct iommu_fwspec *fwspec;
	struct iommu_group *group;
	int ret = 0;

	if (!function)
		return report_fail(report, REPORT_NO_ENTRY, -EIO,
				   "endpoint %04x:%02x:%02x.%u did not come back",
				   at->segment, at->bus, PCI_SLOT(at->devfn),
				   PCI_FUNC(at->devfn));
	group = iommu_group_get(&function->dev);
	fwspec = dev_iommu_fwspec_get(&function->dev);
	if (iommu && (!group || !fwspec || fwspec->iommu_fwnode != iommu ||
		      fwspec->num_ids == 0))
		ret = report_fail(report, REPORT_NO_ENTRY, -EIO,
				  "endpoint %s is in no IOMMU group behind it: does "
				  "the VMM have it there, under that id?",
				  pci_name(function));
	iommu_group_put(group);
	pci_dev_put(function);
	return ret;
}

/* The slot and no more: what else the VMM has made is for ADD_PCI. */
static void scan(const struct request_pci *at)
{
	struct pci_bus *bus = pci_find_bus(at->segment, at->bus);

	if (!bus)
		return;
	pci_scan_slot(bus, PCI_DEVFN(PCI_SLOT(at->devfn), 0));
	pci_assign_unassigned_bus_resources(bus);
	pci_bus_add_devices(bus);
}

int viommu_endpoint_bring_back(const struct endpoints *endpoints,
			       struct fwnode_handle *iommu, struct report *report)
{
	int ret = 0;
	u32 i;

	coming = iommu ? endpoints : NULL;
	coming_iommu = iommu;
	for (i = 0; i < endpoints->count; i++)
		scan(&endpoints->function[i]);
	for (i = 0; i < endpoints->count && !ret; i++)
		ret = check_back(&endpoints->function[i], iommu, report);
	coming = NULL;
	coming_iommu = NULL;
	return ret;
}

#endif
