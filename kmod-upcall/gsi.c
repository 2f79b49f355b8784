// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins 0 to 15 have IRQs of the same number from the boot on. For the others the
 * kernel makes an IRQ when the MP table or a driver's firmware node names them; what
 * the host tells us of is named by nothing, so we ask for it as acpi_register_gsi()
 * would, which has nobody to ask when ACPI is off.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/numa.h>

#include <asm/hw_irq.h>
#include <asm/i8259.h>
#include <asm/io_apic.h>

#include "gsi.h"
#include "ksym.h"

/* Far above what any machine has, so that the kernel need not log each question. */
#define GSI_MAX 4096

static int find(u32 gsi)
{
	int irq;

	if (ksym_missing(KSYM_GSI))
		return gsi < NR_IRQS_LEGACY ? (int)gsi : -EOPNOTSUPP;
	if (gsi >= GSI_MAX)
		return -ENODEV;
	irq = ksym_map_gsi(gsi, 0, NULL);
	/* A kernel that uses the i8259 only. */
	if (irq == -ENODEV && gsi < nr_legacy_irqs())
		irq = gsi;
	/* Pin 2 may have the timer's IRQ 0. */
	return irq ?: -ENODEV;
}

static irqreturn_t not_ours(int irq, void *data)
{
	return IRQ_NONE;
}

/* virtio_mmio would find that out only when a device's driver asks for its queues. */
static int try_to_share(int irq)
{
	static int token;
	int ret = request_irq(irq, not_ours, IRQF_SHARED, "upcall", &token);

	if (!ret)
		free_irq(irq, &token);
	return ret;
}

static int explain(u32 gsi, int err, struct report *report)
{
	if (err == -EOPNOTSUPP)
		return report_fail(report, REPORT_NO_ENTRY, err,
				   "IRQ %u: this kernel does not let a module find "
				   "%s()",
				   gsi, ksym_missing(KSYM_GSI));
	if (err == -ENODEV || err == -EINVAL)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "this guest has no IRQ %u for a device", gsi);
	return report_fail(report, REPORT_NO_ENTRY, err, "IRQ %u cannot be used: %pe",
			   gsi, ERR_PTR(err));
}

int gsi_check(u32 gsi, struct report *report)
{
	int irq = find(gsi);

	return irq >= 0 || irq == -ENOENT ? 0 : explain(gsi, irq, report);
}

int gsi_map(u32 gsi, struct report *report)
{
	/*
	 * A rising edge, which both a host that raises a line and one that pulses it
	 * (KVM's irqfd) make, and what MP tables say of the pins they name.
	 */
	struct irq_alloc_info info = {
		.type = X86_IRQ_ALLOC_TYPE_IOAPIC,
		.ioapic = {.valid = 1, .node = NUMA_NO_NODE},
	};
	int irq = find(gsi), ret;

	if (irq == -ENOENT)
		irq = ksym_map_gsi(gsi, IOAPIC_MAP_ALLOC, &info);
	if (irq < 0)
		return explain(gsi, irq, report);
	ret = try_to_share(irq);
	if (ret)
		return report_fail(report, REPORT_NO_ENTRY, ret,
				   "IRQ %u cannot be shared with who has it: %pe", gsi,
				   ERR_PTR(ret));
	return irq;
}
