/* SPDX-License-Identifier: Apache-2.0 */
#include "conn_message.h"
#include "conn_open.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("close", "poll", "ppoll", "recvfrom", "shutdown");

enum {
	/* Reads of what the guest does not want: more than a socket holds. */
	REFUSED_ROUNDS = 1024,
};

static void close_socket(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->leaving = false;
	conn->readable = false;
	backlog_end(&conn->backlog);
	messages_free(conn->messages);
	conn->messages = NULL;
}

void conn_die(struct conn *conn)
{
	close_socket(conn);
	conn->want = 0;
	conn->deadline = 0;
	conn->state = CONN_DEAD;
}

/*
 * The guest takes no more. What is on its way already is thrown away: as long as
 * it fills the socket, a program that polls would wait to write for ever, and
 * never learn that it cannot. To a Unix socket nothing can be added behind the
 * shutdown; a TCP peer may go on, and is not listened to any further.
 */
static void refuse_bytes(struct conn *conn)
{
	char bytes[16384];
	int rounds = REFUSED_ROUNDS;
	ssize_t n;

	conn->rd_shut = true;
	conn->readable = false;
	if (conn->messages)
		backlog_clear(&conn->messages->rest);
	shutdown(conn->fd, SHUT_RD);
	do
		n = recv(conn->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while ((n > 0 || (n < 0 && errno == EINTR)) && --rounds);
}

/*
 * Nothing more is written. As long as the kernel holds more for the program than it
 * would of any connection that was closed, the socket stays and counts; the program
 * finds the end behind that, as it would.
 */
static void let_go(struct conn *conn)
{
	if (conn->fd < 0 || backlog_narrow(&conn->backlog, conn->fd)) {
		close_socket(conn);
		return;
	}
	if (conn->leaving)
		return;
	conn->leaving = true;
	refuse_bytes(conn);
	shutdown(conn->fd, SHUT_WR);
	conn->credit.fwd_cnt = conn->credit.rx_cnt;
	conn->credit.kept = 0;
	backlog_clear(&conn->backlog);
	messages_free(conn->messages);
	conn->messages = NULL;
}

void conn_over(struct conn *conn)
{
	let_go(conn);
	if (conn->fd < 0) {
		conn_die(conn);
		return;
	}
	conn->want = 0;
	conn->deadline = 0;
	conn->state = CONN_LINGER;
}

/* Over for the host program; the guest will be told. */
static void end(struct conn *conn)
{
	if (conn->state == CONN_LINE || conn->state == CONN_LINGER) {
		conn_die(conn);
		return;
	}
	let_go(conn);
	conn->want = CONN_WANT(PACKET_RST);
	conn->deadline = 0;
	conn->state = CONN_ENDING;
}

static void count_reset(struct conn *conn, enum reset_reason reason)
{
	conn->common->stats.resets[reason]++;
	if (conn->state < CONN_OPEN)
		conn->common->stats.refused++;
}

void conn_reset(struct conn *conn, enum reset_reason reason, const char *why)
{
	count_reset(conn, reason);
	log_debug("connection " CONN_NAME " is reset: %s", CONN_NAME_ARGS(conn), why);
	if (conn->backlog.len)
		log_limited(LOG_LEVEL_WARNING,
			    "connection " CONN_NAME
			    ": %zu bytes from the guest are lost, since "
			    "it is reset: %s",
			    CONN_NAME_ARGS(conn), conn->backlog.len, why);
	end(conn);
}

static void tell_shutdown(struct conn *conn, uint8_t flags)
{
	if ((conn->host_shut & flags) == flags)
		return;
	conn->host_shut |= flags;
	conn->want |= CONN_WANT(PACKET_SHUTDOWN);
}

/* Nobody will read what the guest sends. */
static void lose_reader(struct conn *conn)
{
	if (conn->backlog.len)
		log_debug("connection " CONN_NAME
			  ": the host program closed and left %zu bytes "
			  "from the guest",
			  CONN_NAME_ARGS(conn), conn->backlog.len);
	/* Else a guest that waits for room would never try, and learn it, again. */
	conn->credit.fwd_cnt = conn->credit.rx_cnt;
	conn->credit.kept = 0;
	backlog_clear(&conn->backlog);
	if (conn->messages)
		messages_clear(conn->messages);
	conn->hangup = true;
	tell_shutdown(conn, PACKET_SHUT_RCV);
}

/*
 * Brings the two sides' half-closes to their end. Once both directions are over
 * the guest either gets the RST that it waits for, or has a while to send it.
 */
static void settle(struct conn *conn, uint64_t now)
{
	if (conn->state != CONN_OPEN)
		return;
	/* Gone, and nothing is left that it sent and the guest would take. */
	if (conn->hangup && ((conn->host_shut & PACKET_SHUT_SEND) ||
			     (conn->guest_shut & PACKET_SHUT_RCV))) {
		lose_reader(conn);
		tell_shutdown(conn, PACKET_SHUT_BOTH);
	}
	if ((conn->guest_shut & PACKET_SHUT_SEND) && !conn_owes(conn) &&
	    !conn->wr_shut) {
		conn->wr_shut = true;
		shutdown(conn->fd, SHUT_WR);
	}
	if ((conn->guest_shut & PACKET_SHUT_RCV) && !conn->rd_shut)
		refuse_bytes(conn);
	if (conn->guest_shut == PACKET_SHUT_BOTH) {
		if (conn_owes(conn))
			return;
		log_debug("connection " CONN_NAME " is closed", CONN_NAME_ARGS(conn));
		end(conn);
		return;
	}
	if (conn->wr_shut && (conn->host_shut & PACKET_SHUT_SEND))
		tell_shutdown(conn, PACKET_SHUT_BOTH);
	if (conn->host_shut == PACKET_SHUT_BOTH && !conn->closing) {
		conn->closing = true;
		conn->deadline = now + CONN_CLOSE_TIMEOUT;
	}
}

void conn_on_written(struct conn *conn, ssize_t n)
{
	if (n == -EPIPE)
		lose_reader(conn);
	else if (n == -EDQUOT)
		conn_reset(conn, RESET_BUFFER_TOTAL,
			   conn->backlog.pool->whole
				   ? "what is held for all siblings that do not read "
				     "is at their half of --buffer-total"
				   : "what is held for all host programs that do not "
				     "read is at --buffer-total");
	else if (n < 0)
		conn_reset(conn, n == -ENOMEM ? RESET_NO_MEMORY : RESET_HOST_SOCKET,
			   strerror((int)-n));
	else
		credit_forward(&conn->credit, (uint32_t)n);
}

static void flush_backlog(struct conn *conn)
{
	if (conn->fd < 0 || !conn_owes(conn))
		return;
	conn_on_written(conn, conn->messages ? messages_flush(conn->messages,
							      &conn->backlog, conn->fd)
					     : backlog_flush(&conn->backlog, conn->fd));
}

static void note_credit(struct conn *conn)
{
	if (conn->state == CONN_OPEN && !(conn->guest_shut & PACKET_SHUT_SEND) &&
	    credit_should_tell(&conn->credit))
		conn->want |= CONN_WANT(PACKET_CREDIT_UPDATE);
}

void conn_turn_away(struct conn *conn)
{
	conn->common->stats.refused++;
	conn_die(conn);
}

/* A program that has left without a byte for the guest does not want it any more. */
static void check_requester(struct conn *conn)
{
	char byte;

	if (recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return;
	if (conn->want & CONN_WANT(PACKET_REQUEST))
		conn_turn_away(conn);
	else
		conn_reset(conn, RESET_HOST_LEFT,
			   "the host program left before the guest answered");
}

void conn_on_socket(struct conn *conn, uint32_t events, uint64_t now)
{
	if (conn->fd < 0)
		return;
	if (conn->state == CONN_LINE || conn->state == CONN_GREETING) {
		conn_open_on_socket(conn, events, now);
		if (conn->state != CONN_REQUESTED && conn->state != CONN_OPEN)
			return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		conn->readable = true;
	if (events & EPOLLHUP)
		conn->hangup = true;
	if (conn->state == CONN_REQUESTED && conn->hangup)
		check_requester(conn);
	flush_backlog(conn);
	if (conn->state == CONN_LINGER && !conn_owes(conn))
		conn_over(conn);
	note_credit(conn);
	settle(conn, now);
}

static void on_rst(struct conn *conn)
{
	log_debug("connection " CONN_NAME ": the guest %s", CONN_NAME_ARGS(conn),
		  conn->state == CONN_REQUESTED ? "refuses"
		  : conn->closing		? "has closed it"
						: "has reset it");
	if (conn->state == CONN_REQUESTED)
		count_reset(conn, RESET_GUEST_REFUSED);
	else if (!conn->closing)
		count_reset(conn, RESET_GUEST);
	conn_cut_message(conn);
	if (conn->state != CONN_OPEN || !conn_owes(conn)) {
		conn_over(conn);
		return;
	}
	refuse_bytes(conn);
	conn->want = 0;
	conn->deadline = 0;
	conn->state = CONN_LINGER;
}

/* Counts what came, and whether it keeps to the credit. */
static bool take_data(struct conn *conn, uint32_t len)
{
	struct stats *stats = &conn->common->stats;

	if (!credit_take(&conn->credit, len))
		return false;
	stats->from_guest_packets++;
	stats->from_guest_bytes += len;
	conn->stats.from_guest_packets++;
	conn->stats.from_guest_bytes += len;
	return true;
}

static void on_rw(struct conn *conn, const struct packet *packet,
		  const struct iovec *payload, size_t count)
{
	if (conn->state != CONN_OPEN || (conn->guest_shut & PACKET_SHUT_SEND)) {
		conn_reset(conn, RESET_PROTOCOL,
			   "the guest sent data where none may come");
		return;
	}
	if (!take_data(conn, packet->len)) {
		conn_reset(conn, RESET_CREDIT,
			   "the guest sent more than it had credit for");
		return;
	}
	/* Sent before the guest could know that nobody reads. */
	if (conn->host_shut & PACKET_SHUT_RCV || (!packet->len && !conn->messages)) {
		credit_forward(&conn->credit, packet->len);
		return;
	}
	if (conn->messages)
		conn_take_message(conn, packet, payload, count);
	else
		conn_on_written(conn, backlog_send(&conn->backlog, conn->fd, payload,
						   count, packet->len));
}

static void on_shutdown(struct conn *conn, uint32_t flags)
{
	conn->guest_shut |= flags & PACKET_SHUT_BOTH;
	if (conn->guest_shut & PACKET_SHUT_SEND)
		conn_cut_message(conn);
}

/* What any packet says besides what it is for. */
static void hear(struct conn *conn, const struct packet *packet)
{
	if (credit_hear(&conn->credit, packet))
		conn->ask_wait = CONN_ASK_MIN;
	conn->asked = false;
}

bool conn_gather(struct conn *conn, const struct packet *packet)
{
	if (packet->op != PACKET_RW || packet->type != PACKET_STREAM || !packet->len ||
	    conn->state != CONN_OPEN || conn->backlog.len ||
	    (conn->guest_shut & PACKET_SHUT_SEND) ||
	    (conn->host_shut & PACKET_SHUT_RCV) || !take_data(conn, packet->len))
		return false;
	hear(conn, packet);
	return true;
}

void conn_write(struct conn *conn, const struct iovec *iov, size_t count, size_t len,
		uint64_t now)
{
	conn_on_written(conn, backlog_send(&conn->backlog, conn->fd, iov, count, len));
	note_credit(conn);
	settle(conn, now);
}

void conn_on_packet(struct conn *conn, const struct packet *packet,
		    const struct iovec *payload, size_t count, uint64_t now)
{
	/* What comes behind the end needs no answer: the RST is on its way. */
	if (conn->state == CONN_ENDING) {
		if (packet->op == PACKET_RST)
			conn_over(conn);
		return;
	}
	hear(conn, packet);
	switch ((enum packet_op)packet->op) {
	case PACKET_RESPONSE:
		conn_open_on_response(conn);
		break;
	case PACKET_RST:
		on_rst(conn);
		break;
	case PACKET_SHUTDOWN:
		if (conn->state == CONN_OPEN)
			on_shutdown(conn, packet->flags);
		else
			conn_reset(conn, RESET_PROTOCOL,
				   "the guest closed what was not open");
		break;
	case PACKET_RW:
		on_rw(conn, packet, payload, count);
		break;
	case PACKET_CREDIT_UPDATE:
		break;
	case PACKET_CREDIT_REQUEST:
		conn->want |= CONN_WANT(PACKET_CREDIT_UPDATE);
		break;
	case PACKET_REQUEST:
	case PACKET_INVALID:
	case PACKET_OPS:
		conn_reset(conn, RESET_PROTOCOL,
			   "the guest asks for a connection that it has");
		break;
	}
	note_credit(conn);
	settle(conn, now);
}

void conn_on_eof(struct conn *conn, uint64_t now)
{
	struct pollfd p = {.fd = conn->fd};

	/* The event that says so may be yet to come; one packet says both. */
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP))
		conn->hangup = true;
	conn->readable = false;
	tell_shutdown(conn, PACKET_SHUT_SEND);
	settle(conn, now);
}

void conn_on_sent(struct conn *conn, uint32_t bytes, uint32_t packets)
{
	conn->common->stats.to_guest_packets += packets;
	conn->common->stats.to_guest_bytes += bytes;
	conn->stats.to_guest_packets += packets;
	conn->stats.to_guest_bytes += bytes;
	credit_sent(&conn->credit, bytes, packets);
	if (!conn->asked && credit_should_ask(&conn->credit)) {
		conn->asked = true;
		conn->want |= CONN_WANT(PACKET_CREDIT_REQUEST);
	}
}

void conn_on_timeout(struct conn *conn, uint64_t now)
{
	conn->deadline = 0;
	switch (conn->state) {
	case CONN_LINE:
		log_limited(LOG_LEVEL_WARNING,
			    "a %s sent no CONNECT line within %d s, it is turned away",
			    conn->origin == ORIGIN_PEER ? "sibling" : "host program",
			    CONN_LINE_TIMEOUT / 1000);
		conn_turn_away(conn);
		break;
	case CONN_REQUESTED:
		log_limited(LOG_LEVEL_WARNING,
			    "connection " CONN_NAME
			    ": the guest did not answer within %d s",
			    CONN_NAME_ARGS(conn), CONN_REQUEST_TIMEOUT / 1000);
		conn_reset(conn, RESET_GUEST_SILENT, "the guest did not answer");
		break;
	case CONN_DIALLING:
		conn_reset(conn, RESET_HOST_REFUSED,
			   "the host program does not accept");
		break;
	case CONN_GREETING:
		log_limited(LOG_LEVEL_WARNING,
			    "connection " CONN_NAME
			    ": CID %u did not answer within %d s",
			    CONN_NAME_ARGS(conn), conn->peer_cid,
			    CONN_GREET_TIMEOUT / 1000);
		conn_reset(conn, RESET_HOST_REFUSED, "the sibling did not answer");
		break;
	case CONN_OPEN:
		if (conn->closing) {
			count_reset(conn, RESET_GUEST_SILENT);
			end(conn);
			break;
		}
		if (conn_is_blocked(conn)) {
			conn->asked = true;
			conn->want |= CONN_WANT(PACKET_CREDIT_REQUEST);
			credit_lend(&conn->credit);
		}
		break;
	case CONN_ENDING:
	case CONN_LINGER:
	case CONN_DEAD:
		break;
	}
	settle(conn, now);
}

void conn_drop(struct conn *conn)
{
	if (conn->state < CONN_OPEN)
		conn->common->stats.refused++;
	flush_backlog(conn);
	if (conn->backlog.len)
		log_limited(LOG_LEVEL_WARNING,
			    "connection " CONN_NAME
			    ": %zu bytes from the guest are lost, since "
			    "the host program did not read them in time",
			    CONN_NAME_ARGS(conn), conn->backlog.len);
	conn_die(conn);
}
