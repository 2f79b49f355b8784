/* SPDX-License-Identifier: Apache-2.0 */
#include "vhost_user_handlers.h"

#include <errno.h>
#include <string.h>

#include "log.h"

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
				log_warning("ring %u waits for its memory, which the "
					    "front-end took away: %s",
					    i, why.text);
		} else if (!was_there) {
			log_info("ring %u has its memory again", i);
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
