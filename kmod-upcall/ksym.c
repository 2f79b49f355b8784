// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kprobe on a name yields the function's address without being armed. Where the
 * function begins with ENDBR the address is the one behind it, and where the kernel
 * has taken an unused ENDBR away there is none: an indirect call would fault with
 * IBT in both cases. static_call_update() patches the address into direct calls,
 * which need no landing pad.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/cpu.h>
#include <linux/device.h>
#include <linux/kprobes.h>
#include <linux/static_call.h>

#include <asm/cpu.h>

#include "compat.h"
#include "ksym.h"

/* Each is declared in a kernel header, which gives the calls their types. */
/* clang-format off */
#define ALWAYS_LOOKED_UP(call)       \
	call(lock_device_hotplug)    \
	call(unlock_device_hotplug)  \
	call(cpu_maps_update_begin)  \
	call(cpu_maps_update_done)   \
	call(cpus_write_lock)        \
	call(cpus_write_unlock)      \
	call(arch_match_cpu_phys_id)

#if COMPAT_REGISTER_CPU_EXPORTED
#define LOOKED_UP(call) ALWAYS_LOOKED_UP(call)
#else
#define LOOKED_UP(call)         \
	ALWAYS_LOOKED_UP(call)  \
	call(arch_register_cpu) \
	call(arch_unregister_cpu)
#endif
/* clang-format on */

#define DEFINE_CALL(name)                                                  \
	DEFINE_STATIC_CALL_NULL(upcall_##name, name);                      \
	static void set_##name(unsigned long address)                      \
	{                                                                  \
		static_call_update(upcall_##name, (typeof(&name))address); \
	}
#define CALL(name) static_call(upcall_##name)

LOOKED_UP(DEFINE_CALL)

#define TABLE_ENTRY(symbol) {.name = #symbol, .set = set_##symbol},
static const struct {
	const char *name;
	void (*set)(unsigned long address);
} symbols[] = {LOOKED_UP(TABLE_ENTRY)};

static const char *missing;

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

void ksym_init(void)
{
	unsigned long address;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(symbols); i++) {
		address = look_up(symbols[i].name);
		if (address) {
			symbols[i].set(address);
			continue;
		}
		missing = symbols[i].name;
		pr_warn("this kernel does not let a module find %s(): "
			"requests to plug CPUs will be refused\n",
			missing);
		return;
	}
}

const char *ksym_missing(void)
{
	return missing;
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

#if COMPAT_REGISTER_CPU_EXPORTED
int ksym_register_cpu(int cpu)
{
	return arch_register_cpu(cpu);
}

void ksym_unregister_cpu(int cpu)
{
	arch_unregister_cpu(cpu);
}
#else
int ksym_register_cpu(int cpu)
{
	return CALL(arch_register_cpu)(cpu);
}

void ksym_unregister_cpu(int cpu)
{
	CALL(arch_unregister_cpu)(cpu);
}
#endif

bool ksym_cpu_has_apic_id(int cpu, u64 apic_id)
{
	return CALL(arch_match_cpu_phys_id)(cpu, apic_id);
}
