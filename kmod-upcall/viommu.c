// SPDX-License-Identifier: GPL-2.0-only
/*
 * A virtio-iommu over virtio-mmio. The kernel has a driver (virtio_iommu), but only
 * firmware can tell it which endpoints are behind the device (ACPI's VIOT, or a device
 * tree). Here the host does: the device gets a software node, which stands for it
 * where the kernel asks for an endpoint's IOMMU.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/device.h>
#include <linux/err.h>
#include <linux/kmod.h>
#include <linux/ktime.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/virtio_ids.h>

#include "class.h"
#include "compat.h"
#include "ksym.h"
#include "plugged.h"
#include "viommu_endpoint.h"
#include "window.h"

#if COMPAT_VIOMMU

#define DEVICE_NAME "virtio-mmio"
#define DRIVER_NAME "virtio_iommu"

#define fail(report, err, ...) report_fail(report, REPORT_NO_ENTRY, err, __VA_ARGS__)

/* Ours has a software node, which no other virtio-mmio device has. */
static int is_ours(struct device *device, const void *data)
{
	struct platform_device *pdev = to_platform_device(device);
	const u64 *base = data;
	struct resource *window;

	if (strcmp(pdev->name, DEVICE_NAME) || !is_software_node(dev_fwnode(device)))
		return 0;
	window = platform_get_resource(pdev, IORESOURCE_MEM, 0);
	return window && window->start == *base;
}

/* The caller gives the device back with put_device(). */
static struct platform_device *find_device(u64 base)
{
	struct device *device =
		bus_find_device(&platform_bus_type, NULL, &base, is_ours);

	return device ? to_platform_device(device) : NULL;
}

struct fwnode_handle *viommu_fwnode(u64 key)
{
	struct platform_device *pdev = find_device(key);
	struct fwnode_handle *fwnode;

	if (!pdev)
		return NULL;
	fwnode = dev_fwnode(&pdev->dev);
	put_device(&pdev->dev);
	return fwnode;
}

static bool overlap(const struct request_range *a, const struct request_range *b)
{
	return a->kind == b->kind && a->segment == b->segment && a->first <= b->last &&
	       b->first <= a->last;
}

struct range_check {
	const struct request *request;
	struct report *report;
	int ret;
};

static int check_record(const struct plugged *plugged, void *data)
{
	struct range_check *check = data;
	struct request_range range;
	u32 i, k;

	if (le32_to_cpu(plugged->entry[0].class_number) != UPCALL_CLASS_VIOMMU)
		return 0;
	for (i = 1; i < plugged->count; i++) {
		range = viommu_range(&plugged->entry[i].range);
		for (k = 0; k < check->request->viommu.count; k++) {
			if (!overlap(&range, &check->request->viommu.range[k]))
				continue;
			check->ret = report_fail(
				check->report, k, -EEXIST,
				"range %u is behind the virtio-iommu at %#llx", k,
				le64_to_cpu(plugged->entry[0].key));
			return 1;
		}
	}
	return 0;
}

static int check_ranges(const struct request *request, struct report *report)
{
	struct range_check check = {.request = request, .report = report};
	u32 i;

	for (i = 0; i < request->viommu.count; i++) {
		if (request->viommu.range[i].kind != UPCALL_RANGE_PCI)
			return report_fail(report, i, -EOPNOTSUPP,
					   "range %u: endpoints are PCI functions", i);
	}
	plugged_visit(check_record, &check);
	return check.ret;
}

static int check_where(const struct request *request, struct report *report)
{
	if (request->viommu.at != UPCALL_VIOMMU_AT_MMIO)
		return fail(report, -EOPNOTSUPP,
			    "a virtio-iommu is plugged over MMIO, not PCI");
	return 0;
}

static int check_add(const struct request *request, struct report *report)
{
	const struct request_mmio *mmio = &request->viommu.mmio;
	int ret;

	if (ksym_missing(KSYM_IOMMU))
		return fail(report, -EOPNOTSUPP,
			    "this kernel does not let a module find %s",
			    ksym_missing(KSYM_IOMMU));
	ret = check_where(request, report);
	if (ret)
		return ret;
	if (viommu_fwnode(mmio->base))
		return fail(report, -EEXIST, "a virtio-iommu is plugged at %#llx",
			    mmio->base);
	ret = check_ranges(request, report);
	if (ret)
		return ret;
	ret = window_check(mmio, VIRTIO_ID_IOMMU, report);
	if (ret)
		return ret;
	request_module(DRIVER_NAME); /* which is there or not is seen later */
	return window_load_driver(report);
}

static int is_bound(struct device *device, void *data)
{
	return device->driver && !strcmp(device->driver->name, DRIVER_NAME);
}

/* Gives back the reference. The node outlives the device, which is linked to it. */
static void unplug_device(struct platform_device *pdev, struct report *report)
{
	struct fwnode_handle *fwnode = dev_fwnode(&pdev->dev);

	window_unregister(pdev, report);
	fwnode_remove_software_node(fwnode);
}

/* Returns the device, with the driver bound to it and a reference, or an error. */
static struct platform_device *plug_device(const struct request_mmio *mmio,
					   struct report *report)
{
	struct fwnode_handle *fwnode = fwnode_create_software_node(NULL, NULL);
	struct platform_device *pdev;

	if (IS_ERR(fwnode)) {
		fail(report, PTR_ERR(fwnode), "no software node: %pe", fwnode);
		return ERR_CAST(fwnode);
	}
	pdev = window_register(mmio, VIRTIO_ID_IOMMU, WINDOW_ANY_ID, fwnode, true,
			       report);
	if (IS_ERR(pdev)) {
		fwnode_remove_software_node(fwnode);
		return pdev;
	}
	get_device(&pdev->dev);
	if (device_for_each_child(&pdev->dev, NULL, is_bound))
		return pdev;
	unplug_device(pdev, report);
	fail(report, -ENODEV,
	     "the driver " DRIVER_NAME " did not take the device at %#llx", mmio->base);
	return ERR_PTR(-ENODEV);
}

static int record(const struct request *request, const struct platform_device *pdev,
		  struct report *report)
{
	const struct request_mmio *mmio = &request->viommu.mmio;
	u32 count = request->viommu.count, i;
	struct upcall_list_entry *entries;
	int ret;

	entries = kcalloc(1 + count, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return fail(report, -ENOMEM, "out of memory");
	entries[0].class_number = cpu_to_le32(UPCALL_CLASS_VIOMMU);
	entries[0].viommu.size = cpu_to_le64(mmio->size);
	entries[0].viommu.irq = cpu_to_le32(mmio->irq);
	entries[0].viommu.id = cpu_to_le32(pdev->id);
	entries[0].viommu.at = cpu_to_le32(request->viommu.at);
	entries[0].viommu.ranges = cpu_to_le32(count);
	for (i = 0; i <= count; i++)
		entries[i].key = cpu_to_le64(mmio->base);
	for (i = 0; i < count; i++) {
		entries[1 + i].class_number = cpu_to_le32(UPCALL_CLASS_VIOMMU_RANGE);
		entries[1 + i].range = (struct upcall_viommu_range){
			.kind = cpu_to_le32(request->viommu.range[i].kind),
			.endpoint = cpu_to_le32(request->viommu.range[i].endpoint),
			.segment = cpu_to_le32(request->viommu.range[i].segment),
			.first = cpu_to_le16(request->viommu.range[i].first),
			.last = cpu_to_le16(request->viommu.range[i].last),
		};
	}
	ret = plugged_add(entries, 1 + count, report);
	kfree(entries);
	return ret;
}

/* What failed is in the report already; what fails now goes to the log. */
static void bring_back_bare(const struct endpoints *endpoints, struct report *report)
{
	struct report later;

	report_init(&later);
	if (viommu_endpoint_bring_back(endpoints, NULL, &later)) {
		report->stuck++;
		pr_warn("%s\n", later.reason);
	}
}

/* The IOMMU may not go while something is behind it. */
static void take_back(const struct request *request, struct platform_device *pdev,
		      const struct endpoints *endpoints, struct report *report)
{
	struct endpoints again = {
		.range = endpoints->range,
		.range_count = endpoints->range_count,
	};
	struct report later;

	report_init_later(&later, report);
	if (viommu_endpoint_take_out(&again, true, &later)) {
		report->stuck++;
		pr_warn("the virtio-iommu stays: %s\n", later.reason);
		record(request, pdev, &later); /* so that DEL_VIOMMU finds it */
		put_device(&pdev->dev);
	} else {
		unplug_device(pdev, report);
		bring_back_bare(endpoints, report);
	}
	kfree(again.function);
}

/* Under pci_lock_rescan_remove(). */
static int plug(const struct request *request, struct endpoints *endpoints,
		struct report *report)
{
	struct platform_device *pdev;
	int ret;

	ret = viommu_endpoint_take_out(endpoints, false, report);
	if (ret)
		return ret;
	pdev = plug_device(&request->viommu.mmio, report);
	if (IS_ERR(pdev)) {
		bring_back_bare(endpoints, report);
		return PTR_ERR(pdev);
	}
	ret = viommu_endpoint_bring_back(endpoints, dev_fwnode(&pdev->dev), report);
	if (!ret)
		ret = record(request, pdev, report);
	if (!ret) {
		put_device(&pdev->dev);
		return 0;
	}
	take_back(request, pdev, endpoints, report);
	return ret;
}

static int viommu_add(const struct request *request, struct report *report)
{
	struct endpoints endpoints = {
		.range = request->viommu.range,
		.range_count = request->viommu.count,
	};
	u64 start;
	int ret;

	ret = check_add(request, report);
	if (ret)
		return ret;
	start = ktime_get_ns();
	pci_lock_rescan_remove();
	ret = plug(request, &endpoints, report);
	pci_unlock_rescan_remove();
	report->kernel_ns = ktime_get_ns() - start; /* window.c's too */
	kfree(endpoints.function);
	return ret;
}

/*
 * Under pci_lock_rescan_remove(). When an IOMMU goes, the kernel drops the groups of
 * the endpoints that are still behind it but not their drivers' mappings
 * (remove_iommu_group() of drivers/iommu/iommu.c), so they leave before.
 */
static int unplug(struct endpoints *endpoints, const struct upcall_list_entry *entry,
		  struct report *report)
{
	struct platform_device *pdev = find_device(le64_to_cpu(entry->key));
	int ret;

	if (!pdev)
		return fail(report, -ENODEV, "the virtio-iommu has gone");
	ret = viommu_endpoint_take_out(endpoints, false, report);
	if (ret) {
		put_device(&pdev->dev);
		return ret;
	}
	unplug_device(pdev, report);
	plugged_del(entry, report);
	ret = viommu_endpoint_bring_back(endpoints, NULL, report);
	if (ret)
		report->stuck++;
	return ret;
}

static int check_del(const struct request *request,
		     const struct upcall_list_entry *entry, u32 count,
		     struct report *report)
{
	const struct request_mmio *mmio = &request->viommu.mmio;

	if (count == 0)
		return fail(report, -ENODEV,
			    "no virtio-iommu was plugged at %#llx by a request",
			    mmio->base);
	if (le64_to_cpu(entry->viommu.size) != mmio->size ||
	    le32_to_cpu(entry->viommu.irq) != mmio->irq)
		return fail(report, -EINVAL,
			    "the virtio-iommu at %#llx has %llu bytes and IRQ %u",
			    mmio->base, le64_to_cpu(entry->viommu.size),
			    le32_to_cpu(entry->viommu.irq));
	return 0;
}

static int viommu_del(const struct request *request, struct report *report)
{
	const u32 size = 1 + UPCALL_VIOMMU_RANGES;
	struct endpoints endpoints = {};
	struct upcall_list_entry *entries;
	struct request_range *range;
	u32 count, i;
	u64 start;
	int ret;

	ret = check_where(request, report);
	if (ret)
		return ret;
	entries = kcalloc(size, sizeof(*entries), GFP_KERNEL);
	range = kcalloc(UPCALL_VIOMMU_RANGES, sizeof(*range), GFP_KERNEL);
	if (!entries || !range) {
		ret = fail(report, -ENOMEM, "out of memory");
		goto free;
	}
	count = min(plugged_find(UPCALL_CLASS_VIOMMU, request->viommu.mmio.base,
				 entries, size),
		    size);
	ret = check_del(request, entries, count, report);
	if (ret)
		goto free;
	for (i = 1; i < count; i++)
		range[i - 1] = viommu_range(&entries[i].range);
	endpoints.range = range;
	endpoints.range_count = count - 1;
	start = ktime_get_ns();
	pci_lock_rescan_remove();
	ret = unplug(&endpoints, &entries[0], report);
	pci_unlock_rescan_remove();
	report->kernel_ns = ktime_get_ns() - start; /* window.c's too */
	kfree(endpoints.function);
free:
	kfree(range);
	kfree(entries);
	return ret;
}

static bool viommu_present(const struct upcall_list_entry *entry)
{
	return viommu_fwnode(le64_to_cpu(entry->key));
}

static u32 viommu_features(void)
{
	return ksym_missing(KSYM_IOMMU) ? 0 : UPCALL_FEATURE_VIOMMU;
}

const struct device_class viommu_class = {
	.name = "viommu",
	.init = viommu_endpoint_init,
	.exit = viommu_endpoint_exit,
	.features = viommu_features,
	.add = viommu_add,
	.del = viommu_del,
	.present = viommu_present,
};

#else

static u32 viommu_features(void)
{
	return 0;
}

/* devmgr.c logs it. */
static int viommu_refuse(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
			   "this kernel has no virtio-iommu driver "
			   "(CONFIG_VIRTIO_IOMMU)");
}

static bool viommu_present(const struct upcall_list_entry *entry)
{
	return false;
}

const struct device_class viommu_class = {
	.name = "viommu",
	.features = viommu_features,
	.add = viommu_refuse,
	.del = viommu_refuse,
	.present = viommu_present,
};

#endif
