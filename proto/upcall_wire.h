/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The upcall protocol as bytes, for the kernel module and for user space. The
 * layout is that of Kata Containers' Dragonball (dbs_upcall, dev_mgr_service.rs)
 * and of its guest kernel; docs/protocol.md describes it with offsets. All
 * integers are little-endian.
 *
 * One byte names the service, the server answers with a CONNECT message, and
 * from then on requests and replies of exactly UPCALL_MSG_SIZE bytes take turns.
 * What is ours stands behind UPCALL_EXT_OFFSET of a server's message, where a
 * Dragonball client does not look, and in message types from 0x100 up.
 */
#ifndef UPCALL_WIRE_H
#define UPCALL_WIRE_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <assert.h>
#include <linux/types.h>
#include <stddef.h>
#endif

#define UPCALL_PORT	      219 /* 0xDB, AF_VSOCK SOCK_STREAM */
#define UPCALL_SERVICE_DEVMGR 'd'
#define UPCALL_MAGIC	      0x444D0100u
#define UPCALL_MSG_SIZE	      0x400
#define UPCALL_PAYLOAD_MAX    (UPCALL_MSG_SIZE - 16)

enum upcall_type {
	UPCALL_CONNECT = 0, /* sent by the server only */
	UPCALL_ADD_CPU = 1,
	UPCALL_DEL_CPU = 2,
	UPCALL_ADD_MEM = 3, /* 3 and 4 are reserved: no layout exists */
	UPCALL_DEL_MEM = 4,
	UPCALL_ADD_MMIO = 5,
	UPCALL_DEL_MMIO = 6,
	UPCALL_ADD_PCI = 7,
	UPCALL_DEL_PCI = 8,
	/* Ours. Those of a class are announced in the CONNECT message. */
	UPCALL_ADD_CPU2 = 0x100,
	UPCALL_DEL_CPU2 = 0x101,
	UPCALL_ADD_MEM2 = 0x102,
	UPCALL_DEL_MEM2 = 0x103,
	UPCALL_ADD_VIOMMU = 0x104,
	UPCALL_DEL_VIOMMU = 0x105,
	UPCALL_ADD_PCI2 = 0x106,
	UPCALL_DEL_PCI2 = 0x107,
	UPCALL_LIST = 0x110,
	UPCALL_STATUS = 0x111,
};

/* What can be plugged, and what an entry of LIST is about. */
enum upcall_class {
	UPCALL_CLASS_CPU = 1,
	UPCALL_CLASS_MMIO = 2,
	UPCALL_CLASS_PCI = 3,
	UPCALL_CLASS_MEM = 4,
	UPCALL_CLASS_VIOMMU = 5,
	/* In LIST only: an endpoint range of the virtio-iommu entry before it. */
	UPCALL_CLASS_VIOMMU_RANGE = 6,
};

/* Offset 0 of every message. */
struct upcall_header {
	__le32 magic_version; /* UPCALL_MAGIC */
	__le32 msg_size;      /* payload bytes that count, at most UPCALL_PAYLOAD_MAX */
	__le32 msg_type;      /* enum upcall_type; a reply has its request's */
	__le32 msg_flags;     /* 0 */
};

#define UPCALL_CPU_MAX	     256 /* apic_ids in one ADD_CPU */
#define UPCALL_CPU2_MAX	     80	 /* entries in one ADD_CPU2 or DEL_CPU2 */
#define UPCALL_VIOMMU_RANGES 24	 /* ranges in one ADD_VIOMMU */

/* Payload of ADD_CPU and DEL_CPU on x86. */
struct upcall_cpu {
	__u8 count;		       /* 1..UPCALL_CPU_MAX - 1, entries of apic_ids */
	__u8 apic_ver;		       /* not used: the kernel reads the APIC's own */
	__u8 apic_ids[UPCALL_CPU_MAX]; /* APIC ids, no x2APIC ids above 255 */
};

/*
 * Flag of DEL_CPU2, DEL_PCI2 and DEL_MEM2: also give it back to QEMU, which frees it
 * in a guest without ACPI only when its hotplug registers are written.
 */
#define UPCALL_EJECT 0x1

struct upcall_cpu2_entry {
	__le32 apic_id;
	__le32 acpi_id; /* ~0: none */
	__le32 node;	/* s32; -1: none */
};

/* Payload of ADD_CPU2 and DEL_CPU2; msg_size counts `count` entries only. */
struct upcall_cpu2 {
	__le32 count; /* 1..UPCALL_CPU2_MAX */
	__le32 flags; /* UPCALL_EJECT, DEL_CPU2 only */
	struct upcall_cpu2_entry cpu[UPCALL_CPU2_MAX];
};

/* Payload of ADD_MMIO and DEL_MMIO: a virtio-mmio device. */
struct upcall_mmio {
	__le64 base; /* guest physical address */
	__le64 size; /* bytes */
	__le32 irq;  /* GSI */
	__le32 pad;  /* the end of Dragonball's struct: anything */
};

/* Payload of ADD_PCI and DEL_PCI: a device in PCI segment 0. */
struct upcall_pci {
	__u8 bus;
	__u8 devfn; /* device << 3 | function */
};

/* Payload of ADD_PCI2 and DEL_PCI2. */
struct upcall_pci2 {
	__le32 segment; /* 0..0xffff */
	__u8 bus;
	__u8 devfn;
	__le16 flags; /* UPCALL_EJECT, DEL_PCI2 only */
};

/* Payload of ADD_MEM2 and DEL_MEM2. */
struct upcall_mem2 {
	__le64 base;  /* guest physical address */
	__le64 size;  /* bytes; both are multiples of the guest's memory block */
	__le32 node;  /* s32; -1: none */
	__le32 flags; /* UPCALL_EJECT, DEL_MEM2 only */
};

#define UPCALL_VIOMMU_AT_MMIO 0
#define UPCALL_VIOMMU_AT_PCI  1
#define UPCALL_RANGE_PCI      0
#define UPCALL_RANGE_MMIO     1

/* Endpoints behind a virtio-iommu, and what it calls them. */
struct upcall_viommu_range {
	__le32 kind;	 /* UPCALL_RANGE_* */
	__le32 endpoint; /* PCI: the id of `first`, the next function's is one more */
	__le32 segment;	 /* PCI segment; MMIO: 0 */
	__le16 first;	 /* PCI: bus << 8 | devfn; MMIO: 0 */
	__le16 last;	 /* PCI: not below first; MMIO: 0 */
	__le64 base;	 /* MMIO: the device's window begins here; PCI: 0 */
};

/*
 * Payload of ADD_VIOMMU and DEL_VIOMMU. msg_size counts `count` ranges only;
 * DEL_VIOMMU has none.
 */
struct upcall_viommu {
	__le32 at;	/* UPCALL_VIOMMU_AT_* */
	__le32 count;	/* of ranges: 1..UPCALL_VIOMMU_RANGES, DEL_VIOMMU: 0 */
	__le64 base;	/* AT_MMIO: as in struct upcall_mmio; AT_PCI: 0 */
	__le64 size;	/* AT_MMIO; AT_PCI: 0 */
	__le32 irq;	/* AT_MMIO; AT_PCI: 0 */
	__le16 segment; /* AT_PCI; AT_MMIO: 0 */
	__u8 bus;
	__u8 devfn;
	struct upcall_viommu_range range[UPCALL_VIOMMU_RANGES];
};

/* Payload of LIST and STATUS: longer answers come in parts. */
struct upcall_query {
	__le32 start; /* index of the first entry wanted */
	__le32 flags; /* 0 */
};

/* Offset 0 of every reply. */
struct upcall_reply {
	struct upcall_header header;
	__le32 ret; /* s32: 0 or a negative errno */
	/*
	 * CPU requests only, where msg_size is 4: how many CPUs of the list are
	 * done. The whole list, or 0: a batch that fails is taken back.
	 */
	__le32 apic_id_index;
};

#define UPCALL_EXT_OFFSET 0x40
#define UPCALL_EXT_MAGIC  0x58434D56u /* "VMCX" as bytes */

/* UPCALL_EXT_OFFSET of a CONNECT message. */
struct upcall_announce {
	__le32 magic;	 /* UPCALL_EXT_MAGIC, or the server has no extensions */
	__le32 version;	 /* 1 */
	__le32 features; /* UPCALL_FEATURE_* */
	__le32 reserved; /* 0 */
	char module[32]; /* module version, NUL-padded */
	char kernel[64]; /* kernel release, NUL-padded, cut to fit */
};

#define UPCALL_FEATURE_DETAIL	0x1 /* replies carry struct upcall_detail */
#define UPCALL_FEATURE_DEL_CPU2 0x2
/* This guest, as it is, can carry out the requests of a class. */
#define UPCALL_FEATURE_CPU	0x4
#define UPCALL_FEATURE_ADD_CPU2 0x8
#define UPCALL_FEATURE_MMIO	0x10
#define UPCALL_FEATURE_PCI	0x20
#define UPCALL_FEATURE_MEM	0x40
#define UPCALL_FEATURE_VIOMMU	0x80
#define UPCALL_FEATURE_QUERY	0x100 /* LIST and STATUS */
/* There are registers of QEMU's behind UPCALL_EJECT. */
#define UPCALL_FEATURE_EJECT_CPU 0x200
#define UPCALL_FEATURE_EJECT_PCI 0x400
#define UPCALL_FEATURE_EJECT_MEM 0x800

/* UPCALL_EXT_OFFSET of a reply: why, for people and for programs. */
struct upcall_detail {
	__le32 magic;	    /* UPCALL_EXT_MAGIC */
	__le32 failed;	    /* index in the list of the entry that failed; ~0: none */
	__le32 rolled_back; /* entries that had been done and were taken back */
	__le32 stuck;	    /* entries that could not be taken back: still done */
	__le64 kernel_ns;   /* time the request spent in the kernel's hotplug calls */
	char reason[128];   /* one line, NUL-terminated; empty when ret is 0 */
	__le64 request;	    /* the request's number, as events and LIST have it */
	__le64 total_ns;    /* time from the request's begin to its reply */
};

/* UPCALL_DATA_OFFSET of a reply to LIST or STATUS, behind the detail. */
#define UPCALL_DATA_OFFSET 0x100
#define UPCALL_DATA_SIZE   (UPCALL_MSG_SIZE - UPCALL_DATA_OFFSET)
#define UPCALL_LIST_MAX	   11 /* entries in one reply */
#define UPCALL_STATUS_MAX  13

/* One thing that is plugged, with the parameters that it was plugged with. */
struct upcall_list_entry {
	__le32 class_number; /* enum upcall_class */
	__le32 type;	     /* of the request that plugged it; 0: the module's load */
	__le64 request;	     /* its number */
	__le64 boot_ns;	     /* CLOCK_BOOTTIME of the guest when it was plugged */
	/*
	 * Its name within the class. CPU: the APIC id. MMIO and MEM: the address. PCI:
	 * segment << 16 | bus << 8 | devfn. VIOMMU and VIOMMU_RANGE: as MMIO, or
	 * with VIOMMU_AT_PCI as PCI.
	 */
	__le64 key;
	union {
		struct {
			__le32 acpi_id; /* ~0: none was given */
			__le32 node;	/* s32 */
			__le32 cpu;	/* the kernel's number of it */
		} cpu;
		struct {
			__le64 size;
			__le32 irq;
			__le32 id; /* virtio-mmio.<id> */
		} mmio;
		struct {
			__le16 vendor;
			__le16 device;
			__le32 class_code; /* the PCI class: base, sub, interface */
			/* QEMU's number of the bus, plus 1; 0: not known */
			__le32 hotplug_bus;
		} pci;
		struct {
			__le64 size;
			__le32 node;	  /* s32 */
			__le32 block_mib; /* the guest's memory block, in MiB */
		} mem;
		struct {
			__le64 size;
			__le32 irq;
			__le32 id;     /* virtio-mmio.<id> */
			__le32 at;     /* UPCALL_VIOMMU_AT_* */
			__le32 ranges; /* entries VIOMMU_RANGE that follow */
		} viommu;
		struct upcall_viommu_range range;
		__u8 bytes[32];
	};
};

/* UPCALL_DATA_OFFSET of a reply to LIST. */
struct upcall_list {
	__le32 total;	   /* entries there are */
	__le32 count;	   /* entries here, from the request's start on */
	__le64 generation; /* changes with the list: begin again if it does */
	struct upcall_list_entry entry[UPCALL_LIST_MAX];
};

/* One request type: what it may be sent as, and what became of those sent. */
struct upcall_status_type {
	__le32 type;
	__le32 flags;	 /* UPCALL_STATUS_*  */
	__le64 requests; /* since the module was loaded */
	__le64 errors;	 /* of them */
	__le64 total_ns; /* spent on all of them */
	__le64 max_ns;	 /* on the longest */
	char name[16];	 /* "ADD_CPU", NUL-padded */
};

#define UPCALL_STATUS_AVAILABLE 0x1 /* this guest can carry it out */

/* UPCALL_DATA_OFFSET of a reply to STATUS. The CONNECT message has the versions. */
struct upcall_status {
	__le32 total;	    /* types there are */
	__le32 count;	    /* types here, from the request's start on */
	__le64 uptime_ns;   /* since the module was loaded */
	__le32 connections; /* open now */
	__le32 connections_max;
	__le32 plugged;	 /* entries of LIST */
	__le32 reserved; /* 0 */
	struct upcall_status_type type[UPCALL_STATUS_MAX];
};

#ifdef __KERNEL__
#define UPCALL_ASSERT(cond) static_assert(cond)
#else
#define UPCALL_ASSERT(cond) _Static_assert(cond, #cond)
#endif

UPCALL_ASSERT(sizeof(struct upcall_header) == 16);
UPCALL_ASSERT(offsetof(struct upcall_header, msg_type) == 8);
UPCALL_ASSERT(sizeof(struct upcall_cpu) == 258);
UPCALL_ASSERT(offsetof(struct upcall_cpu, apic_ids) == 2);
UPCALL_ASSERT(sizeof(struct upcall_cpu2_entry) == 12);
UPCALL_ASSERT(sizeof(struct upcall_cpu2) == 8 + 12 * UPCALL_CPU2_MAX);
UPCALL_ASSERT(sizeof(struct upcall_cpu2) <= UPCALL_PAYLOAD_MAX);
UPCALL_ASSERT(sizeof(struct upcall_mmio) == 24);
UPCALL_ASSERT(sizeof(struct upcall_pci) == 2);
UPCALL_ASSERT(sizeof(struct upcall_pci2) == 8);
UPCALL_ASSERT(sizeof(struct upcall_mem2) == 24);
UPCALL_ASSERT(sizeof(struct upcall_viommu_range) == 24);
UPCALL_ASSERT(offsetof(struct upcall_viommu, range) == 32);
UPCALL_ASSERT(sizeof(struct upcall_viommu) <= UPCALL_PAYLOAD_MAX);
UPCALL_ASSERT(sizeof(struct upcall_query) == 8);
UPCALL_ASSERT(offsetof(struct upcall_reply, ret) == 16);
UPCALL_ASSERT(offsetof(struct upcall_reply, apic_id_index) == 20);
UPCALL_ASSERT(sizeof(struct upcall_reply) == 24);
UPCALL_ASSERT(sizeof(struct upcall_reply) <= UPCALL_EXT_OFFSET);
UPCALL_ASSERT(sizeof(struct upcall_announce) == 112);
UPCALL_ASSERT(offsetof(struct upcall_detail, kernel_ns) == 16);
UPCALL_ASSERT(offsetof(struct upcall_detail, request) == 152);
UPCALL_ASSERT(sizeof(struct upcall_detail) == 168);
UPCALL_ASSERT(UPCALL_EXT_OFFSET + sizeof(struct upcall_detail) <= UPCALL_DATA_OFFSET);
UPCALL_ASSERT(sizeof(struct upcall_list_entry) == 64);
UPCALL_ASSERT(offsetof(struct upcall_list, entry) == 16);
UPCALL_ASSERT(sizeof(struct upcall_list) <= UPCALL_DATA_SIZE);
UPCALL_ASSERT(sizeof(struct upcall_status_type) == 56);
UPCALL_ASSERT(offsetof(struct upcall_status, type) == 32);
UPCALL_ASSERT(sizeof(struct upcall_status) <= UPCALL_DATA_SIZE);

#endif
