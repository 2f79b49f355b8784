/* SPDX-License-Identifier: GPL-2.0-only */
/* The bytes of a message, in the shapes that upcall_wire.h gives them. */
#ifndef UPCALL_MESSAGE_H
#define UPCALL_MESSAGE_H

#include <linux/types.h>

#include "upcall_wire.h"

union message {
	__u8 bytes[UPCALL_MSG_SIZE];
	struct {
		struct upcall_header header;
		union {
			struct upcall_cpu cpu;
			struct upcall_cpu2 cpu2;
			struct upcall_mmio mmio;
			struct upcall_pci pci;
			struct upcall_pci2 pci2;
			struct upcall_mem2 mem2;
			struct upcall_viommu viommu;
			struct upcall_query query;
			__u8 payload[UPCALL_PAYLOAD_MAX];
		};
	} request;
	struct {
		struct upcall_reply head;
		__u8 gap[UPCALL_EXT_OFFSET - sizeof(struct upcall_reply)];
		struct upcall_detail detail;
		__u8 gap2[UPCALL_DATA_OFFSET - UPCALL_EXT_OFFSET -
			  sizeof(struct upcall_detail)];
		union {
			struct upcall_list list;
			struct upcall_status status;
			__u8 data[UPCALL_DATA_SIZE];
		};
	} reply;
	struct {
		struct upcall_header header;
		__u8 gap[UPCALL_EXT_OFFSET - sizeof(struct upcall_header)];
		struct upcall_announce announce;
	} connect;
};

UPCALL_ASSERT(sizeof(union message) == UPCALL_MSG_SIZE);

#endif
