/* SPDX-License-Identifier: Apache-2.0 */
#include "driver.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"

enum {
	HEADER = sizeof(struct virtio_vsock_hdr),
	TX_STRIDE = 68 * 1024, /* header and data of one slot */
	TX_DATA = 4096,	       /* where the data begin, unless they follow at once */
	TX_PAGE = 32 * 1024,   /* Linux's largest piece of one packet */
	MEMORY = 4 << 20,
	HOST_CID = 2,
	/* Linux tells how far it is when less than this is left. */
	UPDATE_AT = 64 * 1024,
};

static struct ring *rx_ring(struct driver *d)
{
	return &d->front.ring[RING_RX];
}

static struct ring *tx_ring(struct driver *d)
{
	return &d->front.ring[RING_TX];
}

static uint8_t *slot(const struct driver *d, uint16_t id)
{
	return (uint8_t *)d->tx_header + (size_t)id * TX_STRIDE;
}

static size_t data_at(const struct driver *d)
{
	return d->tx_layout == TX_ONE ? HEADER : TX_DATA;
}

static void offer_rx(struct driver *d, uint16_t id)
{
	uint64_t addr = d->rx_addr + (uint64_t)id * d->rx_stride;
	struct ring_part part[2] = {{addr, d->rx_size}};

	if (d->rx_split) {
		part[0].len = HEADER;
		part[1] = (struct ring_part){addr + HEADER, d->rx_size - HEADER};
	}
	ring_add(rx_ring(d), id, part, d->rx_split ? 2 : 1, true);
}

static void make_tx(struct driver *d)
{
	d->tx_slots = ring_buffers(tx_ring(d));
	d->tx_header =
		front_alloc(&d->front, (uint64_t)d->tx_slots * TX_STRIDE, &d->tx_addr);
	d->tx_free = calloc(d->tx_slots, sizeof(*d->tx_free));
	if (!d->tx_free)
		die("out of memory");
	while (d->tx_free_count < d->tx_slots) {
		d->tx_free[d->tx_free_count] =
			(uint16_t)(d->tx_slots - 1 - d->tx_free_count);
		d->tx_free_count++;
	}
}

static void make_rx(struct driver *d)
{
	d->rx_buffers = ring_buffers(rx_ring(d));
	d->rx = front_alloc(&d->front, (uint64_t)d->rx_buffers * d->rx_stride,
			    &d->rx_addr);
}

static void offer_event(struct driver *d, uint16_t id)
{
	struct ring_part part = {d->events_addr + id * 8, 8};

	ring_add(&d->front.ring[RING_EVENT], id, &part, 1, true);
}

static uint64_t wanted_features(const struct front *front)
{
	uint64_t wanted = FEATURE_VERSION_1 | FEATURE_PROTOCOL_FEATURES;

	if (options.event_idx)
		wanted |= FEATURE_EVENT_IDX;
	if (options.indirect)
		wanted |= FEATURE_INDIRECT_DESC;
	if (options.packed)
		wanted |= FEATURE_RING_PACKED;
	if (wanted & ~front->offered)
		die("the back-end does not offer the features 0x%llx",
		    (unsigned long long)(wanted & ~front->offered));
	return wanted;
}

static void prepare_rings(struct driver *d)
{
	static const unsigned int tx_parts[] = {
		[TX_SPLIT] = 2, [TX_ONE] = 1, [TX_PAGES] = 3};

	for (unsigned int i = 0; i < RINGS; i++) {
		struct ring *ring = &d->front.ring[i];

		ring->num = options.ring;
		ring->event_idx = options.event_idx;
		ring->indirect = options.indirect;
		ring->packed = options.packed;
		ring->parts = 1;
	}
	rx_ring(d)->parts = options.rx_split ? 2 : 1;
	tx_ring(d)->parts = tx_parts[options.tx_layout];
}

void driver_start(struct driver *d, const char *path)
{
	*d = (struct driver){.verify = options.quick,
			     .tx_interrupts = options.tx_interrupts,
			     .eager_credit = options.eager_credit,
			     .tx_layout = options.tx_layout,
			     .rx_size = options.rx_size,
			     .rx_stride = (options.rx_size + 63) & ~63U,
			     .rx_split = options.rx_split};
	d->front.sequence = options.sequence;
	d->conn = calloc(2 * DRIVER_CONNS, sizeof(*d->conn));
	if (!d->conn)
		die("out of memory");
	prepare_rings(d);
	front_connect(&d->front, path,
		      MEMORY + (uint64_t)options.ring * (TX_STRIDE + d->rx_stride));
	d->front.features = wanted_features(&d->front);
	for (unsigned int i = 0; i < RINGS; i++)
		front_make_ring(&d->front, i);
	make_tx(d);
	make_rx(d);
	d->events = front_alloc(&d->front, DRIVER_EVENTS * 8, &d->events_addr);
	front_start(&d->front);
	/* As Linux: the buffers are given when the device is already going. */
	for (unsigned int i = 0; i < d->rx_buffers; i++)
		offer_rx(d, (uint16_t)i);
	for (unsigned int i = 0; i < DRIVER_EVENTS && i < options.ring; i++)
		offer_event(d, (uint16_t)i);
	driver_publish(d);
}

void driver_stop(struct driver *d)
{
	front_stop(&d->front);
	front_disconnect(&d->front);
	free(d->conn);
	free(d->tx_free);
}

struct guest_conn *driver_conn(struct driver *d, uint32_t guest_port)
{
	if (guest_port - DRIVER_PORT < DRIVER_CONNS)
		return &d->conn[guest_port - DRIVER_PORT];
	if (guest_port - DRIVER_LISTEN_PORT < DRIVER_CONNS)
		return &d->conn[DRIVER_CONNS + guest_port - DRIVER_LISTEN_PORT];
	return NULL;
}

static void reap_tx(struct driver *d)
{
	uint16_t id;
	uint32_t len;

	while (ring_take(tx_ring(d), &id, &len))
		d->tx_free[d->tx_free_count++] = id;
}

static unsigned int lay_out(const struct driver *d, uint16_t id, uint32_t len,
			    struct ring_part *part)
{
	uint64_t addr = d->tx_addr + (uint64_t)id * TX_STRIDE;
	uint32_t rest = len, piece;
	unsigned int n = 1;

	part[0] = (struct ring_part){addr, HEADER};
	if (d->tx_layout == TX_ONE)
		part[0].len += len;
	for (addr += TX_DATA; d->tx_layout != TX_ONE && rest; rest -= piece) {
		piece = d->tx_layout == TX_PAGES && rest > TX_PAGE ? TX_PAGE : rest;
		part[n++] = (struct ring_part){addr, piece};
		addr += piece;
	}
	return n;
}

/* Puts a packet into the ring; conn's credit goes along with it. */
static bool put(struct driver *d, struct guest_conn *conn, uint16_t op, uint32_t flags,
		uint32_t len)
{
	struct ring_part part[RING_PARTS_MAX];
	struct virtio_vsock_hdr *header;
	uint16_t id;

	if (!d->tx_free_count)
		reap_tx(d);
	if (!d->tx_free_count)
		return false;
	id = d->tx_free[--d->tx_free_count];
	header = (struct virtio_vsock_hdr *)slot(d, id);
	*header = (struct virtio_vsock_hdr){
		.src_cid = htole64(d->front.guest_cid),
		.dst_cid = htole64(HOST_CID),
		.src_port = htole32(conn->guest_port),
		.dst_port = htole32(conn->host_port),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(DRIVER_BUFFER),
		.fwd_cnt = htole32(conn->fwd_cnt),
	};
	conn->told_fwd = conn->fwd_cnt;
	if (len && d->verify)
		pattern_fill(slot(d, id) + data_at(d), len, conn->sent);
	ring_add(tx_ring(d), id, part, lay_out(d, id, len, part), false);
	d->packets_out++;
	return true;
}

static void sleep_until_interrupt(struct driver *d)
{
	int fd = d->front.ring[0].call;
	uint64_t count;

	while (read(fd, &count, sizeof(count)) < 0) {
		/* The back-end made it non-blocking, which both ends share. */
		if (errno != EAGAIN || fcntl(fd, F_SETFL, 0) < 0)
			die_errno("cannot wait for an interrupt");
	}
}

/* The same; waits until there is room. */
static void put_surely(struct driver *d, struct guest_conn *conn, uint16_t op,
		       uint32_t flags)
{
	while (!put(d, conn, op, flags, 0)) {
		ring_publish(tx_ring(d));
		if (ring_arm(tx_ring(d)))
			continue;
		sleep_until_interrupt(d);
	}
}

void driver_connect(struct driver *d, uint32_t guest_port, uint32_t host_port)
{
	struct guest_conn *conn = driver_conn(d, guest_port);

	*conn = (struct guest_conn){.guest_port = guest_port,
				    .host_port = host_port,
				    .state = GUEST_REQUESTED};
	put_surely(d, conn, VIRTIO_VSOCK_OP_REQUEST, 0);
}

void driver_close(struct driver *d, struct guest_conn *conn)
{
	conn->state = GUEST_CLOSING;
	put_surely(d, conn, VIRTIO_VSOCK_OP_SHUTDOWN,
		   VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
}

uint32_t driver_may_send(const struct guest_conn *conn)
{
	uint32_t window = conn->peer_alloc;
	int32_t space;

	/* Linux lets no peer choose more than its own socket may have. */
	if (window > DRIVER_BUFFER)
		window = DRIVER_BUFFER;
	space = (int32_t)(window - (conn->tx_cnt - conn->peer_fwd));
	if (space < 0)
		return 0;
	return space > DRIVER_PACKET_MAX ? DRIVER_PACKET_MAX : (uint32_t)space;
}

bool driver_send(struct driver *d, struct guest_conn *conn, uint32_t len)
{
	if (!put(d, conn, VIRTIO_VSOCK_OP_RW, 0, len))
		return false;
	conn->tx_cnt += len;
	conn->sent += len;
	return true;
}

static void on_request(struct driver *d, struct guest_conn *conn,
		       const struct virtio_vsock_hdr *header)
{
	uint32_t port = le32toh(header->dst_port);

	*conn = (struct guest_conn){.guest_port = port,
				    .host_port = le32toh(header->src_port),
				    .state = GUEST_OPEN,
				    .peer_alloc = le32toh(header->buf_alloc),
				    .peer_fwd = le32toh(header->fwd_cnt)};
	d->opened++;
	put_surely(d, conn, VIRTIO_VSOCK_OP_RESPONSE, 0);
}

/* From 6.8 on, Linux tells how far it is whenever a program has read all there was. */
static void tell_drained(struct driver *d)
{
	for (unsigned int i = 0; i < d->drained_count; i++) {
		struct guest_conn *conn = d->drained[i];

		conn->drained = false;
		if (conn->fwd_cnt != conn->told_fwd && conn->state == GUEST_OPEN)
			put_surely(d, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	}
	d->drained_count = 0;
}

static void on_data(struct driver *d, struct guest_conn *conn, const uint8_t *data,
		    uint32_t len)
{
	if (conn->fwd_cnt - conn->told_fwd + len > DRIVER_BUFFER)
		die("the back-end sends more than the guest's buffer holds");
	if (d->verify)
		pattern_check(data, len, conn->received, "host to guest");
	conn->received += len;
	conn->fwd_cnt += len;
	if (DRIVER_BUFFER - (conn->fwd_cnt - conn->told_fwd) < UPDATE_AT)
		put_surely(d, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
	if (!d->eager_credit || conn->drained)
		return;
	if (d->drained_count == DRIVER_DRAINED)
		tell_drained(d);
	conn->drained = true;
	d->drained[d->drained_count++] = conn;
}

static void on_shutdown(struct driver *d, struct guest_conn *conn, uint32_t flags)
{
	conn->peer_closed = true;
	if (conn->state == GUEST_CLOSING)
		return;
	/* The guest's program sees the end and closes its socket. */
	if ((flags & 3) == 3) {
		conn->state = GUEST_CLOSED;
		d->closed++;
		put_surely(d, conn, VIRTIO_VSOCK_OP_RST, 0);
	} else {
		driver_close(d, conn);
	}
}

static void on_reset(struct driver *d, struct guest_conn *conn)
{
	if (conn->state == GUEST_REQUESTED)
		d->refused++;
	else
		d->closed++;
	conn->state = GUEST_CLOSED;
}

/* A packet for nobody; what it is answered with needs a connection's ports. */
static void on_stray(struct driver *d, const struct virtio_vsock_hdr *header)
{
	struct guest_conn nobody = {.guest_port = le32toh(header->dst_port),
				    .host_port = le32toh(header->src_port)};

	if (le16toh(header->op) != VIRTIO_VSOCK_OP_RST)
		put_surely(d, &nobody, VIRTIO_VSOCK_OP_RST, 0);
}

static void on_packet(struct driver *d, const struct virtio_vsock_hdr *header,
		      uint32_t used)
{
	struct guest_conn *conn = driver_conn(d, le32toh(header->dst_port));
	uint32_t len = le32toh(header->len);
	uint16_t op = le16toh(header->op);

	d->packets_in++;
	if (used != HEADER + len)
		die("the back-end says %u bytes for a packet of %u", used,
		    HEADER + len);
	if (op == VIRTIO_VSOCK_OP_REQUEST && conn && conn->state == GUEST_CLOSED &&
	    conn >= d->conn + DRIVER_CONNS) {
		on_request(d, conn, header);
		return;
	}
	if (!conn || conn->state == GUEST_CLOSED ||
	    conn->host_port != le32toh(header->src_port)) {
		on_stray(d, header);
		return;
	}
	conn->peer_alloc = le32toh(header->buf_alloc);
	conn->peer_fwd = le32toh(header->fwd_cnt);
	switch (op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		conn->state = GUEST_OPEN;
		d->opened++;
		break;
	case VIRTIO_VSOCK_OP_RST:
		on_reset(d, conn);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		on_shutdown(d, conn, le32toh(header->flags));
		break;
	case VIRTIO_VSOCK_OP_RW:
		on_data(d, conn, (const uint8_t *)(header + 1), len);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		put_surely(d, conn, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	default:
		die("the back-end sends a packet with operation %u", op);
	}
}

/* TRANSPORT_RESET: no connection is any more (virtio 1.2, 5.10.6.7). */
static void poll_events(struct driver *d)
{
	uint16_t id;
	uint32_t len;

	while (ring_take(&d->front.ring[RING_EVENT], &id, &len)) {
		d->resets++;
		for (unsigned int i = 0; i < 2 * DRIVER_CONNS; i++)
			d->conn[i].state = GUEST_CLOSED;
		offer_event(d, id);
	}
}

bool driver_poll(struct driver *d)
{
	bool some = false;
	uint16_t id;
	uint32_t len;

	ring_disarm(rx_ring(d));
	ring_disarm(tx_ring(d));
	if (d->tx_interrupts || d->tx_free_count < d->tx_slots / 2) {
		unsigned int before = d->tx_free_count;

		reap_tx(d);
		some = d->tx_free_count > before;
	}
	if (d->front.rings > RING_EVENT)
		poll_events(d);
	while (ring_take(rx_ring(d), &id, &len)) {
		const uint8_t *buf = d->rx + (size_t)id * d->rx_stride;

		on_packet(d, (const struct virtio_vsock_hdr *)buf, len);
		offer_rx(d, id);
		some = true;
	}
	tell_drained(d);
	return some;
}

void driver_publish(struct driver *d)
{
	ring_publish(rx_ring(d));
	ring_publish(tx_ring(d));
	if (d->front.rings > RING_EVENT)
		ring_publish(&d->front.ring[RING_EVENT]);
}

void driver_wait(struct driver *d)
{
	bool ready = ring_arm(rx_ring(d));

	if (d->front.rings > RING_EVENT)
		ready |= ring_arm(&d->front.ring[RING_EVENT]);
	/* With room enough, the end of a transmission is no news. */
	if (d->tx_interrupts || !d->tx_free_count)
		ready |= ring_arm(tx_ring(d));
	if (ready)
		return;
	d->waits++;
	sleep_until_interrupt(d);
}

void driver_wake(struct driver *d)
{
	uint64_t one = 1;

	if (write(d->front.ring[0].call, &one, sizeof(one)) < 0)
		die_errno("cannot wake the driver");
}

void driver_turn(struct driver *d, bool spin)
{
	driver_publish(d);
	if (driver_poll(d))
		driver_publish(d);
	else if (!spin)
		driver_wait(d);
}
