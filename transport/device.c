/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "from_guest.h"
#include "incoming.h"
#include "log.h"
#include "outgoing.h"
#include "sandbox_calls.h"
#include "to_guest.h"

SANDBOX_CALLS("close");

/* Of virtio-vsock: SOCK_STREAM. */
#define F_STREAM (1ULL << 0)
/* SOCK_SEQPACKET. */
#define F_SEQPACKET (1ULL << 1)

/* That the former need not be there. */
#define F_NO_IMPLIED_STREAM (1ULL << 2)

#define DEVICE_FEATURES                                                         \
	(F_STREAM | F_SEQPACKET | F_NO_IMPLIED_STREAM | VRING_F_INDIRECT_DESC | \
	 VRING_F_EVENT_IDX | VRING_F_PACKED | VHOST_USER_F_VERSION_1)

enum {
	RATE_BURST = 10, /* so much of a second's bytes may go at once */
};

static int watch_kick(void *owner, unsigned int index, int kick_fd)
{
	struct device *dev = owner;

	/* Each kick is an edge, since eventfd wakes at every write: nothing is read. */
	return loop_add(dev->loop, kick_fd, EPOLLIN | EPOLLET, LOOP_KICK, index);
}

static void unwatch_kick(void *owner, unsigned int index, int kick_fd)
{
	struct device *dev = owner;

	(void)index;
	loop_remove(dev->loop, kick_fd);
}

/* Every host program sees its connection close. */
static void drop_conns(struct device *dev, const char *why)
{
	size_t at = 0, count = conn_table_count(&dev->conns);
	struct conn *conn;

	if (count)
		log_limited(LOG_LEVEL_INFO, "%s: %zu connections are closed", why,
			    count);
	while ((conn = conn_table_next(&dev->conns, &at))) {
		conn_drop(conn);
		device_settle(dev, conn);
	}
	dev->strays = 0;
	roll_forget_lost(&dev->roll);
}

/* The socket types that the driver knows. Streams go without saying, or need it. */
static void set_types(struct device *dev)
{
	uint64_t features = dev->front.features;

	dev->rules.no_seqpacket = !(features & F_SEQPACKET);
	dev->rules.no_stream =
		(features & F_NO_IMPLIED_STREAM) && !(features & F_STREAM);
}

static void start(struct device *dev)
{
	struct vring *rx = &dev->front.ring[DEVICE_RX],
		     *tx = &dev->front.ring[DEVICE_TX];

	/*
	 * A machine that was only paused goes on at the very place where it
	 * stopped; after a reboot both rings begin at 0.
	 */
	if (!dev->resuming && (!dev->suspended || vring_position(rx) != dev->rx_at ||
			       vring_position(tx) != dev->tx_at))
		drop_conns(dev, "the guest has started anew");
	set_types(dev);
	dev->suspended = false;
	dev->broken = false;
	dev->running = true;
	dev->told_down = false;
	dev->tx_pending = true;
	dev->tx_blocked = false;
	dev->rx_starved = dev->rx_armed = false;
	vring_quiet(rx);
	log_limited(LOG_LEVEL_INFO, "the guest's driver is up");
}

static void stop(struct device *dev)
{
	dev->running = false;
	dev->suspended = true;
	dev->rx_at = vring_position(&dev->front.ring[DEVICE_RX]);
	dev->tx_at = vring_position(&dev->front.ring[DEVICE_TX]);
	log_limited(LOG_LEVEL_INFO, "the guest's rings are stopped");
}

static void rings_changed(void *owner)
{
	struct device *dev = owner;
	bool runs = vhost_user_ring_runs(&dev->front, DEVICE_RX) &&
		    vhost_user_ring_runs(&dev->front, DEVICE_TX);

	if (runs && !dev->running)
		start(dev);
	else if (!runs && dev->running)
		stop(dev);
}

static void machine_reset(void *owner)
{
	struct device *dev = owner;

	dev->suspended = false;
	drop_conns(dev, "the guest was reset");
}

static const struct vhost_user_ops front_ops = {
	.watch = watch_kick,
	.unwatch = unwatch_kick,
	.changed = rings_changed,
	.reset = machine_reset,
};

int device_init(struct device *dev, const struct routes *routes, gid_t privileged_group,
		const struct limits *limits, struct loop *loop)
{
	uint64_t config = htole64(routes->guest_cid);

	dev->rules.guest_cid = routes->guest_cid;
	dev->rules.siblings = routes->peers != NULL;
	dev->routes = routes;
	dev->privileged_group = privileged_group;
	dev->loop = loop;
	memcpy(dev->config, &config, sizeof(config));
	TAILQ_INIT(&dev->control);
	TAILQ_INIT(&dev->ready);
	vhost_user_init(&dev->front, DEVICE_FEATURES, dev->config, sizeof(dev->config),
			&front_ops, dev);
	device_tick(dev);
	bucket_init(&dev->connects, limits->connect_rate, limits->connect_rate,
		    dev->now);
	bucket_init(&dev->sibling_connects, limits->connect_rate, limits->connect_rate,
		    dev->now);
	for (int ring = DEVICE_RX; ring <= DEVICE_TX; ring++)
		bucket_init(&dev->tokens[ring], limits->rate, limits->rate / RATE_BURST,
			    dev->now);
	/* Memory that is touched when a message needs it. */
	dev->bounce = malloc(MESSAGES_LONGEST);
	if (!dev->bounce)
		return -ENOMEM;
	if (conn_table_init(&dev->conns, limits) < 0)
		return -ENOMEM;
	dev->conns.common.guest_cid = routes->guest_cid;
	return 0;
}

void device_detach(struct device *dev)
{
	loop_remove(dev->loop, dev->front.fd);
	vhost_user_detach(&dev->front);
	dev->front_pending = false;
	dev->suspended = false;
	drop_conns(dev, "the virtual machine is gone");
}

void device_free(struct device *dev)
{
	if (device_is_attached(dev))
		device_detach(dev);
	drop_conns(dev, "this program ends");
	conn_table_free(&dev->conns);
	timers_free(&dev->timers);
	free(dev->bounce);
	roll_free(&dev->roll);
	keeper_free(&dev->keeper);
}

int device_watch_front(struct device *dev, int fd)
{
	int ret =
		loop_add(dev->loop, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, LOOP_FRONT, 0);

	if (ret < 0)
		close(fd);
	return ret;
}

int device_attach(struct device *dev, int fd)
{
	int ret = device_watch_front(dev, fd);

	if (ret < 0)
		return ret;
	vhost_user_attach(&dev->front, fd);
	log_limited(LOG_LEVEL_INFO, "a front-end has connected");
	return 0;
}

bool device_is_attached(const struct device *dev)
{
	return dev->front.fd >= 0;
}

void device_on_front(struct device *dev, uint32_t events)
{
	struct error err;
	int ret;

	(void)events;
	if (!device_is_attached(dev))
		return;
	ret = vhost_user_read(&dev->front, &err);
	dev->front_pending = ret > 0;
	if (ret >= 0)
		return;
	if (ret == -ECONNRESET)
		log_limited(LOG_LEVEL_INFO, "%s", err.text);
	else
		log_limited(LOG_LEVEL_ERROR, "%s; the front-end's connection is ended",
			    err.text);
	device_detach(dev);
}

void device_on_kick(struct device *dev, uint32_t index, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		log_limited(LOG_LEVEL_ERROR,
			    "the kick descriptor of ring %u is no use: it is no "
			    "eventfd; the front-end's connection is ended",
			    index);
		device_detach(dev);
		return;
	}
	if (index == DEVICE_TX)
		dev->tx_pending = true;
	else if (index == DEVICE_RX)
		dev->rx_armed = false;
}

void device_break(struct device *dev, enum device_ring ring, const struct error *why)
{
	log_limited(LOG_LEVEL_ERROR,
		    "the guest broke its %s ring: %s; its device is stopped until its "
		    "driver starts again",
		    ring == DEVICE_RX ? "receive" : "transmit", why->text);
	vring_signal_error(&dev->front.ring[ring]);
	dev->broken = true;
	drop_conns(dev, "the guest broke a ring");
}

static void unlink_conn(struct device *dev, struct conn *conn)
{
	if (conn->in_control)
		TAILQ_REMOVE(&dev->control, conn, control);
	if (conn->in_ready)
		TAILQ_REMOVE(&dev->ready, conn, ready);
	timers_remove(&dev->timers, conn);
}

/* A guest that stays silent with no room left is asked now and then. */
static void settle_stall(struct device *dev, struct conn *conn)
{
	if (!conn_is_blocked(conn)) {
		conn->stalled = false;
		return;
	}
	if (!conn->stalled) {
		conn->stalled = true;
		conn->stats.credit_stalls++;
		conn->common->stats.credit_stalls++;
	}
	if (conn->deadline)
		return;
	if (conn->ask_wait < CONN_ASK_MIN)
		conn->ask_wait = CONN_ASK_MIN;
	conn->deadline = dev->now + conn->ask_wait;
	if (conn->ask_wait < CONN_ASK_MAX / 2)
		conn->ask_wait *= 2;
	else
		conn->ask_wait = CONN_ASK_MAX;
}

/* Room in the socket is of interest only to who waits for it. */
static uint32_t socket_events(const struct conn *conn)
{
	return EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET |
	       (conn->out_watched ? EPOLLOUT : 0);
}

static void settle_watch(struct device *dev, struct conn *conn)
{
	if (conn->fd < 0 || conn->out_watched == conn_wants_room(conn))
		return;
	conn->out_watched = !conn->out_watched;
	if (loop_change(dev->loop, conn->fd, socket_events(conn), LOOP_CONN, conn->id) <
	    0)
		conn_reset(conn, RESET_NO_MEMORY, "its socket cannot be watched");
}

void device_settle(struct device *dev, struct conn *conn)
{
	bool can_send;

	settle_watch(dev, conn);
	if (conn->state == CONN_DEAD) {
		dev->siblings -= conn->origin == ORIGIN_PEER;
		unlink_conn(dev, conn);
		conn_table_remove(&dev->conns, conn);
		return;
	}
	/* Known by its ports from the REQUEST on until the guest is done with it. */
	if (conn->state == CONN_LINGER)
		conn_table_unbind(&dev->conns, conn);
	else if (conn->state != CONN_LINE)
		conn_table_bind(&dev->conns, conn);

	if (conn->want && !conn->in_control)
		TAILQ_INSERT_TAIL(&dev->control, conn, control);
	else if (!conn->want && conn->in_control)
		TAILQ_REMOVE(&dev->control, conn, control);
	conn->in_control = conn->want != 0;

	can_send = conn_can_send(conn);
	if (can_send && !conn->in_ready)
		TAILQ_INSERT_TAIL(&dev->ready, conn, ready);
	else if (!can_send && conn->in_ready)
		TAILQ_REMOVE(&dev->ready, conn, ready);
	conn->in_ready = can_send;

	settle_stall(dev, conn);
	timers_settle(&dev->timers, conn);
}

struct conn *device_new_conn(struct device *dev, uint16_t type, enum conn_origin origin)
{
	bool peer = origin == ORIGIN_PEER;
	uint32_t siblings_max = dev->conns.max - dev->conns.max / 2;
	size_t count = conn_table_count(&dev->conns);
	bool crowded = peer && dev->siblings >= siblings_max;
	struct conn *conn = NULL;

	/* Whatever is in the table must find room among the timers. */
	if (!crowded && timers_reserve(&dev->timers, count + 1) == 0)
		conn = conn_table_add(&dev->conns);
	if (conn && peer)
		conn->backlog.pool = &dev->conns.common.sibling_buffers;
	if (conn && type == PACKET_SEQPACKET) {
		conn->messages = messages_new(conn->backlog.pool);
		if (!conn->messages) {
			conn_table_remove(&dev->conns, conn);
			conn = NULL;
		}
	}
	if (conn) {
		conn->type = type;
		conn->began = dev->now;
		dev->siblings += peer;
	} else if (crowded) {
		dev->conns.common.stats.resets[RESET_MAX_CONNECTIONS]++;
		log_limited(LOG_LEVEL_WARNING,
			    "siblings have %u connections, which is their half of "
			    "--max-connections; one more is refused",
			    siblings_max);
	} else if (count >= dev->conns.max) {
		dev->conns.common.stats.resets[RESET_MAX_CONNECTIONS]++;
		log_limited(LOG_LEVEL_WARNING,
			    "%zu connections are all there can be; one more is "
			    "refused; --max-connections allows more",
			    count);
	} else {
		dev->conns.common.stats.resets[RESET_NO_MEMORY]++;
		log_limited(LOG_LEVEL_WARNING,
			    "out of memory: a connection is refused");
	}
	if (!conn)
		dev->conns.common.stats.refused++;
	return conn;
}

struct bucket *device_connects(struct device *dev, enum conn_origin origin)
{
	return origin == ORIGIN_PEER ? &dev->sibling_connects : &dev->connects;
}

bool device_watch(struct device *dev, struct conn *conn)
{
	int ret;

	if (conn->messages)
		messages_prepare(&conn->backlog, conn->fd, conn->credit.buf_alloc);
	conn->out_watched = conn_wants_room(conn);
	ret = loop_add(dev->loop, conn->fd, socket_events(conn), LOOP_CONN, conn->id);
	if (ret < 0)
		conn_reset(conn, RESET_HOST_SOCKET, strerror(-ret));
	return ret >= 0;
}

void device_on_conn(struct device *dev, uint32_t id, uint32_t events)
{
	struct conn *conn = conn_table_get(&dev->conns, id);
	bool line;

	if (!conn)
		return;
	line = conn->state == CONN_LINE;
	/* The end, or a mark among the bytes, is where a read stops short too. */
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		conn->thorough = true;
	if (conn->state == CONN_DIALLING)
		outgoing_on_socket(dev, conn, events);
	else
		conn_on_socket(conn, events, dev->now);
	if (line && conn->state == CONN_REQUESTED && conn->origin == ORIGIN_PEER)
		incoming_check_peer(dev, conn);
	device_settle(dev, conn);
}

static void run_timers(struct device *dev)
{
	struct conn *conn;

	while ((conn = timers_first(&dev->timers)) && conn->deadline <= dev->now) {
		if (conn->state == CONN_DIALLING)
			outgoing_on_timeout(dev, conn);
		else
			conn_on_timeout(conn, dev->now);
		device_settle(dev, conn);
	}
}

void device_tick(struct device *dev)
{
	dev->now = loop_now();
}

bool device_has_tokens(struct device *dev, enum device_ring ring)
{
	bool ready = bucket_ready(&dev->tokens[ring], dev->now);

	if (!ready && !dev->no_tokens[ring]) {
		dev->conns.common.stats.rate_stalls++;
		log_limited(LOG_LEVEL_INFO, "bytes %s the guest wait: --rate",
			    ring == DEVICE_RX ? "to" : "from");
	}
	dev->no_tokens[ring] = !ready;
	return ready;
}

/* Whether the transmit ring may be looked at; when it may is told otherwise. */
static bool wants_tx(const struct device *dev)
{
	return dev->tx_pending && !dev->tx_blocked && !dev->no_tokens[DEVICE_TX];
}

bool device_run(struct device *dev)
{
	bool more = false;

	/* What the turn before this one told the guest, it also published. */
	roll_settle(&dev->roll);
	if (dev->front_pending)
		device_on_front(dev, 0);
	run_timers(dev);
	if (!dev->running || dev->broken)
		return dev->front_pending;
	if (roll_has_lost(&dev->roll) && !dev->strays) {
		/* Nothing of those that were asked for is left to be said. */
		roll_told(&dev->roll);
		device_reset_lost(dev);
	}
	if (dev->no_tokens[DEVICE_RX])
		device_has_tokens(dev, DEVICE_RX);
	if (dev->no_tokens[DEVICE_TX])
		device_has_tokens(dev, DEVICE_TX);
	if (wants_tx(dev))
		more = from_guest_run(dev);
	if (!dev->broken && !dev->rx_armed)
		more |= to_guest_run(dev);
	/* They are crossed out in the next turn. */
	if (roll_has_lost(&dev->roll) && !dev->strays)
		more = true;
	return more || dev->front_pending;
}

bool device_arm(struct device *dev)
{
	if (!dev->running || dev->broken)
		return false;
	if (wants_tx(dev))
		dev->tx_pending = vring_wait(&dev->front.ring[DEVICE_TX]);
	if (dev->rx_starved && !dev->rx_armed)
		dev->rx_armed = !vring_wait(&dev->front.ring[DEVICE_RX]);
	return wants_tx(dev) || (dev->rx_starved && !dev->rx_armed);
}

int device_timeout(const struct device *dev)
{
	const struct conn *first = timers_first(&dev->timers);
	int least = -1;

	if (first)
		least = first->deadline > dev->now ? (int)(first->deadline - dev->now)
						   : 0;
	/* Those of a guest that is not there, or left alone, are not looked at. */
	for (int ring = DEVICE_RX; ring <= DEVICE_TX; ring++) {
		if (dev->no_tokens[ring] && dev->running && !dev->broken)
			least = loop_sooner(least, bucket_wait(&dev->tokens[ring]));
	}
	return least;
}
