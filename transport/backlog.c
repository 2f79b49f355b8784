/* SPDX-License-Identifier: Apache-2.0 */
#include "backlog.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "iov.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("sendmsg", "getsockopt", "setsockopt", "poll", "ppoll");

enum {
	BACKLOG_MIN = 4096,
	/* Bytes of a socket's buffer, as the kernel counts them: twice what it is told.
	 */
	WIDE = 2 << 20,
	ORDINARY = 208 << 10,
};

void backlog_pool_share(struct backlog_pool *pool, struct backlog_pool *whole)
{
	*pool = (struct backlog_pool){.whole = whole, .max = whole->max / 2};
}

/* Takes memory out of a pool and what it is a share of; false: there is not so much. */
static bool take(struct backlog_pool *pool, size_t size)
{
	for (struct backlog_pool *p = pool; p; p = p->whole)
		if (size > p->max - p->used)
			return false;
	for (; pool; pool = pool->whole)
		pool->used += size;
	return true;
}

static void give_back(struct backlog_pool *pool, size_t size)
{
	for (; pool; pool = pool->whole)
		pool->used -= size;
}

static int grow(struct backlog *backlog, size_t need)
{
	size_t size = backlog->size ? backlog->size : BACKLOG_MIN, done = 0, n;
	struct iovec held[2];
	char *data;

	while (size < need)
		size *= 2;
	if (size == backlog->size)
		return 0;
	if (!take(backlog->pool, size - backlog->size))
		return -EDQUOT;
	data = malloc(size);
	if (!data) {
		give_back(backlog->pool, size - backlog->size);
		return -ENOMEM;
	}
	n = backlog_peek(backlog, held);
	for (size_t i = 0; i < n; i++) {
		memcpy(data + done, held[i].iov_base, held[i].iov_len);
		done += held[i].iov_len;
	}
	free(backlog->data);
	backlog->data = data;
	backlog->size = size;
	backlog->start = 0;
	return 0;
}

/* So many bytes came, or went. */
static void tally(struct backlog *backlog, size_t came, size_t went)
{
	backlog->len += came - went;
	for (struct backlog_pool *p = backlog->pool; p && !backlog->apart; p = p->whole)
		p->held += came - went;
}

int backlog_add(struct backlog *backlog, const struct iovec *iov, size_t count,
		size_t offset, size_t len)
{
	size_t end, first;
	int ret;

	if (!len)
		return 0;
	ret = grow(backlog, backlog->len + len);
	if (ret < 0)
		return ret;
	end = (backlog->start + backlog->len) & (backlog->size - 1);
	first = backlog->size - end < len ? backlog->size - end : len;
	iov_read(iov, count, offset, backlog->data + end, first);
	iov_read(iov, count, offset + first, backlog->data, len - first);
	tally(backlog, len, 0);
	return 0;
}

size_t backlog_peek(const struct backlog *backlog, struct iovec out[static 2])
{
	size_t first = backlog->size - backlog->start;

	if (!backlog->len)
		return 0;
	if (first > backlog->len)
		first = backlog->len;
	out[0] = (struct iovec){backlog->data + backlog->start, first};
	if (first == backlog->len)
		return 1;
	out[1] = (struct iovec){backlog->data, backlog->len - first};
	return 2;
}

void backlog_consume(struct backlog *backlog, size_t len)
{
	if (len >= backlog->len) {
		backlog_clear(backlog);
		return;
	}
	backlog->start = (backlog->start + len) & (backlog->size - 1);
	tally(backlog, 0, len);
}

void backlog_cut(struct backlog *backlog, size_t len)
{
	if (len >= backlog->len)
		backlog_clear(backlog);
	else
		tally(backlog, 0, len);
}

static ssize_t write_some(int fd, const struct iovec *iov, size_t count)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
	ssize_t n;

	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

static void set_wide(struct backlog *backlog, size_t size)
{
	for (struct backlog_pool *p = backlog->pool; p; p = p->whole)
		p->wide += size - backlog->wide;
	backlog->wide = size;
}

static bool is_unix(int fd)
{
	socklen_t len = sizeof(int);
	int domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_UNIX;
}

/* Whether one more socket may be wide. */
static bool may_widen(const struct backlog_pool *pool)
{
	for (; pool; pool = pool->whole)
		if (pool->wide + WIDE > pool->max / 2)
			return false;
	return true;
}

/* False when that cannot be, or was done before. */
static bool widen(struct backlog *backlog, int fd)
{
	int size = WIDE / 2;

	if (backlog->wide || !may_widen(backlog->pool))
		return false;
	/* TCP knows better how much it needs. */
	if (!is_unix(fd))
		return false;
	/* Beyond what the administrator allows to all, if we may. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) < 0)
		return false;
	set_wide(backlog, WIDE);
	return true;
}

void backlog_raised(struct backlog *backlog, int fd)
{
	socklen_t len = sizeof(int);
	int size;

	if (is_unix(fd) && getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0)
		set_wide(backlog, (size_t)size);
}

bool backlog_narrow(struct backlog *backlog, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int size = ORDINARY / 2;

	if (!backlog->wide)
		return true;
	/* There is room, in the kernel's eyes, while no more than a quarter is in use.
	 */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (poll(&p, 1, 0) >= 0 && !(p.revents & POLLOUT))
		return false;
	set_wide(backlog, 0);
	return true;
}

ssize_t backlog_send(struct backlog *backlog, int fd, const struct iovec *iov,
		     size_t count, size_t len)
{
	ssize_t n = backlog->len ? 0 : write_some(fd, iov, count);
	int ret;

	if (n < 0)
		return n;
	ret = backlog_add(backlog, iov, count, n, len - n);
	if (ret < 0)
		return ret;
	/* What is held now may find room after all. */
	if (backlog->len && widen(backlog, fd)) {
		ssize_t more = backlog_flush(backlog, fd);

		return more < 0 ? more : n + more;
	}
	return n;
}

ssize_t backlog_flush(struct backlog *backlog, int fd)
{
	struct iovec held[2];
	ssize_t n = write_some(fd, held, backlog_peek(backlog, held));

	if (n > 0)
		backlog_consume(backlog, n);
	return n;
}

void backlog_clear(struct backlog *backlog)
{
	if (!backlog->data)
		return;
	free(backlog->data);
	give_back(backlog->pool, backlog->size);
	tally(backlog, 0, backlog->len);
	*backlog = (struct backlog){
		.pool = backlog->pool, .wide = backlog->wide, .apart = backlog->apart};
}

void backlog_end(struct backlog *backlog)
{
	backlog_clear(backlog);
	set_wide(backlog, 0);
}
