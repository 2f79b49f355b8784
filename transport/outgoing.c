/* SPDX-License-Identifier: Apache-2.0 */
#include "outgoing.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn_open.h"
#include "log.h"
#include "sandbox_calls.h"
#include "target.h"

SANDBOX_CALLS("close", "getsockopt");

/* Who is to be reached. */
struct call {
	uint32_t peer_cid, port;
	uint32_t guest_port;
	uint16_t type;
};

static void say_refused(struct device *dev, const struct call *call,
			unsigned int choice, int error)
{
	char where[TARGET_TEXT_MAX];

	target_describe(dev->routes, call->peer_cid, call->port, call->type, choice,
			where);
	if (error == -ENOENT || error == -ECONNREFUSED || error == -ECONNRESET)
		log_debug("connection " CONN_NAME ": nobody listens on %s",
			  call->peer_cid, call->port, dev->routes->guest_cid,
			  call->guest_port, where);
	else if (error == -EPROTOTYPE)
		log_debug("connection " CONN_NAME ": %s does not take %s",
			  call->peer_cid, call->port, dev->routes->guest_cid,
			  call->guest_port, where,
			  call->type == PACKET_SEQPACKET ? "messages" : "streams");
	else
		log_limited(LOG_LEVEL_WARNING,
			    "connection " CONN_NAME ": cannot connect to %s: %s",
			    call->peer_cid, call->port, dev->routes->guest_cid,
			    call->guest_port, where, strerror(-error));
}

/*
 * Dials from the given choice on, until one is connected or may yet be: a
 * descriptor, or what the last one failed with. -EAGAIN: the choice is to be tried
 * again.
 */
static int dial(struct device *dev, const struct call *call, uint8_t *choice,
		bool *pending)
{
	for (;;) {
		int fd = target_dial(dev->routes, call->peer_cid, call->port,
				     call->type, *choice, pending);

		if (fd >= 0 || fd == -EAGAIN)
			return fd;
		if (!target_has_more(dev->routes, call->peer_cid, call->port, *choice,
				     fd)) {
			say_refused(dev, call, *choice, fd);
			return fd;
		}
		(*choice)++;
	}
}

static void on_connected(struct device *dev, struct conn *conn, int fd)
{
	if (conn->peer_cid == PACKET_HOST_CID)
		conn_dialled(conn, fd);
	else
		conn_greet(conn, fd, dev->routes->guest_cid, dev->now);
}

/* What dial() has given is the connection's. */
static void take(struct device *dev, struct conn *conn, int fd, bool pending)
{
	if (fd < 0 || pending)
		conn_dialling(conn, fd, dev->now);
	else
		on_connected(dev, conn, fd);
	if (conn->fd >= 0)
		device_watch(dev, conn);
}

int outgoing_begin(struct device *dev, const struct packet *request,
		   enum reset_reason *reason)
{
	const struct call call = {(uint32_t)request->dst_cid, request->dst_port,
				  request->src_port, request->type};
	bool pending = false;
	struct conn *conn;
	uint8_t choice = 0;
	int fd = dial(dev, &call, &choice, &pending);

	*reason = RESET_HOST_REFUSED;
	if (fd < 0 && fd != -EAGAIN)
		return fd;
	conn = device_new_conn(dev, request->type, ORIGIN_GUEST);
	if (!conn) {
		if (fd >= 0)
			close(fd);
		*reason = RESET_REASONS;
		return -ENOBUFS;
	}
	conn_request(conn, request, dev->now);
	conn->choice = choice;
	log_debug("connection " CONN_NAME ": the guest has asked for it",
		  CONN_NAME_ARGS(conn));
	take(dev, conn, fd, pending);
	device_settle(dev, conn);
	return 0;
}

/* The socket that was to be connected is no use: the next choice's turn. */
static void try_next(struct device *dev, struct conn *conn, int error)
{
	const struct call call = {conn->peer_cid, conn->host_port, conn->guest_port,
				  conn->type};
	bool pending = false;
	int fd = error;

	close(conn->fd);
	conn->fd = -1;
	if (target_has_more(dev->routes, call.peer_cid, call.port, conn->choice,
			    error)) {
		conn->choice++;
		fd = dial(dev, &call, &conn->choice, &pending);
	} else {
		say_refused(dev, &call, conn->choice, error);
	}
	if (fd >= 0 || fd == -EAGAIN)
		take(dev, conn, fd, pending);
	else
		conn_reset(conn, RESET_HOST_REFUSED, strerror(-fd));
}

void outgoing_on_socket(struct device *dev, struct conn *conn, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (conn->fd < 0 || !(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		try_next(dev, conn, -error);
	else
		on_connected(dev, conn, conn->fd);
}

/* The queue of whoever listens was full: another try. */
static void retry(struct device *dev, struct conn *conn)
{
	const struct call call = {conn->peer_cid, conn->host_port, conn->guest_port,
				  conn->type};
	bool pending = false;
	int fd = dial(dev, &call, &conn->choice, &pending);

	if (fd >= 0)
		take(dev, conn, fd, pending);
	else if (fd == -EAGAIN && dev->now < conn->give_up)
		conn_dialling(conn, -1, dev->now);
	else
		conn_on_timeout(conn, dev->now);
}

void outgoing_on_timeout(struct device *dev, struct conn *conn)
{
	if (conn->fd < 0)
		retry(dev, conn);
	else
		try_next(dev, conn, -ETIMEDOUT);
}
