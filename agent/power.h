/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shutdown, Reboot and Suspend (proto/vmctl/agent/v1/power.proto). Who does it depends
 * on what the guest has, the first of
 *
 *   systemd    is told by systemctl
 *   shutdown   the guest's shutdown(8), which sysvinit and OpenRC have
 *   init       PID 1 gets a signal, if it waits for the one that busybox's init knows
 *   the kernel does it at once, with what is in its caches written before: there is
 *              nobody to be told, as in an initramfs whose init is a script
 */
#ifndef AGENT_POWER_H
#define AGENT_POWER_H

#include <stdint.h>

#include "service.h"

/* What does it in the end; tests put others in their place. */
struct power_kernel {
	void (*sync)(void);
	int64_t sync_ms; /* how long it is waited for: a disk that hangs never ends it
			  */
	int (*reboot)(int command);
};

extern struct power_kernel power_kernel;
extern const struct agent_service power_service;

#endif
