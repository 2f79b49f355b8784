/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A message from the wire, checked and in the CPU's byte order. Everything that can
 * be told from the message alone is checked here, and nothing else: what depends on
 * the guest is its class's to check. request.c also compiles in user space, where a
 * fuzzer runs it.
 */
#ifndef UPCALL_REQUEST_H
#define UPCALL_REQUEST_H

#include <linux/types.h>

#include "message.h"
#include "report.h"
#include "upcall_wire.h"

#define REQUEST_NO_ACPI_ID (~0u)
#define REQUEST_NO_NODE	   (-1)

struct request;

enum request_op {
	REQUEST_RESERVED, /* has a number and a name, and is refused */
	REQUEST_ADD,
	REQUEST_DEL,
	REQUEST_LIST,
	REQUEST_STATUS,
};

struct request_type {
	u32 number; /* enum upcall_type */
	const char *name;
	enum request_op op;
	u32 class_number; /* enum upcall_class; 0: none */
	u32 feature;	  /* UPCALL_FEATURE_* of guests that can carry it out */
	u16 size_min;	  /* what msg_size may be */
	u16 size_max;
	u16 reply_size; /* msg_size of a reply, success or not */
	/* Returns 0, or a negative errno with the report filled. */
	int (*parse)(const union message *message, struct request *request,
		     struct report *report);
};

extern const struct request_type request_types[];
extern const u32 request_type_count;

struct request_cpu {
	u32 apic_id;
	u32 acpi_id; /* REQUEST_NO_ACPI_ID: none */
	s32 node;    /* REQUEST_NO_NODE: none */
};

/* A virtio-mmio device's window: not empty, does not wrap, 32 bit aligned. */
struct request_mmio {
	u64 base;
	u64 size; /* bytes */
	u32 irq;  /* GSI, not 0 */
};

struct request_pci {
	u16 segment;
	u8 bus;
	u8 devfn;
};

struct request_range {
	u32 kind;     /* UPCALL_RANGE_* */
	u32 endpoint; /* of `first`, or of the MMIO device */
	u16 segment;  /* UPCALL_RANGE_PCI: BDFs from first to last */
	u16 first;
	u16 last;
	u64 base; /* UPCALL_RANGE_MMIO */
};

struct request {
	const struct request_type *type;
	u64 number; /* counts all requests since the module was loaded */
	bool eject; /* UPCALL_EJECT */
	union {
		struct {
			u32 count;				  /* 1.. */
			struct request_cpu entry[UPCALL_CPU_MAX]; /* no id twice */
		} cpu;
		struct request_mmio mmio;
		struct request_pci pci;
		struct {
			u64 base;
			u64 size; /* bytes, not 0; base + size does not wrap */
			s32 node; /* REQUEST_NO_NODE: none */
		} mem;
		struct {
			u32 at; /* UPCALL_VIOMMU_AT_* */
			struct request_mmio mmio;
			struct request_pci pci;
			u32 count; /* ADD: 1.. */
			struct request_range range[UPCALL_VIOMMU_RANGES];
		} viommu;
		u32 start; /* REQUEST_LIST, REQUEST_STATUS */
	};
};

/* The type with that number, or NULL. */
const struct request_type *request_find_type(u32 number);

/*
 * Checks a message and takes its meaning into *request, all of it but `number`.
 * Returns 0, or a negative errno with the report filled; request->type is then
 * NULL for a type that is not known.
 *
 * -EPROTO: a wrong magic  -EOPNOTSUPP: an unknown or a reserved type
 * -EINVAL: a size, a count, a flag or a field that cannot be
 */
int request_parse(const union message *message, struct request *request,
		  struct report *report);

/* What LIST calls the thing: struct upcall_list_entry's key. */
static inline u64 request_pci_key(const struct request_pci *pci)
{
	return (u64)pci->segment << 16 | pci->bus << 8 | pci->devfn;
}

#endif
