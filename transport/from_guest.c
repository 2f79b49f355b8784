/* SPDX-License-Identifier: Apache-2.0 */
#include "from_guest.h"

#include "iov.h"
#include "log.h"
#include "outgoing.h"

enum {
	TURN_PACKETS = 256,
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
	if (verdict == PACKET_REJECT && !conn && !queue_reset(dev, packet))
		return false;
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

/* False when the packet must wait. */
static bool handle(struct device *dev, const struct vring_chain *chain)
{
	uint8_t header[PACKET_HEADER_SIZE];
	enum packet_verdict verdict;
	struct packet packet;
	struct conn *conn;
	const char *why;
	size_t n;

	/* Read once: the guest may change it at any time. */
	if (iov_read(chain->iov, chain->n_read, 0, header, sizeof(header)) <
	    sizeof(header)) {
		log_limited(
			LOG_LEVEL_WARNING,
			"the guest sent %zu bytes, which is no packet (%llu dropped so "
			"far)",
			chain->read_len,
			(unsigned long long)++dev->conns.common.stats.dropped);
		return true;
	}
	packet_decode(&packet, header);
	verdict = packet_check(&packet, &dev->rules,
			       chain->read_len - PACKET_HEADER_SIZE, &why);
	if (verdict != PACKET_ACCEPT)
		return turn_down(dev, &packet, verdict, why);
	conn = conn_table_find(&dev->conns, packet.dst_cid, packet.dst_port,
			       packet.src_port);
	if (conn && conn->type != packet.type)
		return turn_down(dev, &packet,
				 packet.op == PACKET_RST ? PACKET_DROP : PACKET_REJECT,
				 "its socket type is not its connection's");
	if (!conn && packet.op == PACKET_RST)
		return true;
	if (!conn && packet.op == PACKET_REQUEST)
		return on_request(dev, &packet);
	if (!conn && !queue_reset(dev, &packet))
		return false;
	if (!conn) {
		dev->conns.common.stats.resets[RESET_UNKNOWN]++;
		return true;
	}
	n = iov_slice(dev->payload, VRING_PIECES_MAX, chain->iov, chain->n_read,
		      PACKET_HEADER_SIZE, packet.len);
	conn_on_packet(conn, &packet, dev->payload, n, dev->now);
	device_settle(dev, conn);
	return true;
}

bool from_guest_run(struct device *dev)
{
	struct vring *tx = &dev->front.ring[DEVICE_TX];
	bool more = true;

	for (int budget = TURN_PACKETS; budget && more; budget--) {
		struct vring_chain chain;
		struct error err;
		int ret = vring_pop(tx, &dev->front.memory, dev->iov, VRING_PIECES_MAX,
				    &chain, &err);

		if (ret < 0) {
			device_break(dev, DEVICE_TX, &err);
			return false;
		}
		if (ret == 0) {
			more = vring_wait(tx);
			continue;
		}
		if (!handle(dev, &chain)) {
			vring_unpop(tx, 1);
			dev->tx_blocked = true;
			more = false;
			break;
		}
		vring_push(tx, &chain, 0);
	}
	vring_commit(tx);
	if (!dev->tx_blocked)
		dev->tx_pending = more;
	return more;
}
