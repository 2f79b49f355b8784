// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/device.h>
#include <linux/device/driver.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kernel.h>
#include <linux/kmod.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sizes.h>
#include <linux/virtio.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include <asm/apicdef.h>
#include <asm/processor.h>

#include "gsi.h"
#include "window.h"

#define DEVICE_NAME "virtio-mmio"

/* The driver maps all of the window; what devices have are a few pages. */
#define SIZE_MAX_BYTES SZ_1M

/*
 * From the local APIC's registers on: a write there is an interrupt (Intel SDM, volume
 * 3, "Message Address Register Format"), a read an error that the APIC keeps, and
 * that the kernel takes for its own when it next starts a CPU.
 */
#define MSI_BYTES SZ_1M

/* "virt" (virtio 1.2, section 4.2.2). */
#define MAGIC ('v' | 'i' << 8 | 'r' << 16 | 't' << 24)

/* From the choice of an id to its registration. */
static DEFINE_MUTEX(lock);

static struct device *find_by_id(u32 id)
{
	char name[32];

	snprintf(name, sizeof(name), DEVICE_NAME ".%u", id);
	return bus_find_device_by_name(&platform_bus_type, NULL, name);
}

static const struct resource *window_of(struct device *device)
{
	return platform_get_resource(to_platform_device(device), IORESOURCE_MEM, 0);
}

static bool is_at(const struct resource *resource, u64 base, u64 size)
{
	return resource && resource->start == base && resource_size(resource) == size;
}

struct platform_device *window_find(u32 id, u64 base, u64 size)
{
	struct device *device = find_by_id(id);

	if (device && is_at(window_of(device), base, size))
		return to_platform_device(device);
	put_device(device);
	return NULL;
}

/* One of our own name at that window. */
static int is_plugged(struct device *device, void *data)
{
	const struct request_mmio *mmio = data;

	return strncmp(dev_name(device), DEVICE_NAME ".", sizeof(DEVICE_NAME)) == 0 &&
	       is_at(window_of(device), mmio->base, mmio->size);
}

/* What the window may lie in: the range of a bus, what firmware reserves. */
static bool may_enclose(const struct resource *resource)
{
	return resource == &iomem_resource || (!(resource->flags & IORESOURCE_BUSY) &&
					       (resource->flags & IORESOURCE_WINDOW ||
						resource->desc == IORES_DESC_RESERVED));
}

/*
 * What may lie in the window: one with the same borders, unused by any driver, such as
 * a device that ACPI names too.
 */
static bool may_be_enclosed(const struct resource *resource,
			    const struct request_mmio *mmio)
{
	return !resource || (is_at(resource, mmio->base, mmio->size) &&
			     !resource->child && !(resource->flags & IORESOURCE_BUSY));
}

/*
 * Whether there is a place for the window among the machine's resources: it is put
 * there, as the device's own will be, and taken out.
 */
static int check_place(const struct request_mmio *mmio, struct report *report)
{
	struct resource place =
		DEFINE_RES_MEM_NAMED(mmio->base, mmio->size, KBUILD_MODNAME);
	struct resource other = {};

	if (insert_resource(&iomem_resource, &place))
		return report_fail(report, REPORT_NO_ENTRY, -EADDRINUSE,
				   "the window at %#llx overlaps the end of what is "
				   "registered there",
				   mmio->base);
	if (!may_enclose(place.parent))
		other = *place.parent;
	else if (!may_be_enclosed(place.child, mmio))
		other = *place.child;
	remove_resource(&place);
	if (other.flags)
		return report_fail(report, REPORT_NO_ENTRY, -EADDRINUSE,
				   "the window at %#llx overlaps what is registered "
				   "at %#llx-%#llx",
				   mmio->base, (u64)other.start, (u64)other.end);
	return 0;
}

bool window_is_apic(u64 base, u64 last)
{
	return (base < IO_APIC_DEFAULT_PHYS_BASE + PAGE_SIZE &&
		last >= IO_APIC_DEFAULT_PHYS_BASE) ||
	       (base < APIC_DEFAULT_PHYS_BASE + MSI_BYTES &&
		last >= APIC_DEFAULT_PHYS_BASE);
}

static int check_range(const struct request_mmio *mmio, struct report *report)
{
	u64 last = mmio->base + mmio->size - 1;

	if (mmio->size > SIZE_MAX_BYTES)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "a window of %#llx bytes is above the %#x of any "
				   "device",
				   mmio->size, SIZE_MAX_BYTES);
	if (last >> boot_cpu_data.x86_phys_bits)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "the window at %#llx is beyond the %u bits of an "
				   "address",
				   mmio->base, boot_cpu_data.x86_phys_bits);
	if (bus_for_each_dev(&platform_bus_type, NULL, (void *)mmio, is_plugged))
		return report_fail(report, REPORT_NO_ENTRY, -EEXIST,
				   "the device at %#llx is plugged already",
				   mmio->base);
	if (region_intersects(mmio->base, mmio->size, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT)
		return report_fail(report, REPORT_NO_ENTRY, -EADDRINUSE,
				   "the window at %#llx overlaps RAM", mmio->base);
	if (window_is_apic(mmio->base, last))
		return report_fail(report, REPORT_NO_ENTRY, -EADDRINUSE,
				   "the window at %#llx overlaps an APIC, which is "
				   "registered there",
				   mmio->base);
	return check_place(mmio, report);
}

/* Is anything there? What answers to nobody reads as ones, or as zeroes. */
static int check_device(const struct request_mmio *mmio, u32 virtio_id,
			struct report *report)
{
	void __iomem *registers = ioremap(mmio->base, VIRTIO_MMIO_CONFIG);
	u32 magic, version, type;

	if (!registers)
		return report_fail(report, REPORT_NO_ENTRY, -ENOMEM, "out of memory");
	magic = readl(registers + VIRTIO_MMIO_MAGIC_VALUE);
	version = readl(registers + VIRTIO_MMIO_VERSION);
	type = readl(registers + VIRTIO_MMIO_DEVICE_ID);
	iounmap(registers);

	if (magic != MAGIC || version < 1 || version > 2)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "nothing of virtio's answers at %#llx: it reads "
				   "%#x, version %u",
				   mmio->base, magic, version);
	if (type == 0)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "the VMM has made no device at %#llx, only a place",
				   mmio->base);
	/* Its driver takes for granted that firmware told of what is behind it. */
	if (virtio_id == WINDOW_ANY_DEVICE && type == VIRTIO_ID_IOMMU)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "the device at %#llx is a virtio-iommu, which "
				   "ADD_VIOMMU plugs",
				   mmio->base);
	if (virtio_id != WINDOW_ANY_DEVICE && type != virtio_id)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "the device at %#llx is of type %u, not %u",
				   mmio->base, type, virtio_id);
	return 0;
}

int window_check(const struct request_mmio *mmio, u32 virtio_id, struct report *report)
{
	int ret = check_range(mmio, report);

	if (!ret)
		ret = gsi_check(mmio->irq, report);
	if (!ret)
		ret = check_device(mmio, virtio_id, report);
	return ret;
}

static int free_id(void)
{
	struct device *device;
	int id = 0;

	while ((device = find_by_id(id))) {
		put_device(device);
		id++;
	}
	return id;
}

static struct platform_device *make_device(const struct request_mmio *mmio, int irq,
					   int id, struct fwnode_handle *fwnode)
{
	/* The driver shares every IRQ; the flag is for who reads it. */
	const struct resource resources[] = {
		DEFINE_RES_MEM(mmio->base, mmio->size),
		DEFINE_RES_NAMED(irq, 1, NULL,
				 IORESOURCE_IRQ | IORESOURCE_IRQ_SHAREABLE),
	};
	const struct platform_device_info info = {
		.fwnode = fwnode,
		.name = DEVICE_NAME,
		.id = id == WINDOW_ANY_ID ? free_id() : id,
		.res = resources,
		.num_res = ARRAY_SIZE(resources),
	};
	struct device *device = find_by_id(info.id);

	/* The driver core would refuse it too, but with a stack trace. */
	put_device(device);
	return device ? ERR_PTR(-EEXIST) : platform_device_register_full(&info);
}

int window_load_driver(struct report *report)
{
	if (driver_find(DEVICE_NAME, &platform_bus_type))
		return 0;
	request_module("virtio_mmio");
	if (driver_find(DEVICE_NAME, &platform_bus_type))
		return 0;
	return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
			   "the guest has no driver virtio_mmio");
}

/* The kernel's part, on the clock. */
static struct platform_device *plug(const struct request_mmio *mmio, int id,
				    struct fwnode_handle *fwnode, bool bound,
				    struct report *report)
{
	u64 start = ktime_get_ns();
	struct platform_device *device;
	int irq = gsi_map(mmio->irq, report);

	if (irq < 0)
		return ERR_PTR(irq);
	device = make_device(mmio, irq, id, fwnode);
	report->kernel_ns += ktime_get_ns() - start;
	if (IS_ERR(device)) {
		report_fail(report, REPORT_NO_ENTRY, PTR_ERR(device),
			    "the kernel does not register the device at %#llx: %pe",
			    mmio->base, device);
		return device;
	}
	/* Drivers on the platform bus bind before the registration returns. */
	if (bound && !READ_ONCE(device->dev.driver))
		wait_for_device_probe(); /* unless told not to: driver_async_probe= */
	if (bound && !READ_ONCE(device->dev.driver)) {
		platform_device_unregister(device);
		report_fail(
			report, REPORT_NO_ENTRY, -ENODEV,
			"virtio_mmio does not take the device at %#llx with IRQ %u: "
			"the guest's log says why",
			mmio->base, mmio->irq);
		return ERR_PTR(-ENODEV);
	}
	return device;
}

struct platform_device *window_register(const struct request_mmio *mmio, u32 virtio_id,
					int id, struct fwnode_handle *fwnode,
					bool bound, struct report *report)
{
	struct platform_device *device;
	int ret;

	mutex_lock(&lock);
	ret = window_check(mmio, virtio_id, report);
	if (!ret && bound)
		ret = window_load_driver(report);
	device = ret ? ERR_PTR(ret) : plug(mmio, id, fwnode, bound, report);
	mutex_unlock(&lock);
	return device;
}

void window_unregister(struct platform_device *device, struct report *report)
{
	u64 start = ktime_get_ns();

	mutex_lock(&lock);
	platform_device_unregister(device);
	mutex_unlock(&lock);
	platform_device_put(device);
	report->kernel_ns += ktime_get_ns() - start;
}

static int bound_virtio_id(struct device *device, void *data)
{
	if (device->bus && strcmp(device->bus->name, "virtio") == 0 &&
	    READ_ONCE(device->driver))
		return dev_to_virtio(device)->id.device;
	return 0;
}

u32 window_virtio_id(struct device *device)
{
	return device_for_each_child(device, NULL, bound_virtio_id);
}
