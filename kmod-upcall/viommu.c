// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/errno.h>

#include "class.h"
#include "plugged.h"

static u32 viommu_features(void)
{
	return 0;
}

static int viommu_add(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP, "not yet");
}

static int viommu_del(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP, "not yet");
}

static bool viommu_present(const struct upcall_list_entry *entry)
{
	return false;
}

const struct device_class viommu_class = {
	.name = "viommu",
	.features = viommu_features,
	.add = viommu_add,
	.del = viommu_del,
	.present = viommu_present,
};
