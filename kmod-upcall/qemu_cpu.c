// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/acpi.h>
#include <linux/dmi.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/ioport.h>

#include "qemu_cpu.h"

/* Offsets from the base port, and what is written and read there. */
#define REG_SELECTOR 0x0 /* w, 32 bits: the slot that all else is about */
#define REG_DATA2    0x0 /* r, 32 bits: upper half of an architecture id */
#define REG_STATUS   0x4 /* r, 8 bits */
#define REG_CONTROL  0x4 /* w, 8 bits */
#define REG_COMMAND  0x5 /* w, 8 bits */
#define REG_DATA     0x8 /* r, 32 bits: on x86 the APIC id, for COMMAND_GET_ID */
#define REG_LENGTH   12

#define STATUS_ENABLED	   BIT(0)
#define CONTROL_EJECT	   BIT(3)
#define COMMAND_NEXT_EVENT 0
#define COMMAND_GET_ID	   3

#define Q35_PORT 0xcd8
#define PC_PORT	 0xaf00

/* More than any QEMU machine has; only a broken one is scanned that far. */
#define SLOT_MAX 8192

int eject_port = EJECT_PORT_FIND;

static u16 base;
static int last_found; /* lists are mostly in order: where to look first */

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

static u16 find_port(void)
{
	const struct dmi_system_id *machine;

	if (eject_port == EJECT_PORT_LEAVE)
		return EJECT_PORT_LEAVE;
	if (eject_port != EJECT_PORT_FIND) {
		/* Shifted by a few bytes the registers look like what they are not. */
		if (eject_port > 0 && eject_port <= 0x10000 - REG_LENGTH &&
		    eject_port % 4 == 0)
			return eject_port;
		pr_warn("eject_port %d is no multiple of 4 below 65525: "
			"vCPUs cannot be ejected\n",
			eject_port);
		return EJECT_PORT_LEAVE;
	}
	machine = dmi_first_match(machines);
	return machine ? (uintptr_t)machine->driver_data : EJECT_PORT_LEAVE;
}

/*
 * The detection that the specification asks for. The first write switches from the
 * legacy layout, a bitmap whose first bit is always set; the second selects a slot
 * that exists. Absent registers read as all ones.
 */
static bool probe(u16 port)
{
	outl(0, port + REG_SELECTOR);
	outl(0, port + REG_SELECTOR);
	outb(COMMAND_NEXT_EVENT, port + REG_COMMAND);
	return inl(port + REG_DATA2) == 0;
}

void qemu_cpu_init(void)
{
	u16 port;

	/* With ACPI on, the registers belong to AML and its lock. */
	if (!acpi_disabled)
		return;
	port = find_port();
	if (port == EJECT_PORT_LEAVE)
		return;
	if (!request_region(port, REG_LENGTH, KBUILD_MODNAME)) {
		pr_warn("the I/O ports from %#x are taken: vCPUs cannot be ejected\n",
			port);
		return;
	}
	if (!probe(port)) {
		pr_warn("no CPU hotplug registers at I/O port %#x: "
			"vCPUs cannot be ejected\n",
			port);
		release_region(port, REG_LENGTH);
		return;
	}
	base = port;
}

void qemu_cpu_exit(void)
{
	if (base)
		release_region(base, REG_LENGTH);
	base = 0;
}

bool qemu_cpu_available(void)
{
	return base;
}

/*
 * The APIC id of a slot. Behind the last slot reads yield 0, which is otherwise the
 * APIC id of slot 0 alone.
 */
static bool read_apic_id(int slot, u32 *apic_id)
{
	outl(slot, base + REG_SELECTOR);
	outb(COMMAND_GET_ID, base + REG_COMMAND);
	*apic_id = inl(base + REG_DATA);
	return slot == 0 || *apic_id != 0;
}

static int scan(u32 apic_id, int first, int end)
{
	u32 found;
	int slot;

	for (slot = first; slot < end; slot++) {
		if (!read_apic_id(slot, &found))
			break;
		if (found == apic_id)
			return slot;
	}
	return -ENODEV;
}

int qemu_cpu_find(u32 apic_id)
{
	int slot;

	slot = scan(apic_id, last_found, SLOT_MAX);
	if (slot < 0)
		slot = scan(apic_id, 0, last_found);
	if (slot >= 0)
		last_found = slot;
	return slot;
}

bool qemu_cpu_occupied(int slot)
{
	outl(slot, base + REG_SELECTOR);
	return inb(base + REG_STATUS) & STATUS_ENABLED;
}

int qemu_cpu_eject(int slot)
{
	outl(slot, base + REG_SELECTOR);
	outb(CONTROL_EJECT, base + REG_CONTROL);
	return qemu_cpu_occupied(slot) ? -EIO : 0;
}
