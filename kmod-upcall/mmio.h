/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UPCALL_MMIO_H
#define UPCALL_MMIO_H

#include "report.h"
#include "request.h"

/*
 * virtio-mmio devices that the parameter mmio_device names are announced to the
 * kernel: once, at load. They stay when the module goes, as what the firmware
 * announces does: one of them may carry the very connection to the host.
 */
void mmio_announce(void);

/*
 * Registers virtio-mmio.<id> without a request, and records it. A driver may come
 * later. Errors as of window_check(), -EEXIST also where the id is taken.
 */
int mmio_plug_at_load(const struct request_mmio *mmio, int id, struct report *report);

#endif
