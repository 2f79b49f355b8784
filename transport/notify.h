/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Word to whoever started this process and would start it again: the service
 * manager, or the holder (holder.h). The protocol is that of sd_notify(3): datagrams
 * of NAME=VALUE lines, with descriptors beside them.
 *
 * There is one such party, so its address is this module's own, like the log's.
 */
#ifndef TRANSPORT_NOTIFY_H
#define TRANSPORT_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* The descriptor, as a number, of a socket whose other end is the holder's. */
#define NOTIFY_HOLDER_ENV "VSOCKD_HOLDER"

/*
 * Whether a service manager has started this very process: NOTIFY_SOCKET is set, and
 * SYSTEMD_EXEC_PID, which systemd sets since version 248, names no other process. One
 * that was meant for another, and inherited, is removed from the environment.
 */
bool notify_has_manager(void);

/*
 * Reads the environment (NOTIFY_SOCKET, WATCHDOG_USEC, or NOTIFY_HOLDER_ENV) and
 * connects. 0 also when there is nobody; negative errno.
 */
int notify_init(struct error *err);

/* Whether there is somebody, and whether that is the holder. */
bool notify_is_on(void);
bool notify_is_held(void);

/* Sends text, and fd unless it is -1. False when it did not arrive; logged. */
bool notify_send(const char *text, int fd);

/*
 * Milliseconds until the watchdog wants to hear from us, -1: never. Says that all
 * is well when it is time.
 */
int notify_watchdog(uint64_t now);

#endif
