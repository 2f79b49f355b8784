/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that differs between kernels. The module's other files are written as if
 * for the newest one; HAVE_* comes from compat/probe.
 */
#ifndef UPCALL_COMPAT_H
#define UPCALL_COMPAT_H

#include <linux/errno.h>
#include <linux/kconfig.h>
#include <linux/types.h>

#include "compat_config.h"

#if !defined(CONFIG_X86_64) || !defined(CONFIG_SMP)
#error "upcall plugs CPUs on x86-64 SMP kernels only"
#endif
#if !defined(CONFIG_ACPI_HOTPLUG_CPU)
#error "upcall needs acpi_map_cpu(), which CONFIG_ACPI_HOTPLUG_CPU builds in"
#endif
#if !IS_ENABLED(CONFIG_VSOCKETS)
#error "upcall needs CONFIG_VSOCKETS"
#endif

/*
 * arch_register_cpu() and arch_unregister_cpu() are exported by x86 up to 6.5;
 * after that they moved to drivers/base/cpu.c without an export (ksym.c).
 */
#ifdef HAVE_ARCH_REGISTER_CPU
#define COMPAT_REGISTER_CPU_EXPORTED 1
#else
#define COMPAT_REGISTER_CPU_EXPORTED 0
#endif

/*
 * Since 6.9 (topology_hotplug_apic) every APIC id has its CPU number from the
 * firmware's tables at boot, and one that has none stays unknown. Before, an
 * APIC id gets the next number when it is first plugged, and keeps it for ever.
 */
#ifdef HAVE_TOPOLOGY_HOTPLUG_APIC
#define COMPAT_CPU_NUMBERS_FIXED 1
#else
#define COMPAT_CPU_NUMBERS_FIXED 0
#endif

/*
 * Before 6.11, iommu_fwspec_init() is told the driver's operations and not only whose
 * they are. Debian's 6.1 has no virtio-iommu driver for x86, and the other kernels in
 * between nobody has asked for.
 */
#if IS_ENABLED(CONFIG_VIRTIO_IOMMU) && IS_ENABLED(CONFIG_PCI) && \
	!defined(HAVE_IOMMU_FWSPEC_OPS)
#define COMPAT_VIOMMU 1
#else
#define COMPAT_VIOMMU 0
#endif

/* What guards a device's iommu_fwspec, where a kernel declares it (linux/iommu.h). */
#if defined(HAVE_IOMMU_PROBE_DEVICE_LOCK) && IS_ENABLED(CONFIG_IOMMU_API)
#define COMPAT_IOMMU_PROBE_LOCK 1
#else
#define COMPAT_IOMMU_PROBE_LOCK 0
#endif

/* Kernels without memory hotplug; ksym.c does not find it there either. */
#ifndef CONFIG_MEMORY_HOTPLUG
struct memory_block;
static inline int walk_memory_blocks(unsigned long start, unsigned long size, void *arg,
				     int (*func)(struct memory_block *, void *))
{
	return -EOPNOTSUPP;
}
#endif

/* What kernel_bind() takes for an address; before, it was a plain sockaddr. */
#ifndef HAVE_SOCKADDR_UNSIZED
#define sockaddr_unsized sockaddr
#endif

#endif
