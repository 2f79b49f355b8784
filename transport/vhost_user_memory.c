/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user_handlers.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("close");

int vhost_user_set_mem_table(struct vhost_user *vu, struct vhost_user_message *msg,
			     struct error *err)
{
	struct vhost_user_mem_table table;
	int ret;

	memcpy(&table, msg->payload, msg->size);
	if (table.count > MEMORY_TABLE_MAX ||
	    msg->size != VHOST_USER_MEM_TABLE_HEADER +
				 table.count * sizeof(table.region[0]) ||
	    msg->fd_count != table.count)
		return error_set(err, -EINVAL,
				 "%u regions in %u bytes with %zu descriptors",
				 table.count, msg->size, msg->fd_count);
	ret = memory_map(&vu->memory, table.region, msg->fds, table.count, err);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		struct error why;

		if (!vu->ring[i].started)
			continue;
		if (vring_resolve(&vu->ring[i], &vu->memory, &why) == 0)
			continue;
		vhost_user_stop_ring(vu, i);
		ret = error_set(err, -EFAULT, "ring %u is outside: %.300s", i,
				why.text);
	}
	vu->ops->changed(vu->owner);
	return ret;
}

int vhost_user_get_max_mem_slots(struct vhost_user *vu, struct vhost_user_message *msg,
				 struct error *err)
{
	(void)vu;
	(void)err;
	vhost_user_put_u64(msg, MEMORY_REGIONS_MAX);
	return 0;
}

/*
 * A front-end that gives a region another size takes it away first. A ring in it
 * waits for its memory, and goes on where it was when that comes back.
 */
static void follow_rings(struct vhost_user *vu)
{
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		struct vring *ring = &vu->ring[i];
		bool was_there = vring_is_resolved(ring);
		struct error why;

		if (!ring->started)
			continue;
		if (vring_resolve(ring, &vu->memory, &why) < 0) {
			vring_suspend(ring);
			if (was_there)
				log_limited(LOG_LEVEL_WARNING,
					    "ring %u waits for its memory, which the "
					    "front-end took away: %s",
					    i, why.text);
		} else if (!was_there) {
			log_limited(LOG_LEVEL_INFO, "ring %u has its memory again", i);
		}
	}
	vu->ops->changed(vu->owner);
}

int vhost_user_add_mem_reg(struct vhost_user *vu, struct vhost_user_message *msg,
			   struct error *err)
{
	struct vhost_user_mem_reg reg;
	int ret;

	memcpy(&reg, msg->payload, sizeof(reg));
	if (msg->fd_count != 1)
		return error_set(err, -EPROTO, "%zu descriptors for one region",
				 msg->fd_count);
	ret = memory_add(&vu->memory, &reg.region, msg->fds[0], err);
	if (ret == 0)
		follow_rings(vu);
	return ret;
}

/* Some front-ends send a descriptor along, which is of no use. */
int vhost_user_rem_mem_reg(struct vhost_user *vu, struct vhost_user_message *msg,
			   struct error *err)
{
	struct vhost_user_mem_reg reg;
	int ret;

	memcpy(&reg, msg->payload, sizeof(reg));
	ret = memory_remove(&vu->memory, &reg.region, err);
	if (ret == 0)
		follow_rings(vu);
	return ret;
}

void vhost_user_follow_log(struct vhost_user *vu)
{
	bool on = (vu->features & VHOST_USER_F_LOG_ALL) && vu->log.bits;

	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++)
		vring_set_log(&vu->ring[i], on ? &vu->log : NULL);
}

int vhost_user_set_log_base(struct vhost_user *vu, struct vhost_user_message *msg,
			    struct error *err)
{
	struct vhost_user_log log;
	int ret;

	memcpy(&log, msg->payload, sizeof(log));
	if (!(vu->protocol_features & VHOST_USER_P_LOG_SHMFD) || msg->fd_count != 1)
		return error_set(err, -EPROTO,
				 "%zu descriptors for the log, which LOG_SHMFD must "
				 "have been negotiated for",
				 msg->fd_count);
	ret = dirty_log_map(&vu->log, msg->fds[0], log.size, log.offset, err);
	if (ret < 0)
		return ret;
	vhost_user_follow_log(vu);
	vhost_user_put_u64(msg, 0);
	return 0;
}

int vhost_user_set_log_fd(struct vhost_user *vu, struct vhost_user_message *msg,
			  struct error *err)
{
	int fd = -1;

	if (msg->fd_count)
		fd = vhost_user_take_event_fd(msg, "the log", err);
	if (msg->fd_count && fd < 0)
		return fd;
	if (vu->log.call_fd >= 0)
		close(vu->log.call_fd);
	vu->log.call_fd = fd;
	return 0;
}

void vhost_user_follow_inflight(struct vhost_user *vu)
{
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++)
		vu->ring[i].inflight = inflight_ring(&vu->inflight, i);
}

static int check_inflight(const struct vhost_user *vu, struct error *err)
{
	if (!(vu->protocol_features & VHOST_USER_P_INFLIGHT))
		return error_set(err, -EPROTO,
				 "INFLIGHT_SHMFD, which was not negotiated");
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++) {
		if (vu->ring[i].started)
			return error_set(err, -EBUSY, "ring %u is running", i);
	}
	return 0;
}

int vhost_user_get_inflight_fd(struct vhost_user *vu, struct vhost_user_message *msg,
			       struct error *err)
{
	struct vhost_user_inflight inflight = {.size = 0};
	int ret = check_inflight(vu, err);

	if (ret < 0)
		return ret;
	memcpy(&inflight, msg->payload, msg->size);
	if (inflight.rings > VHOST_USER_RINGS)
		return error_set(err, -EINVAL, "%u rings, there are %d", inflight.rings,
				 VHOST_USER_RINGS);
	ret = inflight_create(inflight.rings, inflight.num, &inflight.size, err);
	if (ret < 0)
		return ret;
	msg->reply_fd = ret;
	inflight.offset = 0;
	memcpy(msg->payload, &inflight, msg->size);
	return 0;
}

int vhost_user_set_inflight_fd(struct vhost_user *vu, struct vhost_user_message *msg,
			       struct error *err)
{
	struct vhost_user_inflight inflight = {.size = 0};
	int ret = check_inflight(vu, err);

	if (ret < 0)
		return ret;
	memcpy(&inflight, msg->payload, msg->size);
	if (msg->fd_count != 1 || inflight.rings > VHOST_USER_RINGS)
		return error_set(err, -EINVAL, "%u rings with %zu descriptors",
				 inflight.rings, msg->fd_count);
	ret = inflight_map(&vu->inflight, msg->fds[0], inflight.size, inflight.offset,
			   inflight.rings, inflight.num, err);
	vhost_user_follow_inflight(vu);
	return ret;
}
