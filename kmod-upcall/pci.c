// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/errno.h>

#include "class.h"
#include "plugged.h"

static u32 pci_features(void)
{
	return 0;
}

static int pci_add(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP, "not yet");
}

static int pci_del(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP, "not yet");
}

static bool pci_present(const struct upcall_list_entry *entry)
{
	return false;
}

const struct device_class pci_class = {
	.name = "pci",
	.features = pci_features,
	.add = pci_add,
	.del = pci_del,
	.present = pci_present,
};
