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
#define UPCALL_CPU_MAX	      256 /* apic_ids in one ADD_CPU */
#define UPCALL_CPU2_MAX	      80  /* entries in one DEL_CPU2 */

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
	/* Ours, announced in the CONNECT message (struct upcall_announce). */
	UPCALL_DEL_CPU2 = 0x101,
};

/* Offset 0 of every message. */
struct upcall_header {
	__le32 magic_version; /* UPCALL_MAGIC */
	__le32 msg_size;      /* payload bytes that count, at most UPCALL_PAYLOAD_MAX */
	__le32 msg_type;      /* enum upcall_type; a reply has its request's */
	__le32 msg_flags;     /* 0 */
};

/* Payload of ADD_CPU and DEL_CPU on x86. */
struct upcall_cpu {
	__u8 count;		       /* 1..UPCALL_CPU_MAX - 1, entries of apic_ids */
	__u8 apic_ver;		       /* not used: the kernel reads the APIC's own */
	__u8 apic_ids[UPCALL_CPU_MAX]; /* APIC ids, no x2APIC ids above 255 */
};

#define UPCALL_CPU2_EJECT 0x1 /* also give the vCPU back to QEMU */

struct upcall_cpu2_entry {
	__le32 apic_id;
	__le32 acpi_id;
	__le32 node; /* s32; -1: none */
};

/* Payload of DEL_CPU2; msg_size counts the header and `count` entries only. */
struct upcall_cpu2 {
	__le32 count; /* 1..UPCALL_CPU2_MAX */
	__le32 flags; /* UPCALL_CPU2_* */
	struct upcall_cpu2_entry cpu[UPCALL_CPU2_MAX];
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
#define UPCALL_FEATURE_CPU	0x4 /* this guest can carry out CPU requests */

/* UPCALL_EXT_OFFSET of a reply: why, for people and for programs. */
struct upcall_detail {
	__le32 magic;	    /* UPCALL_EXT_MAGIC */
	__le32 failed;	    /* index in the list of the entry that failed; ~0: none */
	__le32 rolled_back; /* entries that had been done and were taken back */
	__le32 stuck;	    /* entries that could not be taken back: still done */
	__le64 kernel_ns;   /* time the request spent in the kernel's hotplug calls */
	char reason[128];   /* one line, NUL-terminated; empty when ret is 0 */
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
UPCALL_ASSERT(offsetof(struct upcall_reply, ret) == 16);
UPCALL_ASSERT(offsetof(struct upcall_reply, apic_id_index) == 20);
UPCALL_ASSERT(sizeof(struct upcall_reply) == 24);
UPCALL_ASSERT(sizeof(struct upcall_reply) <= UPCALL_EXT_OFFSET);
UPCALL_ASSERT(sizeof(struct upcall_announce) == 112);
UPCALL_ASSERT(offsetof(struct upcall_detail, kernel_ns) == 16);
UPCALL_ASSERT(sizeof(struct upcall_detail) == 152);
UPCALL_ASSERT(UPCALL_EXT_OFFSET + sizeof(struct upcall_detail) <= UPCALL_MSG_SIZE);

#endif
