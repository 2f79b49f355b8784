/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kmod-upcall/request.c and report.c want of the kernel, in user space: this
 * folder stands before /usr/include, where Linux's own user headers are.
 */
#ifndef SHIM_TYPES_H
#define SHIM_TYPES_H

#include_next <linux/types.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64; /* as the kernel has it, for %llu */
typedef int32_t s32;

#define le16_to_cpu(x) le16toh(x)
#define le32_to_cpu(x) le32toh(x)
#define le64_to_cpu(x) le64toh(x)

struct list_head {
	struct list_head *next, *prev;
};

#endif
