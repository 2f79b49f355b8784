// SPDX-License-Identifier: GPL-2.0-only
/* Compiles in user space too, with request.c. */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/string.h>

#include "report.h"

void report_init(struct report *report)
{
	memset(report, 0, sizeof(*report));
	report->failed = REPORT_NO_ENTRY;
	INIT_LIST_HEAD(&report->gone);
}

void report_init_later(struct report *later, const struct report *failed)
{
	report_init(later);
	later->type = failed->type;
	later->request = failed->request;
}

int report_fail(struct report *report, u32 failed, int err, const char *fmt, ...)
{
	va_list args;

	report->failed = failed;
	va_start(args, fmt);
	vscnprintf(report->reason, sizeof(report->reason), fmt, args);
	va_end(args);
	return err;
}
