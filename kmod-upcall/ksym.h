/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel functions that hotplug needs and that modules may not link
 * against: their addresses are looked up at load. No other file does that.
 */
#ifndef UPCALL_KSYM_H
#define UPCALL_KSYM_H

#include <linux/types.h>

struct irq_alloc_info;

/* Looks everything up, once, at load. Logs what it does not find. */
void ksym_init(void);

enum ksym_group {
	KSYM_CPU,
	KSYM_NODE,
	KSYM_MEM,
	KSYM_GSI,
	KSYM_DATA, /* all but functions: for ksym.c itself */
	KSYM_IOMMU,
	KSYM_GROUPS,
};

/*
 * The name of a symbol of the group that was not found, or NULL. What belongs to
 * a group may not be called unless this returned NULL for it.
 */
const char *ksym_missing(enum ksym_group group);

/* KSYM_CPU */

/*
 * All the locks under which ACPI's own CPU hotplug changes the CPU maps, in its
 * order (drivers/acpi/acpi_processor.c below acpi_device_hotplug()):
 * device_hotplug_lock keeps "online" in sysfs from bringing up a CPU that is about
 * to go, the other two keep the readers of the maps and other (un)pluggers out.
 * add_cpu() and remove_cpu() take them too, so they may not be called inside.
 * May sleep.
 */
void ksym_lock_cpu_maps(void);
void ksym_unlock_cpu_maps(void);

/*
 * arch_register_cpu() and arch_unregister_cpu(): the CPU's device, and with it
 * /sys/devices/system/cpu/cpuN. Called with the CPU maps locked.
 */
int ksym_register_cpu(int cpu);
void ksym_unregister_cpu(int cpu);

/*
 * Whether CPU number `cpu` belongs to that APIC id, present or not. KSYM_NO_APIC_ID
 * asks whether the number is still free, where numbers are given out as CPUs come
 * (compat.h, COMPAT_CPU_NUMBERS_FIXED).
 */
#define KSYM_NO_APIC_ID U64_MAX
bool ksym_cpu_has_apic_id(int cpu, u64 apic_id);

/*
 * KSYM_NODE. Sets the node of a CPU that is not online: for as long as it is present
 * (acpi_unmap_cpu() forgets what its APIC id says). The id is below MAX_LOCAL_APIC.
 */
void ksym_set_cpu_node(int cpu, u32 apic_id, int node);

/*
 * KSYM_GSI. The IRQ of an IO-APIC's pin: -ENODEV, there is no such pin; -EINVAL, it is
 * no device's; -ENOENT, it has no IRQ yet, which flags IOAPIC_MAP_ALLOC makes, as
 * *info says. May sleep.
 */
int ksym_map_gsi(u32 gsi, unsigned int flags, struct irq_alloc_info *info);

/*
 * KSYM_MEM. The memory blocks from base on (both in whole blocks), with
 * device_hotplug_lock held; a block's device goes on- and offline under it too.
 */
struct device;
struct memory_block;
void ksym_lock_device_hotplug(void);
void ksym_unlock_device_hotplug(void);
int ksym_walk_memory_blocks(u64 base, u64 size, void *data,
			    int (*func)(struct memory_block *block, void *data));
int ksym_device_online(struct device *device);
int ksym_device_offline(struct device *device);

/*
 * KSYM_IOMMU. iommu_probe_device_lock, under which iommu_fwspec_init() and
 * iommu_fwspec_add_ids() are called (drivers/iommu/iommu.c, dev_iommu_get()). Where the
 * kernel does not declare it, nothing is taken. May sleep.
 */
void ksym_lock_iommu_probe(void);
void ksym_unlock_iommu_probe(void);

#endif
