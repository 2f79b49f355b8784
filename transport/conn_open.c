/* SPDX-License-Identifier: Apache-2.0 */
#include "conn_open.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "hybrid.h"
#include "log.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("recvfrom", "sendto");

/* The guest is to be asked; what follows in the socket is for it. */
static void ask(struct conn *conn, uint64_t now)
{
	log_debug("connection " CONN_NAME ": asking the guest", CONN_NAME_ARGS(conn));
	conn->readable = true;
	conn->state = CONN_REQUESTED;
	conn->want = CONN_WANT(PACKET_REQUEST);
	conn->deadline = now + CONN_REQUEST_TIMEOUT;
}

void conn_accept(struct conn *conn, int fd, enum conn_origin origin, uint64_t now)
{
	conn->fd = fd;
	conn->origin = origin;
	conn->batch = CONN_BATCH_MAX;
	if (origin == ORIGIN_MAP) {
		ask(conn, now);
		return;
	}
	conn->state = CONN_LINE;
	conn->deadline = now + CONN_LINE_TIMEOUT;
}

void conn_request(struct conn *conn, const struct packet *request, uint64_t now)
{
	conn->origin = ORIGIN_GUEST;
	conn->batch = CONN_BATCH_MAX;
	conn->peer_cid = (uint32_t)request->dst_cid;
	conn->host_port = request->dst_port;
	conn->guest_port = request->src_port;
	credit_hear(&conn->credit, request);
	conn->state = CONN_DIALLING;
	conn->deadline = now + CONN_DIAL_RETRY;
	conn->give_up = now + CONN_DIAL_TIMEOUT;
}

void conn_dialling(struct conn *conn, int fd, uint64_t now)
{
	conn->fd = fd;
	conn->deadline = now + (fd < 0 ? CONN_DIAL_RETRY : CONN_CONNECT_TIMEOUT);
}

void conn_dialled(struct conn *conn, int fd)
{
	conn->fd = fd;
	conn->readable = true;
	conn->deadline = 0;
	conn->state = CONN_OPEN;
	conn->common->stats.opened++;
	conn->want |= CONN_WANT(PACKET_RESPONSE);
	log_debug("connection " CONN_NAME " is open", CONN_NAME_ARGS(conn));
}

void conn_greet(struct conn *conn, int fd, uint32_t guest_cid, uint64_t now)
{
	char line[HYBRID_FROM_LINE_MAX];
	size_t len = hybrid_format_connect_from(line, conn->host_port, guest_cid,
						conn->guest_port);

	conn->fd = fd;
	conn->state = CONN_GREETING;
	conn->deadline = now + CONN_GREET_TIMEOUT;
	if (send(fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		conn_reset(conn, RESET_HOST_SOCKET,
			   "the sibling's socket does not take the line");
}

static int parse(struct conn *conn, const char *line, size_t len)
{
	uint32_t answer;

	if (conn->state == CONN_GREETING)
		return hybrid_parse_ok(line, len, &answer);
	if (conn->origin == ORIGIN_PEER)
		return hybrid_parse_connect_from(line, len, &conn->guest_port,
						 &conn->peer_cid, &conn->host_port);
	return hybrid_parse_connect(line, len, &conn->guest_port);
}

/*
 * Takes the line and nothing behind it, which is the guest's. 1 when it is there
 * and right, 0 when it is not there yet, -EPROTO when it is wrong, -ECONNRESET when
 * none will come.
 */
static int take_line(struct conn *conn, uint32_t events)
{
	char line[HYBRID_FROM_LINE_MAX];
	ssize_t n;
	int len;

	/* Of a message the true length, so that one that is cut is no line. */
	n = recv(conn->fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -ECONNRESET;
	if (conn->type == PACKET_SEQPACKET && (size_t)n > sizeof(line))
		return -EPROTO;
	len = parse(conn, line, n);
	if (len < 0)
		return len;
	/* A message is a line, whole and alone. */
	if (conn->type == PACKET_SEQPACKET && len != n)
		return -EPROTO;
	if (len == 0)
		return events & (EPOLLRDHUP | EPOLLHUP) ? -ECONNRESET : 0;
	return recv(conn->fd, line, len, MSG_DONTWAIT) == len ? 1 : -ECONNRESET;
}

static void on_line(struct conn *conn, uint32_t events, uint64_t now)
{
	int ret = take_line(conn, events);

	if (ret == -EPROTO)
		log_limited(LOG_LEVEL_WARNING,
			    "%s sent something other than \"CONNECT <port>%s\", it is "
			    "turned away",
			    conn->origin == ORIGIN_PEER ? "a sibling"
							: "a host program",
			    conn->origin == ORIGIN_PEER ? " FROM <cid>:<port>" : "");
	if (ret < 0)
		conn_turn_away(conn);
	else if (ret > 0)
		ask(conn, now);
}

static void on_greeted(struct conn *conn, uint32_t events)
{
	int ret = take_line(conn, events);

	if (ret > 0)
		conn_dialled(conn, conn->fd);
	else if (ret == -EPROTO)
		conn_reset(conn, RESET_HOST_REFUSED,
			   "the sibling's answer is no OK line");
	else if (ret < 0)
		conn_reset(conn, RESET_HOST_REFUSED, "the sibling refuses");
}

void conn_open_on_socket(struct conn *conn, uint32_t events, uint64_t now)
{
	if (conn->state == CONN_LINE)
		on_line(conn, events, now);
	else if (conn->state == CONN_GREETING)
		on_greeted(conn, events);
}

void conn_open_on_response(struct conn *conn)
{
	char line[HYBRID_LINE_MAX];
	struct iovec iov = {line, hybrid_format_ok(line, conn->host_port)};
	ssize_t n;

	if (conn->state != CONN_REQUESTED) {
		conn_reset(conn, RESET_PROTOCOL,
			   "the guest sent a RESPONSE to no REQUEST");
		return;
	}
	conn->state = CONN_OPEN;
	conn->common->stats.opened++;
	conn->deadline = 0;
	log_debug("connection " CONN_NAME " is open", CONN_NAME_ARGS(conn));
	if (conn->origin == ORIGIN_MAP)
		return;
	n = backlog_send(&conn->backlog, conn->fd, &iov, 1, iov.iov_len);
	if (n == -EPIPE)
		conn_on_written(conn, n);
	else if (n != (ssize_t)iov.iov_len)
		conn_reset(conn, RESET_HOST_SOCKET,
			   "the host program's socket does not take the OK line");
}
