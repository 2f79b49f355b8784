// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine without ACPI and PCI, such as QEMU's microvm, has nothing that tells a
 * kernel of its virtio-mmio devices but the kernel's command line
 * (virtio_mmio.device=), and Debian's kernels are built without that
 * (CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES). So the module has the same parameter, in the
 * same syntax: <size>[KMG]@<base>:<irq>[:<id>].
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>

#include "mmio.h"
#include "request.h"

#define DEVICE_MAX 32

/* Up to the configuration space (virtio 1.2, section 4.2.2). */
#define WINDOW_MIN 0x100

struct device_spec {
	resource_size_t base;
	resource_size_t size;
	unsigned int irq;
	int id;
};

static struct device_spec specs[DEVICE_MAX];
static unsigned int spec_count;

static int parse(const char *text, struct device_spec *spec)
{
	unsigned long long base;
	int used = 0;
	char *rest;

	spec->size = memparse(text, &rest);
	spec->id = spec_count;
	if (sscanf(rest, "@%lli:%u%n:%d%n", &base, &spec->irq, &used, &spec->id,
		   &used) < 2 ||
	    rest[used])
		return -EINVAL;
	spec->base = base;
	if (spec->size < WINDOW_MIN || spec->base + spec->size < spec->base ||
	    spec->irq == 0 || spec->id < 0)
		return -EINVAL;
	return 0;
}

static int set_device(const char *text, const struct kernel_param *param)
{
	if (spec_count == DEVICE_MAX)
		return -ENOSPC;
	if (parse(text, &specs[spec_count])) {
		pr_err("mmio_device=%s is not <size>@<base>:<irq>[:<id>]\n", text);
		return -EINVAL;
	}
	spec_count++;
	return 0;
}

static int show_devices(char *buffer, const struct kernel_param *param)
{
	unsigned int i;
	int len = 0;

	for (i = 0; i < spec_count; i++)
		len += scnprintf(buffer + len, PAGE_SIZE - len, "%llu@%#llx:%u:%d\n",
				 (u64)specs[i].size, (u64)specs[i].base, specs[i].irq,
				 specs[i].id);
	return len;
}

static const struct kernel_param_ops device_ops = {
	.set = set_device,
	.get = show_devices,
};

module_param_cb(mmio_device, &device_ops, NULL, 0444);
MODULE_PARM_DESC(mmio_device,
		 "A virtio-mmio device that the kernel cannot find by itself: "
		 "<size>[KMG]@<base>:<irq>[:<id>]; may be given again");

void mmio_announce(void)
{
	const struct device_spec *spec;
	struct report report;
	int ret;

	for (spec = specs; spec < specs + spec_count; spec++) {
		const struct request_mmio mmio = {
			.base = spec->base, .size = spec->size, .irq = spec->irq};

		report_init(&report);
		ret = mmio_plug_at_load(&mmio, spec->id, &report);
		if (!ret)
			pr_info("virtio-mmio.%d announced: %pa, IRQ %u\n", spec->id,
				&spec->base, spec->irq);
		else if (ret == -EEXIST)
			pr_info("virtio-mmio.%d is there already\n", spec->id);
		else
			pr_warn("virtio-mmio.%d cannot be announced: %s\n", spec->id,
				report.reason);
	}
}
