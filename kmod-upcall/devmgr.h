/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device manager, service 'd' of the upcall protocol: messages in, messages
 * out, and a table of what each request type takes and who does it.
 */
#ifndef UPCALL_DEVMGR_H
#define UPCALL_DEVMGR_H

#include <linux/types.h>

#include "upcall_wire.h"

union devmgr_message {
	u8 bytes[UPCALL_MSG_SIZE];
	struct {
		struct upcall_header header;
		union {
			struct upcall_cpu cpu;
			struct upcall_cpu2 cpu2;
			u8 payload[UPCALL_PAYLOAD_MAX];
		};
	} request;
	struct {
		struct upcall_reply head;
		u8 gap[UPCALL_EXT_OFFSET - sizeof(struct upcall_reply)];
		struct upcall_detail detail;
	} reply;
	struct {
		struct upcall_header header;
		u8 gap[UPCALL_EXT_OFFSET - sizeof(struct upcall_header)];
		struct upcall_announce announce;
	} connect;
};

/* Fills the CONNECT message, with which the service greets a client. */
void devmgr_connect(union devmgr_message *message);

/*
 * Carries out a request and fills the reply. Nothing in the request is trusted.
 * Requests change hardware and may take many seconds: one at a time, in a context
 * that may sleep.
 */
void devmgr_handle(const union devmgr_message *request, union devmgr_message *reply);

/* Fills the reply to a request that is not carried out: a negative errno and why. */
void devmgr_refuse(const union devmgr_message *request, union devmgr_message *reply,
		   int err, const char *reason);

#endif
