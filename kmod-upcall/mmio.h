/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UPCALL_MMIO_H
#define UPCALL_MMIO_H

/*
 * virtio-mmio devices that the parameter mmio_device names are announced to the
 * kernel: once, at load. They stay when the module goes, as what the firmware
 * announces does: one of them may carry the very connection to the host.
 */
void mmio_announce(void);

#endif
