/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's part in outliving its process.
 */
#include "device.h"

#include <errno.h>

#include "event.h"
#include "log.h"

/*
 * Where the event ring is ours, all connections are reset at one stroke, before there
 * are new ones. What the guest is told of each of them does no harm then, and is all
 * there is where the ring is not ours.
 */
static void reset_transport(struct device *dev)
{
	struct vring *ring = &dev->front.ring[DEVICE_EVENT];
	struct error err;

	if (roll_has_lost(&dev->roll) &&
	    vhost_user_ring_runs(&dev->front, DEVICE_EVENT) &&
	    event_put(ring, &dev->front.memory, EVENT_TRANSPORT_RESET, &err) < 0)
		log_warning("the guest's event ring: %s", err.text);
}

static void resume(struct device *dev, int fd)
{
	struct error err;

	dev->resuming = true;
	if (vhost_user_resume(&dev->front, fd, &err) < 0) {
		log_error("the front-end of the process before this one cannot be "
			  "served on: %s; its connection is ended",
			  err.text);
		device_detach(dev);
	} else if (!dev->running) {
		dev->suspended = true;
		dev->rx_at = vring_position(&dev->front.ring[DEVICE_RX]);
		dev->tx_at = vring_position(&dev->front.ring[DEVICE_TX]);
	}
	dev->resuming = false;
	if (!device_is_attached(dev))
		return;
	dev->front_pending = true;
	reset_transport(dev);
	log_info("in the place of an earlier process: the front-end is served on, %zu "
		 "connections of the guest are reset",
		 dev->roll.lost_count);
}

int device_keep(struct device *dev, struct state *state)
{
	int fd;

	if (!roll_init(&dev->roll, state))
		return -ENOMEM;
	conn_table_keep(&dev->conns, &dev->roll);
	keeper_init(&dev->keeper, state);
	dev->front.keeper = &dev->keeper;
	for (unsigned int i = 0; i < VHOST_USER_RINGS; i++)
		dev->front.ring[i].record = state_vring_record(state, i);
	fd = keeper_take_front(&dev->keeper);
	if (fd >= 0 && device_watch_front(dev, fd) == 0)
		resume(dev, fd);
	else
		roll_forget_lost(&dev->roll);
	return 0;
}

void device_leave(struct device *dev)
{
	dev->front.keeper = NULL;
	dev->conns.roll = NULL;
	dev->roll.state = NULL;
}

void device_reset_lost(struct device *dev)
{
	struct roll_name name;

	while (dev->strays < DEVICE_STRAYS_MAX && roll_next_lost(&dev->roll, &name)) {
		dev->conns.common.stats.resets[RESET_RESTART]++;
		dev->stray[(dev->first_stray + dev->strays++) % DEVICE_STRAYS_MAX] =
			(struct packet){
				.src_cid = name.peer_cid,
				.dst_cid = dev->rules.guest_cid,
				.src_port = name.host_port,
				.dst_port = name.guest_port,
				.type = name.type,
				.op = PACKET_RST,
			};
	}
}
