/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that differs between kernels. The module's other files are written as if
 * for the newest one; HAVE_* comes from compat/probe.
 */
#ifndef UPCALL_COMPAT_H
#define UPCALL_COMPAT_H

#include <linux/kconfig.h>

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

/* What kernel_bind() takes for an address; before, it was a plain sockaddr. */
#ifndef HAVE_SOCKADDR_UNSIZED
#define sockaddr_unsized sockaddr
#endif

#endif
