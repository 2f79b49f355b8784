/* SPDX-License-Identifier: GPL-2.0-only */
/* The pins of the interrupt controllers, which hosts go by, and the kernel's IRQs. */
#ifndef UPCALL_GSI_H
#define UPCALL_GSI_H

#include <linux/types.h>

#include "report.h"

/*
 * Whether the machine has that pin and the kernel can use it. Returns 0, or with the
 * report filled -ENODEV or -EOPNOTSUPP. Changes nothing.
 */
int gsi_check(u32 gsi, struct report *report);

/*
 * The kernel's number of it, made if there is none yet: such a mapping stays, as those
 * that firmware asks for do. Negative as of gsi_check(), -ENOSPC,
 * and -EBUSY if who has it does not share it. May sleep.
 */
int gsi_map(u32 gsi, struct report *report);

#endif
