/* SPDX-License-Identifier: Apache-2.0 */
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"

#define TURN_MS 2000 /* for an address that does not answer, before the next */

void dial_begin(struct dial *d, const struct endpoint *ep, uint32_t port,
		const struct addrinfo *list)
{
	memset(d, 0, sizeof(*d));
	d->ep = ep;
	d->port = port;
	d->at = list;
	d->fd = -1;
}

void dial_end(struct dial *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

short dial_events(const struct dial *d)
{
	if (d->fd < 0)
		return 0;
	return d->connected ? POLLIN : POLLOUT;
}

/* Whether there is another address to try. */
static bool has_next(const struct dial *d)
{
	return !d->connected && d->at && d->at->ai_next;
}

int dial_turn_ms(const struct dial *d)
{
	return has_next(d) ? deadline_left_ms(d->turn) : -1;
}

int dial_fail(const struct dial *d, int ret, struct error *err)
{
	char where[ENDPOINT_TEXT_MAX];

	endpoint_format(d->ep, where);
	if (!d->connected && d->ep->kind == ENDPOINT_VSOCK)
		return error_set(err, ret, "connecting to vsock CID %u port %u: %s",
				 d->ep->cid, d->port, strerror(-ret));
	if (!d->connected)
		return error_set(err, ret, "connecting to %s: %s",
				 d->ep->kind == ENDPOINT_UNIX ? d->ep->path : where,
				 strerror(-ret));
	if (ret == -ECONNRESET || ret == -EPIPE)
		return error_set(err, -ECONNRESET, "%s: the guest refuses port %u",
				 where, d->port);
	if (ret == -EPROTO)
		return error_set(
			err, ret,
			"%s answers CONNECT with something that is no OK line; is it "
			"a hybrid vsock socket?",
			where);
	return error_set(err, ret, "%s: CONNECT %u: %s", where, d->port,
			 strerror(-ret));
}

/* Begins to connect. 0: under way, or done. */
static int begin_connect(struct dial *d, struct error *err)
{
	struct sockaddr_storage own;
	socklen_t len = endpoint_address(d->ep, d->port, &own);
	const struct sockaddr *addr = (struct sockaddr *)&own;
	cleanup_close int fd = -1;

	if (d->at) {
		addr = d->at->ai_addr;
		len = d->at->ai_addrlen;
	}
	d->turn = deadline_after_ms(TURN_MS);
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 && d->ep->kind == ENDPOINT_VSOCK)
		return error_set(
			err, -errno,
			"socket(AF_VSOCK): %s; is the vhost_vsock module loaded?",
			strerror(errno));
	if (fd < 0)
		return error_set(err, -errno, "socket: %s", strerror(errno));
	if (connect(fd, addr, len) && errno != EINPROGRESS && errno != EINTR)
		return errno == EAGAIN ? -EAGAIN : dial_fail(d, -errno, err);
	d->fd = steal_fd(&fd);
	return 0;
}

/* Once connecting has ended: whether it went well, and the line. */
static int finish_connect(struct dial *d, struct error *err)
{
	struct pollfd p = {.fd = d->fd, .events = POLLOUT};
	char line[HYBRID_LINE_MAX];
	socklen_t size = sizeof(int);
	size_t len;
	int error = 0;

	if (!poll(&p, 1, 0))
		return -EAGAIN;
	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &size))
		error = errno;
	if (error)
		return dial_fail(d, -error, err);
	d->connected = true;
	if (d->ep->kind == ENDPOINT_VSOCK)
		return 0;
	/* A new connection has room for a line. */
	len = hybrid_format_connect(line, d->port);
	if (send(d->fd, line, len, MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	return dial_fail(d, errno == EPIPE ? -EPIPE : -EIO, err);
}

/* Byte by byte: what stands behind the newline belongs to the connection. */
static int read_ok(struct dial *d, struct error *err)
{
	uint32_t host_port;
	int ret = 0;

	while (!ret) {
		ssize_t n = recv(d->fd, d->line + d->len, 1, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return -EAGAIN;
		if (n <= 0)
			return dial_fail(d, n ? -errno : -ECONNRESET, err);
		d->len++;
		ret = hybrid_parse_ok(d->line, d->len, &host_port);
	}
	return ret < 0 ? dial_fail(d, ret, err) : 0;
}

static int connect_step(struct dial *d, struct error *err)
{
	int ret = d->fd < 0 ? begin_connect(d, err) : 0;

	return ret ? ret : finish_connect(d, err);
}

int dial_step(struct dial *d, struct error *err)
{
	int ret = d->connected ? 0 : connect_step(d, err);

	while (has_next(d) && ((ret && ret != -EAGAIN) || !dial_turn_ms(d))) {
		dial_end(d);
		d->at = d->at->ai_next;
		ret = connect_step(d, err);
	}
	if (!ret && d->ep->kind != ENDPOINT_VSOCK)
		ret = read_ok(d, err);
	return ret;
}
