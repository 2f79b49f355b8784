/* SPDX-License-Identifier: Apache-2.0 */
#include "from_guest.h"

#include "iov.h"
#include "log.h"
#include "outgoing.h"

enum {
	TURN_PACKETS = 256,
	GATHER_BYTES = 1 << 18, /* after which a write is due */
};

/* False when there is no room for one more. */
static bool queue_reset(struct device *dev, const struct packet *packet)
{
	size_t at = (dev->first_stray + dev->strays) % DEVICE_STRAYS_MAX;

	if (dev->strays == DEVICE_STRAYS_MAX)
		return false;
	dev->stray[at] = packet_reset(packet);
	dev->strays++;
	return true;
}

/* False when there is no room to say so. */
static bool refuse(struct device *dev, const struct packet *packet,
		   enum reset_reason reason)
{
	if (!queue_reset(dev, packet))
		return false;
	dev->conns.common.stats.resets[reason]++;
	dev->conns.common.stats.refused++;
	return true;
}

/* The guest wants to connect. */
static bool on_request(struct device *dev, const struct packet *packet)
{
	enum reset_reason reason;

	/* Whatever comes of it, there must be room to say no. */
	if (dev->strays == DEVICE_STRAYS_MAX)
		return false;
	dev->conns.common.stats.asked_by_guest++;
	if (!bucket_ready(&dev->connects, dev->now)) {
		log_limited(LOG_LEVEL_WARNING,
			    "connection " CONN_NAME
			    " is refused, the guest connects too often; "
			    "--connect-rate allows more",
			    (uint32_t)packet->dst_cid, packet->dst_port,
			    dev->routes->guest_cid, packet->src_port);
		return refuse(dev, packet, RESET_CONNECT_RATE);
	}
	bucket_take(&dev->connects, 1);
	if (outgoing_begin(dev, packet, &reason) == 0)
		return true;
	return reason == RESET_REASONS ? queue_reset(dev, packet)
				       : refuse(dev, packet, reason);
}

/* A packet that cannot be right. False when its answer, and so it, must wait. */
static bool turn_down(struct device *dev, const struct packet *packet,
		      enum packet_verdict verdict, const char *why)
{
	struct conn *conn = NULL;

	if (verdict == PACKET_DROP)
		dev->conns.common.stats.dropped++;
	else
		conn = conn_table_find(&dev->conns, packet->dst_cid, packet->dst_port,
				       packet->src_port);
	if (verdict == PACKET_REJECT && !conn) {
		if (!queue_reset(dev, packet))
			return false;
		dev->conns.common.stats.resets[RESET_PROTOCOL]++;
	}
	log_limited(
		LOG_LEVEL_WARNING,
		"a packet (%s) from port %u of CID %llu to port %u of CID %llu is %s: "
		"%s (%llu dropped so far)",
		packet_op_name(packet->op), packet->src_port,
		(unsigned long long)packet->src_cid, packet->dst_port,
		(unsigned long long)packet->dst_cid,
		verdict == PACKET_DROP ? "dropped" : "answered with RST", why,
		(unsigned long long)dev->conns.common.stats.dropped);
	if (conn) {
		conn_reset(conn, RESET_PROTOCOL, why);
		device_settle(dev, conn);
	}
	return true;
}

/* What was gathered goes to its socket, and its chains back to the guest. */
static void flush(struct device *dev)
{
	struct vring *tx = &dev->front.ring[DEVICE_TX];
	struct gather *gather = &dev->gather;

	if (!gather->conn)
		return;
	conn_write(gather->conn, dev->payload, gather->pieces, gather->bytes, dev->now);
	device_settle(dev, gather->conn);
	for (size_t i = 0; i < gather->chains; i++)
		vring_push(tx, &gather->chain[i], 0);
	vring_commit(tx);
	gather->conn = NULL;
	gather->chains = gather->pieces = gather->bytes = 0;
}

/* Whether a packet's data can go behind what was gathered. */
static bool fits(const struct gather *gather, const struct packet *packet,
		 const struct vring_chain *chain)
{
	const struct conn *conn = gather->conn;

	return packet->op == PACKET_RW && packet->src_port == conn->guest_port &&
	       packet->dst_port == conn->host_port &&
	       packet->dst_cid == conn->peer_cid &&
	       gather->chains < DEVICE_GATHER_MAX && gather->bytes < GATHER_BYTES &&
	       gather->pieces + chain->n_read <= VRING_PIECES_MAX;
}

static void add(struct device *dev, struct conn *conn, const struct vring_chain *chain,
		uint32_t len)
{
	struct gather *gather = &dev->gather;

	gather->conn = conn;
	gather->pieces += iov_slice(dev->payload + gather->pieces,
				    VRING_PIECES_MAX - gather->pieces, chain->iov,
				    chain->n_read, PACKET_HEADER_SIZE, len);
	gather->bytes += len;
	gather->chain[gather->chains++] = *chain;
}

enum outcome {
	DONE, /* the chain can go back, those before it have gone */
	KEPT, /* it was gathered */
	WAIT, /* the packet stays in the ring */
};

/* A packet of a connection. */
static enum outcome deliver(struct device *dev, struct conn *conn,
			    const struct packet *packet,
			    const struct vring_chain *chain)
{
	size_t n;

	bucket_take(&dev->tokens[DEVICE_TX], packet->len);
	if (conn_gather(conn, packet)) {
		add(dev, conn, chain, packet->len);
		return KEPT;
	}
	/* It is still there afterwards: what ends it leaves an RST to be sent. */
	flush(dev);
	n = iov_slice(dev->payload, VRING_PIECES_MAX, chain->iov, chain->n_read,
		      PACKET_HEADER_SIZE, packet->len);
	conn_on_packet(conn, packet, dev->payload, n, dev->now);
	device_settle(dev, conn);
	return DONE;
}

/* A packet of no connection. False when its answer, and so it, must wait. */
static bool handle_stranger(struct device *dev, const struct packet *packet)
{
	if (packet->op == PACKET_RST)
		return true;
	if (packet->op == PACKET_REQUEST)
		return on_request(dev, packet);
	if (!queue_reset(dev, packet))
		return false;
	dev->conns.common.stats.resets[RESET_UNKNOWN]++;
	return true;
}

/* Reads the header, once: the guest may change it at any time. */
static bool read_header(struct device *dev, const struct vring_chain *chain,
			struct packet *packet)
{
	uint8_t header[PACKET_HEADER_SIZE];

	if (iov_read(chain->iov, chain->n_read, 0, header, sizeof(header)) <
	    sizeof(header)) {
		log_limited(
			LOG_LEVEL_WARNING,
			"the guest sent %zu bytes, which is no packet (%llu dropped so "
			"far)",
			chain->read_len,
			(unsigned long long)++dev->conns.common.stats.dropped);
		return false;
	}
	packet_decode(packet, header);
	return true;
}

static enum outcome handle(struct device *dev, const struct vring_chain *chain)
{
	enum packet_verdict verdict;
	struct packet packet;
	struct conn *conn;
	const char *why;

	if (!read_header(dev, chain, &packet)) {
		flush(dev);
		return DONE;
	}
	verdict = packet_check(&packet, &dev->rules,
			       chain->read_len - PACKET_HEADER_SIZE, &why);
	if (dev->gather.conn &&
	    (verdict != PACKET_ACCEPT || !fits(&dev->gather, &packet, chain)))
		flush(dev);
	if (verdict != PACKET_ACCEPT)
		return turn_down(dev, &packet, verdict, why) ? DONE : WAIT;
	conn = conn_table_find(&dev->conns, packet.dst_cid, packet.dst_port,
			       packet.src_port);
	if (!conn)
		return handle_stranger(dev, &packet) ? DONE : WAIT;
	if (conn->type == packet.type)
		return deliver(dev, conn, &packet, chain);
	flush(dev);
	verdict = packet.op == PACKET_RST ? PACKET_DROP : PACKET_REJECT;
	return turn_down(dev, &packet, verdict,
			 "its socket type is not its connection's")
		       ? DONE
		       : WAIT;
}

/* Takes one chain. False when there is none that can be worked on now. */
static bool take(struct device *dev)
{
	struct vring *tx = &dev->front.ring[DEVICE_TX];
	struct vring_chain chain;
	struct error err;
	int ret = vring_pop(tx, &dev->front.memory, dev->iov, VRING_PIECES_MAX, &chain,
			    &err);

	if (ret < 0) {
		flush(dev);
		device_break(dev, DEVICE_TX, &err);
	}
	if (ret <= 0)
		return false;
	switch (handle(dev, &chain)) {
	case DONE:
		vring_push(tx, &chain, 0);
		break;
	case KEPT:
		break;
	case WAIT:
		vring_unpop(tx, 1);
		dev->tx_blocked = true;
		return false;
	}
	return true;
}

bool from_guest_run(struct device *dev)
{
	struct vring *tx = &dev->front.ring[DEVICE_TX];
	int budget = TURN_PACKETS;

	vring_quiet(tx);
	while (budget && device_has_tokens(dev, DEVICE_TX) && take(dev))
		budget--;
	if (dev->broken)
		return false;
	flush(dev);
	vring_commit(tx);
	if (budget < TURN_PACKETS)
		dev->worked = true;
	return !budget;
}
