/* SPDX-License-Identifier: GPL-2.0-only */
/* What QEMU tells firmware (QEMU's docs/specs/fw_cfg), by I/O ports. */
#ifndef UPCALL_QEMU_FW_CFG_H
#define UPCALL_QEMU_FW_CFG_H

#include <linux/types.h>

/*
 * Reads an item that is one little-endian number of 8 bytes, by its file name. 0,
 * -ENOENT, -EBUSY when the ports are taken, -ENODEV when there are none. The machine
 * must be known to be QEMU's. Not to be called twice at the same time.
 */
int qemu_fw_cfg_read_u64(const char *name, u64 *value);

#endif
