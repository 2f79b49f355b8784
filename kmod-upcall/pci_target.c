// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/ioport.h>
#include <linux/kconfig.h>
#include <linux/pci.h>

#include "pci_target.h"
#include "qemu_mem.h"

int pci_target_find(const struct request_pci *pci, struct pci_target *target,
		    struct report *report)
{
	*target = (struct pci_target){
		.bus = pci_find_bus(pci->segment, pci->bus),
		.devfn = pci->devfn,
		.first = PCI_FUNC(pci->devfn),
		.last = PCI_FUNC(pci->devfn) ?: PCI_TARGET_FUNCTIONS - 1,
	};
	if (target->bus)
		return 0;
	return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
			   "this guest has no PCI bus %04x:%02x", pci->segment,
			   pci->bus);
}

static struct pci_dev *get_function(const struct pci_target *target,
				    unsigned int function)
{
	return pci_get_slot(target->bus, PCI_DEVFN(PCI_SLOT(target->devfn), function));
}

struct pci_dev *pci_target_get(const struct pci_target *target)
{
	return get_function(target, target->first);
}

bool pci_target_answers(const struct pci_target *target)
{
	u32 id;

	return !pci_bus_read_config_dword(target->bus, target->devfn, PCI_VENDOR_ID,
					  &id) &&
	       id != 0 && id != ~0u;
}

int pci_target_check(const struct pci_target *target,
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

bool pci_target_scan(const struct pci_target *target)
{
	if (PCI_FUNC(target->devfn) == 0)
		return pci_scan_slot(target->bus, target->devfn) > 0;
	return pci_scan_single_device(target->bus, target->devfn);
}

static u8 bars_of(const struct pci_dev *dev)
{
	u8 bars = 0;
	int i;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		if (dev->resource[i].flags && resource_size(&dev->resource[i]))
			bars |= BIT(i);
	}
	return bars;
}

static void note_bars(struct pci_target *target)
{
	struct pci_dev *dev;
	unsigned int i;

	for (i = target->first; i <= target->last; i++) {
		dev = get_function(target, i);
		target->bars[i] = dev ? bars_of(dev) : 0;
		pci_dev_put(dev);
	}
}

static int check_bars_of(const struct pci_dev *dev, u8 bars, struct report *report)
{
	int i;

	for (i = 0; i < PCI_STD_NUM_BARS; i++) {
		if (bars & BIT(i) && !dev->resource[i].parent)
			return report_fail(report, REPORT_NO_ENTRY, -ENOSPC,
					   "no room for BAR %d of %s below its bridge",
					   i, pci_name(dev));
	}
	return 0;
}

/* All BARs must have got an address. An expansion ROM may do without. */
static int check_bars(const struct pci_target *target, struct report *report)
{
	struct pci_dev *dev;
	unsigned int i;
	int ret = 0;

	for (i = target->first; i <= target->last && !ret; i++) {
		dev = get_function(target, i);
		if (dev)
			ret = check_bars_of(dev, target->bars[i], report);
		pci_dev_put(dev);
	}
	return ret;
}

static bool is_in(const struct pci_target *target, const struct pci_dev *dev)
{
	return PCI_SLOT(dev->devfn) == PCI_SLOT(target->devfn) &&
	       PCI_FUNC(dev->devfn) >= target->first &&
	       PCI_FUNC(dev->devfn) <= target->last;
}

/*
 * Growing a bridge's windows moves what is in the way, also under drivers at work: the
 * bridge's other devices, and where one of its windows has no place at all, the bridges
 * beside it. So only for a bridge that has all its windows, with nothing else behind
 * it.
 */
static bool may_grow(const struct pci_target *target)
{
	struct pci_dev *bridge = target->bus->self, *dev;
	int i;

	for (i = PCI_BRIDGE_RESOURCES; bridge && i <= PCI_BRIDGE_RESOURCE_END; i++) {
		if (!bridge->resource[i].parent && bridge->resource[i].flags)
			return false;
	}
	list_for_each_entry (dev, &target->bus->devices, bus_list) {
		if (!is_in(target, dev))
			return false;
	}
	return bridge;
}

/* A bridge's windows, as the kernel has them and as the bridge does. */
#define WINDOWS	      (PCI_BRIDGE_RESOURCE_END - PCI_BRIDGE_RESOURCES + 1)
#define WINDOW_DWORDS ((PCI_IO_BASE_UPPER16 + 4 - PCI_IO_BASE) / 4)

struct windows {
	struct resource resource[WINDOWS];
	u32 config[WINDOW_DWORDS]; /* from PCI_IO_BASE on */
};

static void save_windows(struct pci_dev *bridge, struct windows *windows)
{
	int i;

	for (i = 0; i < WINDOWS; i++)
		windows->resource[i] = bridge->resource[PCI_BRIDGE_RESOURCES + i];
	for (i = 0; i < WINDOW_DWORDS; i++)
		pci_read_config_dword(bridge, PCI_IO_BASE + 4 * i, &windows->config[i]);
}

/* With nothing behind the bridge. */
static void restore_windows(struct pci_dev *bridge, const struct windows *windows)
{
	const struct resource *saved;
	struct resource *window;
	int i;

	for (i = 0; i < WINDOWS; i++) {
		window = &bridge->resource[PCI_BRIDGE_RESOURCES + i];
		if (window->parent)
			release_resource(window);
	}
	for (i = 0; i < WINDOWS; i++) {
		saved = &windows->resource[i];
		window = &bridge->resource[PCI_BRIDGE_RESOURCES + i];
		window->start = saved->start;
		window->end = saved->end;
		window->flags = saved->flags;
		if (saved->parent &&
		    pci_claim_resource(bridge, PCI_BRIDGE_RESOURCES + i))
			pci_warn(bridge, "window %d could not go back\n", i);
	}
	for (i = 0; i < WINDOW_DWORDS; i++)
		pci_write_config_dword(bridge, PCI_IO_BASE + 4 * i, windows->config[i]);
}

/* Gives the functions addresses: in the windows that there are, or also in larger ones.
 */
static int assign(struct pci_target *target, bool grow, struct report *report)
{
	struct resource place = {};
	bool kept;

	note_bars(target);
	/* The kernel knows nothing of the place that QEMU keeps for DIMMs. */
	kept = IS_ENABLED(CONFIG_MEMORY_HOTPLUG) && qemu_mem_place(&place) &&
	       !insert_resource(&iomem_resource, &place);
	if (grow)
		pci_assign_unassigned_bridge_resources(target->bus->self);
	else
		pci_assign_unassigned_bus_resources(target->bus);
	if (kept)
		remove_resource(&place);
	return check_bars(target, report);
}

static int grow(struct pci_target *target, struct report *report)
{
	struct pci_dev *bridge = target->bus->self;
	struct windows windows;
	int ret;

	/* What found no room has lost its BARs: the kernel has to look at it once more.
	 */
	pci_target_remove(target);
	if (!pci_target_scan(target))
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "the device went while it was plugged");
	save_windows(bridge, &windows);
	ret = assign(target, true, report);
	if (ret) {
		pci_target_remove(target);
		restore_windows(bridge, &windows);
	}
	return ret;
}

int pci_target_start(struct pci_target *target, struct report *report)
{
	int ret = assign(target, false, report);

	if (ret == -ENOSPC && may_grow(target))
		ret = grow(target, report);
	if (!ret)
		pci_bus_add_devices(target->bus);
	return ret;
}

void pci_target_remove(const struct pci_target *target)
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
