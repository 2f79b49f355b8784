/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection between a guest port and a host program's Unix socket: its
 * states, what it has to say to the guest, and the way of the guest's bytes to
 * the socket. The way of the host's bytes to the guest is in to_guest.c.
 *
 * Nothing here touches a ring. What is to be sent to the guest is noted as a bit
 * for each operation, so that however long the guest does not listen, a
 * connection's share of what waits stays the same; the caller fetches it with
 * conn_next_packet(). After any call the caller looks at the state: a CONN_DEAD
 * one is to be taken out and freed.
 */
#ifndef TRANSPORT_CONN_H
#define TRANSPORT_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backlog.h"
#include "credit.h"
#include "messages.h"
#include "packet.h"
#include "stats.h"

enum conn_state {
	CONN_LINE,	/* who connected has yet to send its CONNECT line */
	CONN_REQUESTED, /* the guest has yet to answer our REQUEST */
	CONN_DIALLING,	/* the guest asked; the socket is not connected yet */
	CONN_GREETING,	/* a sibling's side has yet to answer our CONNECT line */
	CONN_OPEN,
	CONN_ENDING, /* over; the guest has yet to be sent the RST */
	CONN_LINGER, /* the guest is done; the program has yet to read the rest */
	CONN_DEAD,
};

/* Who opens it, and by which door. */
enum conn_origin {
	ORIGIN_GUEST,
	ORIGIN_HOST, /* a host program, which says the port */
	ORIGIN_PEER, /* a sibling's side, which says who it is too */
	ORIGIN_MAP,  /* a host program, on a socket of that port's own */
};

enum {
	CONN_BATCH_MAX = 72, /* packets that one read may fill */
};

/* Milliseconds. */
enum {
	CONN_LINE_TIMEOUT = 10000,
	CONN_REQUEST_TIMEOUT = 10000,
	CONN_CLOSE_TIMEOUT = 8000,
	CONN_DIAL_TIMEOUT = 1000,
	CONN_DIAL_RETRY = 20,
	CONN_CONNECT_TIMEOUT = 10000,
	CONN_GREET_TIMEOUT = 10000,
	CONN_ASK_MIN = 10,
	CONN_ASK_MAX = 1000,
};

/* A connection in the log: "<cid>:<port>-<cid>:<port>", the guest's end last. */
#define CONN_NAME "%u:%u-%u:%u"
#define CONN_NAME_ARGS(conn)                                            \
	(conn)->peer_cid, (conn)->host_port, (conn)->common->guest_cid, \
		(conn)->guest_port

/* Of conn.want. */
#define CONN_WANT(op) (1u << (op))

/* What the connections of a device have in common. */
struct conn_common {
	struct backlog_pool buffers;
	struct backlog_pool sibling_buffers; /* what those that connect have of them */
	struct stats stats;
	uint32_t guest_cid;
};

struct conn {
	/* The table's and the device's. */
	struct conn_common *common;
	uint32_t id;
	uint32_t roll_at; /* where the table has noted it */
	uint32_t timer;	  /* its place among those with a deadline; 0: none */
	bool bound, in_control, in_ready;
	struct conn *chain;
	TAILQ_ENTRY(conn) control, ready;

	enum conn_state state;
	enum conn_origin origin;
	int fd;		   /* non-blocking, -1 when closed; owned */
	uint16_t type;	   /* PACKET_STREAM or PACKET_SEQPACKET */
	uint32_t peer_cid; /* as the guest sees the other end: the host's, or a
			      sibling's */
	uint32_t host_port, guest_port;
	bool privileged;    /* host_port is one of the table's privileged ones */
	unsigned int want;  /* a bit for each PACKET_* that is to be sent */
	bool readable;	    /* the socket may have bytes, or its end, to be read */
	bool hangup;	    /* the host program has closed */
	bool thorough;	    /* a short read need not have been the last one */
	bool out_watched;   /* epoll tells when the socket has room */
	bool wr_shut;	    /* the socket was told that no more comes */
	bool rd_shut;	    /* the socket was told that no more is wanted */
	bool asked;	    /* a CREDIT_REQUEST has not been answered */
	bool closing;	    /* the guest has a while to send its RST */
	bool leaving;	    /* the socket is kept for what it holds, see CONN_LINGER */
	bool stalled;	    /* it was counted that bytes wait for the guest's credit */
	uint8_t batch;	    /* chains that the next read is worth */
	uint8_t guest_shut; /* PACKET_SHUT_* that the guest has said */
	uint8_t host_shut;  /* those that the guest was, or will be, told */
	uint16_t ask_wait;  /* ms until the next unprompted question */
	uint64_t began;	    /* loop_now() when it was asked for */
	uint64_t deadline;  /* loop_now() at which conn_on_timeout() is due; 0: never */
	uint8_t choice;	    /* of CONN_DIALLING: which of the target's is tried */
	uint64_t give_up; /* of CONN_DIALLING: end of waiting for a place in a queue */
	struct credit credit;
	struct backlog backlog;
	struct messages *messages; /* NULL: it is a stream */
	struct conn_stats stats;
};

/* Lets go of what the connection holds, as hard as that is for the other sides. */
void conn_die(struct conn *conn);
/* The guest is done with it: it is dead, or lingers. */
void conn_over(struct conn *conn);

/* epoll has something to say about the socket. */
void conn_on_socket(struct conn *conn, uint32_t events, uint64_t now);
/* The guest has sent a packet; payload are the packet->len bytes behind it. */
void conn_on_packet(struct conn *conn, const struct packet *packet,
		    const struct iovec *payload, size_t count, uint64_t now);
/*
 * Data may also come by many packets at once: conn_gather() judges and counts one,
 * and is false when conn_on_packet() has to have it; conn_write() writes the len
 * bytes of those that were gathered.
 */
bool conn_gather(struct conn *conn, const struct packet *packet);
void conn_write(struct conn *conn, const struct iovec *iov, size_t count, size_t len,
		uint64_t now);
/* The socket gave its end in place of bytes. */
void conn_on_eof(struct conn *conn, uint64_t now);
/* bytes of the socket's are on their way to the guest, as that many packets. */
void conn_on_sent(struct conn *conn, uint32_t bytes, uint32_t packets);
void conn_on_timeout(struct conn *conn, uint64_t now);

/* What writing to the socket came to: bytes, or a negative errno. */
void conn_on_written(struct conn *conn, ssize_t n);

/* It ends before the guest hears of it. */
void conn_turn_away(struct conn *conn);

/* Ends it on both sides at once; why is for the log. */
void conn_reset(struct conn *conn, enum reset_reason reason, const char *why);

/*
 * The virtual machine is gone: what can be written at once is, and the
 * connection is dead.
 */
void conn_drop(struct conn *conn);

/* Whether there may be bytes for the guest, and room for them there. */
bool conn_can_send(const struct conn *conn);
/* Whether there may be bytes, but no room. */
bool conn_is_blocked(const struct conn *conn);

/* Whether the guest has sent what the socket has yet to take. */
bool conn_owes(const struct conn *conn);
/* Whether there is something to do when the socket can be written to. */
bool conn_wants_room(const struct conn *conn);

/* A packet to the guest, without the guest's CID. */
void conn_packet(struct conn *conn, enum packet_op op, uint32_t len,
		 struct packet *packet);
/* Takes the next packet that is noted as to be sent; false when there is none. */
bool conn_next_packet(struct conn *conn, struct packet *packet);

#endif
