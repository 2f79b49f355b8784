/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ttrpc client (proto/ttrpc.h): unary calls and streams over one connection, one
 * after the other. Each function returns when it is done, or at its deadline, which
 * may have passed (DEADLINE_NOW): then it does what can be done at once.
 *
 *     rpc_open(&stream, &rpc, &request, RPC_CLIENT_SENDS, limit, deadline, &err);
 *     loop: poll() rpc.fd for rpc_events(&rpc), and stdin for POLLIN
 *           rpc_send(&stream, ...) what stdin gave; at its end rpc_close_send()
 *           rpc_recv(&stream, DEADLINE_NOW, ...) until -EAGAIN, or 0: the end
 *
 * While a stream is open, rpc_call() and rpc_open() are refused with -EBUSY.
 */
#ifndef HOST_CLI_RPC_H
#define HOST_CLI_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io.h"
#include "ttrpc.h"

/* The server answered with a status that is not OK; the words are in err. */
#define RPC_REFUSED (-EREMOTEIO)

struct rpc {
	int fd;		    /* to be polled, and otherwise left alone */
	uint32_t stream_id; /* of the next call; odd */
	struct ttrpc_reader reader;
	uint8_t *out; /* what the socket has not taken yet: one message at most */
	size_t out_len, out_sent;
	bool streaming; /* a stream is open */
	bool cancelled; /* one was cancelled: what comes of it is skipped */
};

#define DEADLINE_NOW ((deadline_t)0)

/* Takes a connected socket over. To be closed with rpc_close(). */
void rpc_init(struct rpc *rpc, int fd);
void rpc_close(struct rpc *rpc);

/* What to poll rpc->fd for: POLLIN, and POLLOUT while there is something to send. */
short rpc_events(const struct rpc *rpc);

struct rpc_request {
	const char *service;
	const char *method;
	const void *payload;
	size_t len;
};

/*
 * Makes one call, telling the server how long is left. *reply receives the
 * payload of *reply_len bytes, which the caller frees. Errors: -ETIMEDOUT (also
 * for the server's DEADLINE_EXCEEDED), -EOPNOTSUPP (UNIMPLEMENTED), -EACCES
 * (PERMISSION_DENIED), RPC_REFUSED for any other status; -ECONNRESET when the
 * server goes, -EPROTO for what is no answer to this call, -EMSGSIZE for an
 * answer above ttrpc's limit. After one of the last three, and after -ETIMEDOUT,
 * the connection is of no more use.
 */
int rpc_call(struct rpc *rpc, const struct rpc_request *request, deadline_t deadline,
	     uint8_t **reply, size_t *reply_len, struct error *err);

/* What the client sends on a stream. */
enum rpc_direction {
	RPC_SERVER_SENDS, /* the request, and no more: a server stream */
	RPC_CLIENT_SENDS, /* messages until rpc_close_send(): the two other kinds */
};

/* A stream that is open. It holds no memory of its own. All zero is one that ended. */
struct rpc_stream {
	struct rpc *rpc;
	uint32_t id;
	bool sending;		  /* rpc_send() may be called */
	bool receiving;		  /* rpc_recv() may be called: there is more to come */
	uint64_t messages, bytes; /* that were received: a server may send any number */
};

/*
 * Opens a stream. With RPC_CLIENT_SENDS an empty payload is no message; one that is
 * not is the first. `limit` is how long the server may take for the stream as a
 * whole (DEADLINE_NEVER: as long as it likes); the deadline is for the sending of
 * the request. Errors as for rpc_send(), -EBUSY.
 */
int rpc_open(struct rpc_stream *stream, struct rpc *rpc,
	     const struct rpc_request *request, enum rpc_direction direction,
	     deadline_t limit, deadline_t deadline, struct error *err);

/*
 * Sends one message of len bytes. 0: it was taken; what the socket has no room for is
 * kept, and goes with the functions that follow. -EAGAIN: the message before is still
 * kept at the deadline, and this one was not taken. -EPIPE: it is not for this end to
 * send (any more), or the server has ended the stream; -EMSGSIZE: the message is above
 * ttrpc's limit. None of these does harm. -ECONNRESET: the server has gone.
 *
 * A server may stop reading until its own messages are taken, so the deadline of who
 * sends much and receives too should be short.
 */
int rpc_send(struct rpc_stream *stream, const void *message, size_t len,
	     deadline_t deadline, struct error *err);

/* Says that no more comes from here. Errors as for rpc_send(), but for -EAGAIN. */
int rpc_close_send(struct rpc_stream *stream, struct error *err);

/*
 * Receives one message. 1: *message has *len bytes, and is freed by the caller. 0: the
 * stream has ended well; *message is NULL, but for a stream that only the client
 * sends, where it is the answer. -EAGAIN: there was none before the deadline, and the
 * stream goes on. Sends meanwhile what is kept. Other errors as for rpc_call(), after
 * which the stream has ended.
 */
int rpc_recv(struct rpc_stream *stream, deadline_t deadline, uint8_t **message,
	     size_t *len, struct error *err);

/*
 * Ends a stream early: the agent cancels the call; another server may go on with it
 * until the connection is closed. What it has sent until it knows is
 * skipped by the calls that follow. For a stream that has ended already, nothing.
 */
void rpc_cancel(struct rpc_stream *stream);

#endif
