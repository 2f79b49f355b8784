/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device manager, service 'd' of the upcall protocol: messages in, messages
 * out. It hands each request to the class of devices that it is about, counts,
 * and tells the listeners of events.
 */
#ifndef UPCALL_DEVMGR_H
#define UPCALL_DEVMGR_H

#include "message.h"

/* Sets up the classes, in order. On failure nothing is left. */
int devmgr_init(void);
void devmgr_exit(void);

/* Fills the CONNECT message, with which the service greets a client. */
void devmgr_connect(union message *message);

/*
 * Carries out a request and fills the reply. Nothing in the request is trusted.
 * Requests change hardware and may take many seconds: one at a time, in a context
 * that may sleep.
 */
void devmgr_handle(const union message *message, union message *reply);

/* Fills the reply to a request that is not carried out: a negative errno and why. */
void devmgr_refuse(const union message *message, union message *reply, int err,
		   const char *reason);

#endif
