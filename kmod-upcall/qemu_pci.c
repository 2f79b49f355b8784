// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/acpi.h>
#include <linux/bitmap.h>
#include <linux/dmi.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/string.h>

#include "qemu_pci.h"

/* Offsets from the base port; all are 32 bits wide. */
#define REG_UP	   0x00 /* r: a bit for each slot that is new; reading clears them */
#define REG_DOWN   0x04 /* r: a bit for each slot that the host wants back */
#define REG_EJECT  0x08 /* w: a bit for the slot to free */
#define REG_SELECT 0x10 /* rw: the hotplug bus that all else is about */
#define REG_LENGTH 0x18

#define Q35_PORT 0xcc0
#define PC_PORT	 0xae00

#define BUSES 256 /* of a guest's PCI segment */

static u16 base;

/* Bits of REG_UP that were read and are not accounted for, by hotplug bus. */
static u32 unclaimed[QEMU_PCI_BUSES];

/* The hotplug bus of each of the guest's buses of segment 0, plus 1; 0: not known. */
static u16 learned[BUSES];

static const struct dmi_system_id machines[] = {
	{
		.ident = "q35",
		.driver_data = (void *)Q35_PORT,
		.matches = {DMI_MATCH(DMI_SYS_VENDOR, "QEMU"),
			    DMI_MATCH(DMI_PRODUCT_NAME, "Q35")},
	},
	{
		.ident = "pc",
		.driver_data = (void *)PC_PORT,
		.matches = {DMI_MATCH(DMI_SYS_VENDOR, "QEMU"),
			    DMI_MATCH(DMI_PRODUCT_NAME, "i440FX")},
	},
	{}};

/* Where there are none, writing does nothing and reading yields all ones. */
static bool probe(u16 port)
{
	outl(1, port + REG_SELECT);
	if (inl(port + REG_SELECT) != 1)
		return false;
	outl(0, port + REG_SELECT);
	return inl(port + REG_SELECT) == 0;
}

void qemu_pci_init(void)
{
	const struct dmi_system_id *machine = dmi_first_match(machines);
	u16 port;

	/* With ACPI on, the registers belong to AML. */
	if (!acpi_disabled || !machine)
		return;
	port = (uintptr_t)machine->driver_data;
	if (!request_region(port, REG_LENGTH, KBUILD_MODNAME)) {
		pr_warn("the I/O ports from %#x are taken: PCI devices cannot be "
			"ejected\n",
			port);
		return;
	}
	if (probe(port))
		base = port;
	else
		release_region(port, REG_LENGTH);
}

void qemu_pci_exit(void)
{
	if (base)
		release_region(base, REG_LENGTH);
	base = 0;
	memset(unclaimed, 0, sizeof(unclaimed));
	memset(learned, 0, sizeof(learned));
}

bool qemu_pci_available(void)
{
	return base;
}

static bool is_asked(unsigned int hotplug_bus, unsigned int slot)
{
	outl(hotplug_bus, base + REG_SELECT);
	return inl(base + REG_DOWN) & BIT(slot);
}

static bool is_learned(unsigned int hotplug_bus)
{
	unsigned int bus;

	for (bus = 0; bus < BUSES; bus++) {
		if (learned[bus] == hotplug_bus + 1)
			return true;
	}
	return false;
}

void qemu_pci_learn(u8 bus, unsigned int slot)
{
	int found = QEMU_PCI_UNKNOWN;
	unsigned int i;

	if (!base)
		return;
	for (i = 0; i < QEMU_PCI_BUSES; i++) {
		outl(i, base + REG_SELECT);
		unclaimed[i] |= inl(base + REG_UP);
	}
	for (i = 0; i < QEMU_PCI_BUSES && !learned[bus]; i++) {
		if (!(unclaimed[i] & BIT(slot)) || is_learned(i))
			continue;
		if (found != QEMU_PCI_UNKNOWN)
			return;
		found = i;
	}
	if (found != QEMU_PCI_UNKNOWN)
		qemu_pci_remember(bus, found);
	if (learned[bus])
		unclaimed[learned[bus] - 1] &= ~BIT(slot);
}

void qemu_pci_remember(u8 bus, int hotplug_bus)
{
	if (hotplug_bus >= 0 && hotplug_bus < QEMU_PCI_BUSES)
		learned[bus] = hotplug_bus + 1;
}

int qemu_pci_hotplug_bus(u8 bus)
{
	return learned[bus] - 1;
}

void qemu_pci_forget(u8 bus)
{
	learned[bus] = 0;
}

int qemu_pci_find_asked(u8 bus, unsigned int slot, bool alone, unsigned long *asked)
{
	unsigned int i, count;

	bitmap_zero(asked, QEMU_PCI_BUSES);
	for (i = 0; i < QEMU_PCI_BUSES; i++) {
		if (learned[bus] ? i + 1 != learned[bus] : is_learned(i))
			continue;
		if (is_asked(i, slot))
			__set_bit(i, asked);
	}
	count = bitmap_weight(asked, QEMU_PCI_BUSES);
	if (count == 0)
		return -ENODEV;
	return count == 1 || alone ? 0 : -EBUSY;
}

int qemu_pci_eject(const unsigned long *asked, unsigned int slot)
{
	unsigned int i;
	int ret = 0;

	for_each_set_bit(i, asked, QEMU_PCI_BUSES)
	{
		unclaimed[i] &= ~BIT(slot);
		outl(i, base + REG_SELECT);
		outl(BIT(slot), base + REG_EJECT);
		if (is_asked(i, slot))
			ret = -EIO;
	}
	return ret;
}
