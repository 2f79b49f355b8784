/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ttrpc client that makes one unary call at a time (proto/ttrpc.h).
 */
#ifndef HOST_CLI_RPC_H
#define HOST_CLI_RPC_H

#include <stddef.h>
#include <stdint.h>

#include "io.h"
#include "ttrpc.h"

/* The server answered with a status that is not OK; the words are in err. */
#define RPC_REFUSED (-EREMOTEIO)

struct rpc {
	int fd;
	uint32_t stream_id; /* of the next call; odd */
	struct ttrpc_reader reader;
};

/* Takes a connected socket over. To be closed with rpc_close(). */
void rpc_init(struct rpc *rpc, int fd);
void rpc_close(struct rpc *rpc);

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

#endif
