/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The module's generic netlink family: what was plugged and unplugged, as events
 * and as a list. In the initial network namespace only. docs/protocol.md has it
 * in words.
 */
#ifndef UPCALL_NETLINK_H
#define UPCALL_NETLINK_H

#define UPCALL_GENL_NAME    "upcall"
#define UPCALL_GENL_VERSION 1
#define UPCALL_GENL_EVENTS  "events" /* the multicast group */

enum upcall_genl_command {
	UPCALL_GENL_CMD_UNSPEC,
	UPCALL_GENL_CMD_LIST,  /* dump; CAP_NET_ADMIN. One message a thing, _THING */
	UPCALL_GENL_CMD_EVENT, /* to the group: a request to plug or unplug has ended */
};

enum upcall_genl_attr {
	UPCALL_GENL_ATTR_UNSPEC,
	UPCALL_GENL_ATTR_PAD,
	/* EVENT */
	UPCALL_GENL_ATTR_REQUEST,   /* u64: the request's number */
	UPCALL_GENL_ATTR_TYPE,	    /* u32: enum upcall_type */
	UPCALL_GENL_ATTR_TYPE_NAME, /* string: "ADD_CPU" */
	UPCALL_GENL_ATTR_RET,	    /* s32: 0 or a negative errno */
	UPCALL_GENL_ATTR_REASON,    /* string: why it failed; only if it did */
	UPCALL_GENL_ATTR_KERNEL_NS, /* u64: time in the kernel's hotplug calls */
	UPCALL_GENL_ATTR_TOTAL_NS,  /* u64: time of the whole request */
	UPCALL_GENL_ATTR_PLUGGED,   /* nest of THINGs, if there are any */
	UPCALL_GENL_ATTR_UNPLUGGED, /* nest of THINGs, if there are any */
	UPCALL_GENL_ATTR_CUT,	    /* flag: there were more things than fit */
	/* EVENT, LIST */
	UPCALL_GENL_ATTR_THING, /* binary: struct upcall_list_entry, one or more: the
				   thing's, then those that belong to it */
	__UPCALL_GENL_ATTR_MAX,
};
#define UPCALL_GENL_ATTR_MAX (__UPCALL_GENL_ATTR_MAX - 1)

#endif
