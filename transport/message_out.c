/* SPDX-License-Identifier: Apache-2.0 */
#include "message_out.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "conn_message.h"
#include "iov.h"
#include "messages.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("recvmsg");

/* Enough for a message of 256 KiB in a Linux guest's buffers. */
enum {
	CHAINS_MAX = 80,
};

/* Chains that one read is going to fill. */
struct batch {
	struct vring_chain chain[CHAINS_MAX];
	size_t room[CHAINS_MAX]; /* payload bytes that each may have */
	size_t chains, pieces, payload_pieces;
	size_t bytes;
};

/*
 * Takes one more chain for at most max payload bytes. 1 when there is one, 0 when
 * not, negative errno when the ring is broken.
 */
static int take(struct device *dev, struct batch *batch, size_t max, struct error *err)
{
	struct vring_chain *chain = &batch->chain[batch->chains];
	size_t room, n;
	int ret = to_guest_take(dev, dev->iov + batch->pieces,
				VRING_PIECES_MAX - batch->pieces, 1, chain, err);

	if (ret == -ENOBUFS && batch->chains)
		return 0;
	if (ret <= 0)
		return ret;
	room = chain->write_len - PACKET_HEADER_SIZE;
	if (room > max)
		room = max;
	/* A piece is left for the bounce buffer. */
	n = iov_slice(dev->payload + batch->payload_pieces,
		      VRING_PIECES_MAX - 1 - batch->payload_pieces,
		      chain->iov + chain->n_read, chain->n_write, PACKET_HEADER_SIZE,
		      room);
	room = iov_length(dev->payload + batch->payload_pieces, n);
	batch->payload_pieces += n;
	batch->pieces += chain->n_read + chain->n_write;
	batch->room[batch->chains++] = room;
	batch->bytes += room;
	return 1;
}

/* As many chains as the connection may fill now. Sent: there is at least one. */
static enum to_guest_outcome gather(struct device *dev, const struct conn *conn,
				    size_t most, struct batch *batch)
{
	size_t max = credit_bytes(&conn->credit);
	struct error err;

	while (batch->chains < most && batch->bytes < max &&
	       batch->payload_pieces < VRING_PIECES_MAX - 1) {
		int ret = take(dev, batch, max - batch->bytes, &err);

		if (ret < 0)
			return to_guest_fail(dev, &err);
		if (ret == 0)
			break;
	}
	return batch->chains ? TO_GUEST_SENT : TO_GUEST_STARVED;
}

/* Sends the batch's first bytes as packets; last: they end the message. */
static void put(struct device *dev, struct conn *conn, const struct batch *batch,
		size_t bytes, bool last)
{
	size_t left = bytes, used = 0;

	/* Even an empty message is a packet. */
	do {
		size_t part = batch->room[used] < left ? batch->room[used] : left;
		struct packet packet;

		left -= part;
		conn_packet(conn, PACKET_RW, (uint32_t)part, &packet);
		if (last && !left)
			packet.flags = PACKET_EOM |
				       (conn->messages->rest_eor ? PACKET_EOR : 0);
		to_guest_put(dev, &batch->chain[used++], &packet);
	} while (left);
	vring_unpop(&dev->front.ring[DEVICE_RX], batch->chains - used);
	conn_on_sent(conn, (uint32_t)bytes, (uint32_t)used);
}

/* Goes on with a message that the guest had no room for. */
static enum to_guest_outcome send_rest(struct device *dev, struct conn *conn)
{
	struct backlog *rest = &conn->messages->rest;
	struct batch batch = {.chains = 0};
	enum to_guest_outcome outcome = gather(dev, conn, CHAINS_MAX, &batch);
	struct iovec held[2];
	size_t len, at = 0, n;

	/* With a ring that broke the connection is gone. */
	if (outcome != TO_GUEST_SENT)
		return outcome;
	len = batch.bytes < rest->len ? batch.bytes : rest->len;
	n = backlog_peek(rest, held);
	for (size_t i = 0; i < batch.payload_pieces && at < len; i++) {
		struct iovec *to = &dev->payload[i];

		at += iov_read(held, n, at, to->iov_base,
			       to->iov_len < len - at ? to->iov_len : len - at);
	}
	put(dev, conn, &batch, len, len == rest->len);
	backlog_consume(rest, len);
	return TO_GUEST_SENT;
}

/* A message too long is not cut: the connection ends, and says why. */
static void refuse(struct conn *conn, size_t len)
{
	char why[128];

	snprintf(why, sizeof(why),
		 "a message of %zu bytes is more than the guest takes (%u)", len,
		 conn->credit.peer_buf_alloc);
	conn_refuse_message(conn, why);
}

/*
 * Reads one message into the guest's buffers, and what they do not take into the
 * device's own. Its length, or -1 with errno; *end when it is the end in place of a
 * message.
 */
static ssize_t read_message(struct device *dev, struct conn *conn,
			    const struct batch *batch, bool *end)
{
	_Alignas(struct cmsghdr) char sender[CMSG_SPACE(sizeof(struct ucred))];
	struct msghdr msg = {.msg_iov = dev->payload,
			     .msg_iovlen = batch->payload_pieces + 1,
			     .msg_control = sender,
			     .msg_controllen = sizeof(sender)};
	ssize_t n;

	dev->payload[batch->payload_pieces] =
		(struct iovec){dev->bounce, MESSAGES_LONGEST};
	n = recvmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_TRUNC);
	*end = n == 0 && !msg.msg_controllen;
	conn->messages->rest_eor = n >= 0 && (msg.msg_flags & MSG_EOR);
	return n;
}

/* What comes next is likely to be as long, or not much longer. */
static void learn(struct conn *conn, const struct batch *batch, size_t len)
{
	size_t used = 1;

	for (size_t room = batch->room[0]; room < len && used < batch->chains; used++)
		room += batch->room[used];
	conn->batch =
		len > batch->bytes || used > CHAINS_MAX / 2 ? CHAINS_MAX : used * 2;
}

static void pass_on(struct device *dev, struct conn *conn, const struct batch *batch,
		    size_t len)
{
	size_t now = len < batch->bytes ? len : batch->bytes;
	struct iovec bounced = {dev->bounce, len - now};
	int ret;

	if (len > conn->credit.peer_buf_alloc || len - now > MESSAGES_LONGEST) {
		vring_unpop(&dev->front.ring[DEVICE_RX], batch->chains);
		refuse(conn, len);
		return;
	}
	ret = backlog_add(&conn->messages->rest, &bounced, 1, 0, len - now);
	if (ret < 0) {
		vring_unpop(&dev->front.ring[DEVICE_RX], batch->chains);
		conn_on_written(conn, ret);
		return;
	}
	learn(conn, batch, len);
	put(dev, conn, batch, now, now == len);
}

enum to_guest_outcome message_out(struct device *dev, struct conn *conn)
{
	struct batch batch = {.chains = 0};
	enum to_guest_outcome outcome;
	bool end;
	ssize_t n;

	if (conn->messages->rest.len)
		return send_rest(dev, conn);
	outcome = gather(dev, conn, conn->batch, &batch);
	if (outcome != TO_GUEST_SENT)
		return outcome;
	n = read_message(dev, conn, &batch, &end);
	if (n >= 0 && !end) {
		pass_on(dev, conn, &batch, n);
		return TO_GUEST_SENT;
	}
	vring_unpop(&dev->front.ring[DEVICE_RX], batch.chains);
	return to_guest_unread(dev, conn, n);
}
