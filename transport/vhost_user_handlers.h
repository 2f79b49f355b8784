/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each vhost-user request does, for vhost_user.c: those about rings are in
 * vhost_user_rings.c, those about memory in vhost_user_memory.c, the rest beside
 * the table.
 */
#ifndef TRANSPORT_VHOST_USER_HANDLERS_H
#define TRANSPORT_VHOST_USER_HANDLERS_H

#include "vhost_user.h"

typedef int vhost_user_handle(struct vhost_user *vu, struct vhost_user_message *msg,
			      struct error *err);

struct vhost_user_handler {
	const char *name;
	uint32_t min, max; /* payload bytes */
	uint8_t fds;	   /* at most */
	bool replies;	   /* always answers: msg, as the handler leaves it */
	/* Takes a descriptor by leaving -1 in its place. Negative errno. */
	vhost_user_handle *handle;
};

/* NULL for a request that is not known. */
const struct vhost_user_handler *vhost_user_handler(uint32_t request);

const char *vhost_user_name(uint32_t request);

/* Payloads, in the machine's own byte order. */
struct vhost_user_ring_state {
	uint32_t index, num;
};

struct vhost_user_ring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

enum {
	VRING_F_LOG = 1, /* flags of a ring's addresses: VHOST_VRING_F_LOG */
	VHOST_USER_MEM_TABLE_HEADER = 8,
};

struct vhost_user_mem_table {
	uint32_t count, padding;
	struct memory_layout region[MEMORY_TABLE_MAX];
};

struct vhost_user_log {
	uint64_t size, offset;
};

struct vhost_user_mem_reg {
	uint64_t padding;
	struct memory_layout region;
};

struct vhost_user_inflight {
	uint64_t size, offset;
	uint16_t rings, num;
	uint32_t padding; /* which not everybody sends */
};

enum {
	VHOST_USER_INFLIGHT_MIN = 20
};

uint64_t vhost_user_get_u64(const struct vhost_user_message *msg);
void vhost_user_put_u64(struct vhost_user_message *msg, uint64_t value);

/* NULL where there is no ring of that number. */
struct vring *vhost_user_find_ring(struct vhost_user *vu, uint32_t index,
				   struct error *err);
/*
 * The message's descriptor, for events that this process is told of or tells. Nobody
 * may block it through that, whatever it is. Negative errno.
 */
int vhost_user_take_event_fd(struct vhost_user_message *msg, const char *what,
			     struct error *err);

/* The owner is still to be told that something changed. */
void vhost_user_stop_ring(struct vhost_user *vu, unsigned int index);

vhost_user_handle vhost_user_reset_device, vhost_user_set_vring_num,
	vhost_user_set_vring_addr, vhost_user_set_vring_base, vhost_user_get_vring_base,
	vhost_user_set_vring_kick, vhost_user_set_vring_call, vhost_user_set_vring_err,
	vhost_user_set_vring_enable;

vhost_user_handle vhost_user_set_mem_table, vhost_user_get_max_mem_slots,
	vhost_user_add_mem_reg, vhost_user_rem_mem_reg, vhost_user_set_log_base,
	vhost_user_set_log_fd, vhost_user_get_inflight_fd, vhost_user_set_inflight_fd;

/* To be called when the features, or the log, have changed. */
void vhost_user_follow_log(struct vhost_user *vu);
/* The same for what is in flight. */
void vhost_user_follow_inflight(struct vhost_user *vu);

#endif
