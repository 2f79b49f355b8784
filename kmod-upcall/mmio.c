// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/kconfig.h>
#include <linux/platform_device.h>

#include <uapi/linux/virtio_ids.h>

#include "class.h"
#include "mmio.h"
#include "plugged.h"
#include "window.h"

static u32 mmio_features(void)
{
	return IS_ENABLED(CONFIG_VIRTIO_MMIO) ? UPCALL_FEATURE_MMIO : 0;
}

static int plug(const struct request_mmio *mmio, int id, bool bound,
		struct report *report)
{
	struct upcall_list_entry entry = {
		.class_number = cpu_to_le32(UPCALL_CLASS_MMIO),
		.key = cpu_to_le64(mmio->base),
		.mmio = {.size = cpu_to_le64(mmio->size),
			 .irq = cpu_to_le32(mmio->irq)},
	};
	struct platform_device *device;
	int ret;

	device = window_register(mmio, WINDOW_ANY_DEVICE, id, NULL, bound, report);
	if (IS_ERR(device))
		return PTR_ERR(device);
	entry.mmio.id = cpu_to_le32(device->id);
	ret = plugged_add(&entry, 1, report);
	if (ret) {
		get_device(&device->dev);
		window_unregister(device, report);
		return ret;
	}
	/* The record is out: a request may have taken the device away again. */
	pr_info("virtio-mmio.%d plugged at %#llx, IRQ %u\n",
		(int)le32_to_cpu(entry.mmio.id), mmio->base, mmio->irq);
	return 0;
}

int mmio_plug_at_load(const struct request_mmio *mmio, int id, struct report *report)
{
	return plug(mmio, id, false, report);
}

static int check_feature(struct report *report)
{
	if (mmio_features())
		return 0;
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
			   "this kernel was built without virtio_mmio");
}

static int mmio_add(const struct request *request, struct report *report)
{
	int ret = check_feature(report);

	return ret ?: plug(&request->mmio, WINDOW_ANY_ID, true, report);
}

/* A reference to the device that a record tells of, or an ERR_PTR. */
static struct platform_device *find(const struct request_mmio *mmio,
				    struct upcall_list_entry *entry,
				    struct report *report)
{
	struct platform_device *device;
	u64 size;
	u32 irq;

	if (!plugged_find(UPCALL_CLASS_MMIO, mmio->base, entry, 1)) {
		report_fail(report, REPORT_NO_ENTRY, -ENODEV,
			    "no MMIO device was plugged at %#llx", mmio->base);
		return ERR_PTR(-ENODEV);
	}
	size = le64_to_cpu(entry->mmio.size);
	irq = le32_to_cpu(entry->mmio.irq);
	if (size != mmio->size || irq != mmio->irq) {
		report_fail(report, REPORT_NO_ENTRY, -EINVAL,
			    "the device at %#llx was plugged with %#llx bytes and "
			    "IRQ %u",
			    mmio->base, size, irq);
		return ERR_PTR(-EINVAL);
	}
	device = window_find(le32_to_cpu(entry->mmio.id), mmio->base, size);
	if (device)
		return device;
	report_fail(report, REPORT_NO_ENTRY, -ENODEV,
		    "the MMIO device at %#llx has gone by itself", mmio->base);
	return ERR_PTR(-ENODEV);
}

/*
 * A disk that is mounted goes too: its gendisk writes back what it can while the
 * device still answers, and the file system then sees errors, no more. The host has
 * decided, and has perhaps taken the other end away already.
 */
static int mmio_del(const struct request *request, struct report *report)
{
	const struct request_mmio *mmio = &request->mmio;
	struct upcall_list_entry entry;
	struct platform_device *device;
	int ret = check_feature(report);

	if (ret)
		return ret;
	device = find(mmio, &entry, report);
	if (IS_ERR(device))
		return PTR_ERR(device);
	if (window_virtio_id(&device->dev) == VIRTIO_ID_VSOCK) {
		platform_device_put(device);
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY,
				   "the device at %#llx is the vsock that carries this "
				   "connection",
				   mmio->base);
	}
	window_unregister(device, report);
	plugged_del(&entry, report);
	pr_info("virtio-mmio.%u unplugged from %#llx\n", le32_to_cpu(entry.mmio.id),
		mmio->base);
	return 0;
}

static bool mmio_present(const struct upcall_list_entry *entry)
{
	struct platform_device *device =
		window_find(le32_to_cpu(entry->mmio.id), le64_to_cpu(entry->key),
			    le64_to_cpu(entry->mmio.size));

	platform_device_put(device);
	return device;
}

const struct device_class mmio_class = {
	.name = "mmio",
	.features = mmio_features,
	.add = mmio_add,
	.del = mmio_del,
	.present = mmio_present,
};
