/* SPDX-License-Identifier: Apache-2.0 */
#include "to_guest.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "iov.h"
#include "log.h"
#include "message_out.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("recvmsg");

enum {
	TURN_ROUNDS = 64,      /* reads in one turn, over all connections */
	SHARE_BYTES = 1 << 16, /* a connection's before the next one's turn */
	BATCH_BYTES = 1 << 18, /* that of the only one */
};

enum to_guest_outcome to_guest_fail(struct device *dev, const struct error *err)
{
	device_break(dev, DEVICE_RX, err);
	return TO_GUEST_BROKEN;
}

int to_guest_take(struct device *dev, struct iovec *iov, size_t max, size_t payload,
		  struct vring_chain *chain, struct error *err)
{
	int ret = vring_pop(&dev->front.ring[DEVICE_RX], &dev->front.memory, iov, max,
			    chain, err);

	if (ret > 0 && chain->write_len < PACKET_HEADER_SIZE + payload)
		return error_set(err, -EINVAL, "a buffer of %zu bytes",
				 chain->write_len);
	return ret;
}

void to_guest_put(struct device *dev, const struct vring_chain *chain,
		  struct packet *packet)
{
	uint8_t header[PACKET_HEADER_SIZE];

	dev->worked = true;
	bucket_take(&dev->tokens[DEVICE_RX], packet->len);
	packet->dst_cid = dev->rules.guest_cid;
	packet_encode(packet, header);
	iov_write(chain->iov + chain->n_read, chain->n_write, 0, header,
		  sizeof(header));
	vring_push(&dev->front.ring[DEVICE_RX], chain,
		   PACKET_HEADER_SIZE + packet->len);
}

static enum to_guest_outcome send_strays(struct device *dev)
{
	while (dev->strays) {
		struct vring_chain chain;
		struct error err;
		int ret =
			to_guest_take(dev, dev->iov, VRING_PIECES_MAX, 0, &chain, &err);

		if (ret < 0)
			return to_guest_fail(dev, &err);
		if (ret == 0)
			return TO_GUEST_STARVED;
		to_guest_put(dev, &chain, &dev->stray[dev->first_stray]);
		dev->first_stray = (dev->first_stray + 1) % DEVICE_STRAYS_MAX;
		dev->strays--;
		dev->tx_blocked = false;
		/*
		 * All of these come first: what the guest hears of a connection later
		 * may be of another one that has the same ports.
		 */
		if (!dev->strays && roll_has_lost(&dev->roll))
			device_reset_lost(dev);
	}
	return TO_GUEST_SENT;
}

static enum to_guest_outcome send_control(struct device *dev)
{
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&dev->control))) {
		while (conn->want) {
			struct vring_chain chain;
			struct packet packet;
			struct error err;
			int ret = to_guest_take(dev, dev->iov, VRING_PIECES_MAX, 0,
						&chain, &err);

			if (ret < 0)
				return to_guest_fail(dev, &err);
			if (ret == 0)
				return TO_GUEST_STARVED;
			if (!conn_next_packet(conn, &packet)) {
				vring_unpop(&dev->front.ring[DEVICE_RX], 1);
				conn->want = 0;
				break;
			}
			to_guest_put(dev, &chain, &packet);
		}
		device_settle(dev, conn);
	}
	return TO_GUEST_SENT;
}

/* Chains that one read is going to fill. */
struct batch {
	struct vring_chain chain[CONN_BATCH_MAX];
	size_t room[CONN_BATCH_MAX]; /* payload bytes that each may have */
	size_t chains, pieces, payload_pieces;
	size_t bytes;
};

/* As many chains as the connection may fill now. 0 and at least one, or why not. */
static enum to_guest_outcome gather(struct device *dev, const struct conn *conn,
				    struct batch *batch)
{
	size_t max = credit_bytes(&conn->credit);
	size_t chains = credit_packets(&conn->credit);
	size_t share = TAILQ_NEXT(conn, ready) ? SHARE_BYTES : BATCH_BYTES;

	if (max > share)
		max = share;
	if (chains > conn->batch)
		chains = conn->batch;
	while (batch->chains < chains && batch->bytes < max &&
	       batch->payload_pieces < VRING_PIECES_MAX) {
		struct vring_chain *chain = &batch->chain[batch->chains];
		struct error err;
		size_t room;
		int ret =
			to_guest_take(dev, dev->iov + batch->pieces,
				      VRING_PIECES_MAX - batch->pieces, 1, chain, &err);

		if (ret == 0 || (ret == -ENOBUFS && batch->chains))
			break;
		if (ret < 0)
			return to_guest_fail(dev, &err);
		room = chain->write_len - PACKET_HEADER_SIZE;
		if (room > max - batch->bytes)
			room = max - batch->bytes;
		batch->payload_pieces +=
			iov_slice(dev->payload + batch->payload_pieces,
				  VRING_PIECES_MAX - batch->payload_pieces,
				  chain->iov + chain->n_read, chain->n_write,
				  PACKET_HEADER_SIZE, room);
		batch->pieces += chain->n_read + chain->n_write;
		batch->room[batch->chains++] = room;
		batch->bytes += room;
	}
	return batch->chains ? TO_GUEST_SENT : TO_GUEST_STARVED;
}

enum to_guest_outcome to_guest_unread(struct device *dev, struct conn *conn, ssize_t n)
{
	if (n == 0) {
		conn_on_eof(conn, dev->now);
	} else if (errno == EAGAIN) {
		conn->readable = false;
	} else if (errno == EFAULT) {
		struct error err;

		error_set(&err, -EFAULT, "memory behind a buffer is gone");
		return to_guest_fail(dev, &err);
	} else if (errno != EINTR) {
		conn_reset(conn, RESET_HOST_SOCKET, strerror(errno));
	}
	return TO_GUEST_SENT;
}

static void put_batch(struct device *dev, struct conn *conn, const struct batch *batch,
		      size_t bytes)
{
	size_t left = bytes, used = 0;

	while (left) {
		size_t part = batch->room[used] < left ? batch->room[used] : left;
		struct packet packet;

		conn_packet(conn, PACKET_RW, (uint32_t)part, &packet);
		to_guest_put(dev, &batch->chain[used++], &packet);
		left -= part;
	}
	vring_unpop(&dev->front.ring[DEVICE_RX], batch->chains - used);
	conn_on_sent(conn, (uint32_t)bytes, (uint32_t)used);
	/* What is filled to the brim gets more the next time; the rest was in vain. */
	if (bytes < batch->bytes)
		conn->batch = used;
	else
		conn->batch = conn->batch < CONN_BATCH_MAX / 2 ? conn->batch * 2
							       : CONN_BATCH_MAX;
}

/* One read from a connection's socket into the guest's memory. */
static enum to_guest_outcome send_data(struct device *dev, struct conn *conn)
{
	struct batch batch = {.chains = 0};
	enum to_guest_outcome outcome = gather(dev, conn, &batch);
	struct msghdr msg = {.msg_iov = dev->payload};
	ssize_t n;

	if (outcome != TO_GUEST_SENT)
		return outcome;
	msg.msg_iovlen = batch.payload_pieces;
	n = recvmsg(conn->fd, &msg, MSG_DONTWAIT);
	if (n > 0) {
		put_batch(dev, conn, &batch, n);
		/*
		 * That was all: what comes later makes an edge of its own. Where
		 * descriptors were passed along, a read stops too.
		 */
		if ((size_t)n < batch.bytes && !conn->thorough &&
		    !(msg.msg_flags & MSG_CTRUNC))
			conn->readable = false;
		return TO_GUEST_SENT;
	}
	vring_unpop(&dev->front.ring[DEVICE_RX], batch.chains);
	return to_guest_unread(dev, conn, n);
}

static enum to_guest_outcome send_some(struct device *dev, bool *more)
{
	enum to_guest_outcome outcome = TO_GUEST_SENT;

	for (int rounds = TURN_ROUNDS; rounds; rounds--) {
		struct conn *conn;

		outcome = send_strays(dev);
		if (outcome == TO_GUEST_SENT)
			outcome = send_control(dev);
		conn = TAILQ_FIRST(&dev->ready);
		if (outcome != TO_GUEST_SENT || !conn ||
		    !device_has_tokens(dev, DEVICE_RX))
			return outcome;
		outcome =
			conn->messages ? message_out(dev, conn) : send_data(dev, conn);
		if (outcome != TO_GUEST_SENT)
			return outcome;
		/* To the end of the queue: the next one's turn. */
		TAILQ_REMOVE(&dev->ready, conn, ready);
		conn->in_ready = false;
		device_settle(dev, conn);
	}
	*more = true;
	return outcome;
}

bool to_guest_run(struct device *dev)
{
	struct vring *rx = &dev->front.ring[DEVICE_RX];
	bool more = false, blocked = dev->tx_blocked;

	dev->rx_starved = false;
	if (!dev->strays && TAILQ_EMPTY(&dev->control) && TAILQ_EMPTY(&dev->ready))
		return false;
	switch (send_some(dev, &more)) {
	case TO_GUEST_BROKEN:
		return false;
	case TO_GUEST_STARVED:
		dev->rx_starved = true;
		break;
	case TO_GUEST_SENT:
		vring_quiet(rx);
		break;
	}
	vring_commit(rx);
	/* Room for answers lets a transmit ring that waited for it go on. */
	return more || (blocked && !dev->tx_blocked);
}
