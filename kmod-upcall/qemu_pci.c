// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/acpi.h>
#include <linux/dmi.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/ioport.h>

#include "qemu_pci.h"

/* Offsets from the base port; all are 32 bits wide. */
#define REG_DOWN   0x04 /* r: a bit for each slot that the host wants back */
#define REG_EJECT  0x08 /* w: a bit for the slot to free */
#define REG_SELECT 0x10 /* rw: the hotplug bus that all else is about */
#define REG_LENGTH 0x18

#define Q35_PORT 0xcc0
#define PC_PORT	 0xae00

/* QEMU numbers its hotplug buses from 0 (ACPI_PCIHP_MAX_HOTPLUG_BUS). */
#define BUS_MAX 256

static u16 base;

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
}

bool qemu_pci_available(void)
{
	return base;
}

static bool is_asked(int bus, unsigned int slot)
{
	outl(bus, base + REG_SELECT);
	return inl(base + REG_DOWN) & BIT(slot);
}

int qemu_pci_find_asked(unsigned int slot)
{
	int found = -ENODEV, bus;

	for (bus = 0; bus < BUS_MAX; bus++) {
		if (!is_asked(bus, slot))
			continue;
		if (found >= 0)
			return -EBUSY;
		found = bus;
	}
	return found;
}

int qemu_pci_eject(int bus, unsigned int slot)
{
	outl(bus, base + REG_SELECT);
	outl(BIT(slot), base + REG_EJECT);
	return is_asked(bus, slot) ? -EIO : 0;
}
