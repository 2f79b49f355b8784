/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the guest's agent, message in, message out, over a connection (rpc.h). */
#ifndef HOST_CLI_GUEST_RPC_H
#define HOST_CLI_GUEST_RPC_H

#include <protobuf-c/protobuf-c.h>

#include "message.h"
#include "rpc.h"

/*
 * The answer, unpacked, is freed with message_free(). What it says is the guest's, too
 * (message.h). Errors as for rpc_call(), and -EPROTO for what is no such message.
 */
int guest_rpc_call(struct rpc *rpc, const char *method, const ProtobufCMessage *request,
		   const ProtobufCMessageDescriptor *response, deadline_t deadline,
		   ProtobufCMessage **reply, struct error *err);

/* The stream's first message, or NULL: none yet. Errors as for rpc_open(). */
int guest_rpc_open(struct rpc *rpc, struct rpc_stream *stream, const char *method,
		   const ProtobufCMessage *request, enum rpc_direction direction,
		   deadline_t deadline, struct error *err);
int guest_rpc_send(struct rpc_stream *stream, const ProtobufCMessage *message,
		   deadline_t deadline, struct error *err);
/*
 * As rpc_recv(): 1 with a message, 0 at the end. With one deadline for all of a stream
 * that ends with -ETIMEDOUT, also where the guest keeps sending.
 */
int guest_rpc_next(struct rpc_stream *stream,
		   const ProtobufCMessageDescriptor *response, deadline_t deadline,
		   ProtobufCMessage **message, struct error *err);

#endif
