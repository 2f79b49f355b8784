// SPDX-License-Identifier: GPL-2.0-only
/*
 * Built in, the driver is linked with all it needs. A module has to find it: a
 * kprobe on a name yields the function's address without being armed. Where the
 * function begins with ENDBR the address is the one behind it, and where the kernel
 * has taken an unused ENDBR away there is none: an indirect call would fault with
 * IBT in both cases. static_call_update() patches the address into direct calls,
 * which need no landing pad.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/cpu.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/memory.h>
#include <linux/mutex.h>
#include <linux/static_call.h>

#include <asm/cpu.h>
#include <asm/io_apic.h>
#include <asm/numa.h>

#include "compat.h"
#include "ksym.h"

static const char *missing[KSYM_GROUPS];

#ifdef MODULE

/*
 * Each is declared in a kernel header, which gives the calls their types, and
 * belongs to the group of features that cannot do without it.
 */
/* clang-format off */
#define ALWAYS_LOOKED_UP(call)                 \
	call(CPU, lock_device_hotplug)         \
	call(CPU, unlock_device_hotplug)       \
	call(CPU, cpu_maps_update_begin)       \
	call(CPU, cpu_maps_update_done)        \
	call(CPU, cpus_write_lock)             \
	call(CPU, cpus_write_unlock)           \
	call(CPU, arch_match_cpu_phys_id)      \
	call(NODE, numa_set_node)              \
	call(DATA, kallsyms_lookup_name)       \
	call(GSI, mp_map_gsi_to_irq)           \
	call(MEM, walk_memory_blocks)          \
	call(MEM, device_online)               \
	call(MEM, device_offline)

#if COMPAT_REGISTER_CPU_EXPORTED
#define REGISTER_CALL(name) name
#define LOOKED_UP(call) ALWAYS_LOOKED_UP(call)
#else
#define REGISTER_CALL(name) CALL(name)
#define LOOKED_UP(call)               \
	ALWAYS_LOOKED_UP(call)        \
	call(CPU, arch_register_cpu)  \
	call(CPU, arch_unregister_cpu)
#endif

static const char *const consequence[KSYM_GROUPS] = {
	[KSYM_CPU] = "requests to plug CPUs will be refused",
	[KSYM_NODE] = "CPUs cannot be given a node",
	[KSYM_MEM] = "requests to plug memory will be refused",
	[KSYM_GSI] = "MMIO devices cannot have IRQs above 15",
	[KSYM_DATA] = "CPUs cannot be given a node, and there are no virtio-iommus",
};
/* clang-format on */

#define DEFINE_CALL(group, name)                                           \
	DEFINE_STATIC_CALL_NULL(upcall_##name, name);                      \
	static void set_##name(unsigned long address)                      \
	{                                                                  \
		static_call_update(upcall_##name, (typeof(&name))address); \
	}
#define CALL(name) static_call(upcall_##name)

LOOKED_UP(DEFINE_CALL)

#define TABLE_ENTRY(of, symbol) {KSYM_##of, #symbol, set_##symbol},
static const struct {
	enum ksym_group group;
	const char *name;
	void (*set)(unsigned long address);
} symbols[] = {LOOKED_UP(TABLE_ENTRY)};

static s16 *apicid_to_node; /* [MAX_LOCAL_APIC] */
#if COMPAT_IOMMU_PROBE_LOCK
static struct mutex *iommu_probe_lock;
#endif

#ifdef CONFIG_KPROBES
static unsigned long look_up(const char *name)
{
	struct kprobe probe = {.symbol_name = name, .flags = KPROBE_FLAG_DISABLED};
	unsigned long address;

	if (register_kprobe(&probe))
		return 0;
	address = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return address;
}
#else
static unsigned long look_up(const char *name)
{
	return 0;
}
#endif

/* No kprobe finds data, and the kernel knows its names with CONFIG_KALLSYMS_ALL. */
static void *look_up_datum(enum ksym_group group, const char *name)
{
	unsigned long address = 0;

	if (!missing[KSYM_DATA])
		address = CALL(kallsyms_lookup_name)(name);
	if (!address && !missing[group])
		missing[group] = name;
	return (void *)address;
}

static void look_up_data(void)
{
	apicid_to_node = look_up_datum(KSYM_NODE, "__apicid_to_node");
#if COMPAT_IOMMU_PROBE_LOCK
	iommu_probe_lock = look_up_datum(KSYM_IOMMU, "iommu_probe_device_lock");
#endif
}

void ksym_init(void)
{
	unsigned long address;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(symbols); i++) {
		if (missing[symbols[i].group])
			continue;
		address = look_up(symbols[i].name);
		if (address) {
			symbols[i].set(address);
			continue;
		}
		missing[symbols[i].group] = symbols[i].name;
		pr_warn("this kernel does not let a module find %s(): %s\n",
			symbols[i].name, consequence[symbols[i].group]);
	}
	/* Memory needs the first of the locks too. */
	if (!missing[KSYM_MEM])
		missing[KSYM_MEM] = missing[KSYM_CPU];
	look_up_data();
}

static void set_node_of_id(u32 apic_id, int node)
{
	apicid_to_node[apic_id] = node;
}

#else /* built in */

#if COMPAT_IOMMU_PROBE_LOCK
static struct mutex *const iommu_probe_lock = &iommu_probe_device_lock;
#endif

#define CALL(name)	    name
#define REGISTER_CALL(name) name

void ksym_init(void)
{
	if (!IS_ENABLED(CONFIG_NUMA))
		missing[KSYM_NODE] = "numa_set_node";
}

static void set_node_of_id(u32 apic_id, int node)
{
	set_apicid_to_node(apic_id, node);
}

#endif

const char *ksym_missing(enum ksym_group group)
{
	return missing[group];
}

void ksym_lock_cpu_maps(void)
{
	CALL(lock_device_hotplug)();
	CALL(cpu_maps_update_begin)();
	CALL(cpus_write_lock)();
}

void ksym_unlock_cpu_maps(void)
{
	CALL(cpus_write_unlock)();
	CALL(cpu_maps_update_done)();
	CALL(unlock_device_hotplug)();
}

int ksym_register_cpu(int cpu)
{
	return REGISTER_CALL(arch_register_cpu)(cpu);
}

void ksym_unregister_cpu(int cpu)
{
	REGISTER_CALL(arch_unregister_cpu)(cpu);
}

void ksym_set_cpu_node(int cpu, u32 apic_id, int node)
{
	set_node_of_id(apic_id, node);
	CALL(numa_set_node)(cpu, node);
}

bool ksym_cpu_has_apic_id(int cpu, u64 apic_id)
{
	return CALL(arch_match_cpu_phys_id)(cpu, apic_id);
}

void ksym_lock_device_hotplug(void)
{
	CALL(lock_device_hotplug)();
}

void ksym_unlock_device_hotplug(void)
{
	CALL(unlock_device_hotplug)();
}

int ksym_walk_memory_blocks(u64 base, u64 size, void *data,
			    int (*func)(struct memory_block *block, void *data))
{
	return CALL(walk_memory_blocks)(base, size, data, func);
}

int ksym_device_online(struct device *device)
{
	return CALL(device_online)(device);
}

int ksym_device_offline(struct device *device)
{
	return CALL(device_offline)(device);
}

int ksym_map_gsi(u32 gsi, unsigned int flags, struct irq_alloc_info *info)
{
	return CALL(mp_map_gsi_to_irq)(gsi, flags, info);
}

#if COMPAT_IOMMU_PROBE_LOCK
void ksym_lock_iommu_probe(void)
{
	mutex_lock(iommu_probe_lock);
}

void ksym_unlock_iommu_probe(void)
{
	mutex_unlock(iommu_probe_lock);
}
#else
void ksym_lock_iommu_probe(void)
{
}

void ksym_unlock_iommu_probe(void)
{
}
#endif
