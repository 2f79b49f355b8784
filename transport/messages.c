/* SPDX-License-Identifier: Apache-2.0 */
#include "messages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "iov.h"
#include "packet.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("getsockopt", "setsockopt", "sendmsg");

enum {
	LENGTH_BYTES_MAX = 5, /* 33 bits, in sevens */
	SNDBUF_OVERHEAD = 4096,
};

struct messages *messages_new(struct backlog_pool *pool)
{
	struct messages *messages = calloc(1, sizeof(*messages));

	if (messages) {
		messages->lengths.pool = pool;
		messages->lengths.apart = true;
		messages->rest.pool = pool;
	}
	return messages;
}

void messages_clear(struct messages *messages)
{
	backlog_clear(&messages->lengths);
	messages->count = 0;
	messages->part = 0;
}

void messages_free(struct messages *messages)
{
	if (!messages)
		return;
	messages_clear(messages);
	backlog_clear(&messages->rest);
	free(messages);
}

void messages_prepare(struct backlog *bytes, int fd, uint32_t longest)
{
	int size = (int)longest, on = 1, now = 0;
	socklen_t len = sizeof(now);

	/* A message has to fit whole; the kernel doubles what it is given. */
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &now, &len) == 0 &&
	    now / 2 < size + SNDBUF_OVERHEAD) {
		size += SNDBUF_OVERHEAD;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		backlog_raised(bytes, fd);
	}
	/* An empty message then comes with its sender, and the end with nobody. */
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
}

/* 0, -EAGAIN when the socket is full, or another negative errno. */
static int write_message(int fd, const struct iovec *iov, size_t count, bool eor)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
	ssize_t n;

	do
		n = sendmsg(fd, &msg,
			    MSG_NOSIGNAL | MSG_DONTWAIT | (eor ? MSG_EOR : 0));
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return -EAGAIN;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

/* The length and whether a record ends, in as few bytes as small ones need. */
static int note_length(struct messages *messages, uint32_t len, bool eor)
{
	uint64_t value = (uint64_t)len << 1 | eor;
	uint8_t byte[LENGTH_BYTES_MAX];
	struct iovec iov = {byte, 0};
	int ret;

	do {
		byte[iov.iov_len] = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
		iov.iov_len++;
		value >>= 7;
	} while (value);
	ret = backlog_add(&messages->lengths, &iov, 1, 0, iov.iov_len);
	if (ret == 0)
		messages->count++;
	return ret;
}

/* Reads the oldest one; returns how many bytes it takes. */
static size_t first_length(const struct messages *messages, uint32_t *len, bool *eor)
{
	uint8_t byte[LENGTH_BYTES_MAX] = {0};
	struct iovec held[2];
	size_t n = backlog_peek(&messages->lengths, held), i = 0;
	uint64_t value = 0;

	iov_read(held, n, 0, byte, sizeof(byte));
	do
		value |= (uint64_t)(byte[i] & 0x7f) << 7 * i;
	while (byte[i++] & 0x80 && i < sizeof(byte));
	*len = (uint32_t)(value >> 1);
	*eor = value & 1;
	return i;
}

ssize_t messages_flush(struct messages *messages, struct backlog *bytes, int fd)
{
	ssize_t total = 0;

	while (messages->count) {
		struct iovec held[2], piece[2];
		uint32_t len;
		bool eor;
		size_t used = first_length(messages, &len, &eor), n;
		int ret;

		n = backlog_peek(bytes, held);
		n = iov_slice(piece, 2, held, n, 0, len);
		ret = write_message(fd, piece, n, eor);
		if (ret == -EAGAIN)
			break;
		if (ret < 0)
			return ret;
		backlog_consume(&messages->lengths, used);
		if (len)
			backlog_consume(bytes, len);
		messages->count--;
		total += len;
	}
	return total;
}

ssize_t messages_send(struct messages *messages, struct backlog *bytes, int fd,
		      const struct iovec *iov, size_t count, uint32_t len,
		      uint32_t flags, uint32_t max)
{
	bool eom = flags & PACKET_EOM, eor = flags & PACKET_EOR;
	int ret;

	/* Most are: straight from the guest's memory. */
	if (eom && !messages->count && !messages->part) {
		ret = write_message(fd, iov, count, eor);
		if (ret != -EAGAIN)
			return ret < 0 ? ret : (ssize_t)len;
	}
	if (eom && messages->count >= max)
		return -EOVERFLOW;
	ret = backlog_add(bytes, iov, count, 0, len);
	if (ret < 0)
		return ret;
	messages->part += len;
	if (!eom)
		return 0;
	ret = note_length(messages, messages->part, eor);
	if (ret < 0)
		return ret;
	messages->part = 0;
	/* Behind others it waits as they do. */
	return messages->count == 1 ? messages_flush(messages, bytes, fd) : 0;
}

uint32_t messages_cut(struct messages *messages, struct backlog *bytes)
{
	uint32_t part = messages->part;

	messages->part = 0;
	backlog_cut(bytes, part);
	return part;
}
