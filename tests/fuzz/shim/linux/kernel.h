/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H

#include <stdarg.h>
#include <stdio.h>

#include <linux/types.h>

#define U16_MAX	      UINT16_MAX
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Returns what is in the buffer, and not what would have been. */
static inline int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	int len = vsnprintf(buf, size, fmt, args);

	return len < (int)size ? len : (int)size - 1;
}

#endif
