/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family "upcall" (proto/upcall_netlink.h). */
#ifndef UPCALL_EVENTS_H
#define UPCALL_EVENTS_H

#include "report.h"
#include "request.h"

int events_init(void);
void events_exit(void);

/*
 * Tells the group's listeners how a request ended. One who does not read loses
 * events, as netlink says with ENOBUFS; nobody waits for him.
 */
void events_send(const struct request_type *type, int ret, const struct report *report);

#endif
