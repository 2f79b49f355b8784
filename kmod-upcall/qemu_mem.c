// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/acpi.h>
#include <linux/dmi.h>
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/sizes.h>

#include "qemu_fw_cfg.h"
#include "qemu_mem.h"

/* Offsets from the base port, and what is written and read there. */
#define REG_SELECTOR 0x00 /* w, 32 bits: the slot that all else is about */
#define REG_ADDRESS  0x00 /* r, 64 bits */
#define REG_SIZE     0x08 /* r, 64 bits */
#define REG_STATUS   0x14 /* r, 8 bits */
#define REG_CONTROL  0x14 /* w, 8 bits */
#define REG_LENGTH   0x18

#define STATUS_ENABLED BIT(0)
#define STATUS_ABSENT  0xff /* no registers: reads yield all ones */
#define CONTROL_EJECT  BIT(3)

/* On both machines (QEMU's ACPI_MEMORY_HOTPLUG_BASE). */
#define PORT 0xa00

/* More slots than that QEMU does not allow (ACPI_MAX_RAM_SLOTS). */
#define SLOT_MAX 256

/* Where firmware may place PCI devices: QEMU has nothing of its own from there on. */
#define RESERVED_END "etc/reserved-memory-end"

static bool available;
static u64 place_end; /* 0: no place for DIMMs */

static const struct dmi_system_id machines[] = {
	{.ident = "QEMU", .matches = {DMI_MATCH(DMI_SYS_VENDOR, "QEMU")}}, {}};

static void select(u32 slot)
{
	outl(slot, PORT + REG_SELECTOR);
}

static u64 read_64(u16 reg)
{
	return inl(PORT + reg) | (u64)inl(PORT + reg + 4) << 32;
}

void qemu_mem_init(void)
{
	/* With ACPI on, the registers belong to AML. */
	if (!acpi_disabled || !dmi_first_match(machines))
		return;
	if (!request_region(PORT, REG_LENGTH, KBUILD_MODNAME)) {
		pr_warn("the I/O ports from %#x are taken: memory cannot be ejected\n",
			PORT);
		return;
	}
	if (qemu_fw_cfg_read_u64(RESERVED_END, &place_end))
		place_end = 0;
	select(0);
	available = inb(PORT + REG_STATUS) != STATUS_ABSENT;
	if (!available)
		release_region(PORT, REG_LENGTH);
}

void qemu_mem_exit(void)
{
	if (available)
		release_region(PORT, REG_LENGTH);
	available = false;
}

bool qemu_mem_available(void)
{
	return available;
}

bool qemu_mem_place(struct resource *place)
{
	/* Above what 32 bits reach (QEMU's pc_memory_init()). */
	if (place_end <= SZ_4G)
		return false;
	*place = (struct resource){
		.start = SZ_4G,
		.end = place_end - 1,
		.flags = IORESOURCE_MEM,
		.name = KBUILD_MODNAME,
	};
	return true;
}

/*
 * Selects the slot. How many bytes of its DIMM are in the range, and how many are not.
 */
static u64 overlap(u32 slot, u64 start, u64 size, u64 *outside)
{
	u64 first, end, dimm_size;

	*outside = 0;
	select(slot);
	if (!(inb(PORT + REG_STATUS) & STATUS_ENABLED))
		return 0;
	first = read_64(REG_ADDRESS);
	dimm_size = read_64(REG_SIZE);
	end = min(first + dimm_size, start + size);
	if (max(first, start) >= end)
		return 0;
	*outside = dimm_size - (end - max(first, start));
	return end - max(first, start);
}

u64 qemu_mem_covered(u64 start, u64 size, u64 *outside)
{
	u64 covered = 0, rest;
	u32 slot;

	*outside = 0;
	for (slot = 0; slot < SLOT_MAX; slot++) {
		covered += overlap(slot, start, size, &rest);
		*outside += rest;
	}
	return covered;
}

int qemu_mem_eject(u64 start, u64 size)
{
	u64 outside;
	u32 slot;

	for (slot = 0; slot < SLOT_MAX; slot++) {
		if (!overlap(slot, start, size, &outside) || outside)
			continue;
		outb(CONTROL_EJECT, PORT + REG_CONTROL);
		if (inb(PORT + REG_STATUS) & STATUS_ENABLED)
			return -EIO;
	}
	return 0;
}
