// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/errno.h>

#include "class.h"
#include "plugged.h"

static u32 mem_features(void)
{
	return 0;
}

static int mem_add(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP, "not yet");
}

static int mem_del(const struct request *request, struct report *report)
{
	return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP, "not yet");
}

static bool mem_present(const struct upcall_list_entry *entry)
{
	return false;
}

const struct device_class mem_class = {
	.name = "mem",
	.features = mem_features,
	.add = mem_add,
	.del = mem_del,
	.present = mem_present,
};
