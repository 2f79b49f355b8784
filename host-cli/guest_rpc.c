/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_rpc.h"

#include <errno.h>
#include <stdlib.h>

#include "unpack.h"
#include "cleanup.h"

/* Of memory for the values of one answer: 60,000 memory blocks take a fifth of it. */
#define ANSWER_BUDGET ((size_t)16 << 20)

#define SERVICE "vmctl.agent.v1.GuestAgent"

/* One byte more, so that an empty message is no NULL. */
static uint8_t *pack(const ProtobufCMessage *message, size_t *len)
{
	uint8_t *packed;

	*len = protobuf_c_message_get_packed_size(message);
	packed = malloc(*len + 1);
	if (packed)
		protobuf_c_message_pack(message, packed);
	return packed;
}

static int unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
		  size_t len, ProtobufCMessage **message, struct error *err)
{
	*message = unpack_within(type, data, len, ANSWER_BUDGET);
	if (!*message)
		return error_set(err, -EPROTO,
				 "the answer is no %s, or one of very many values",
				 type->name);
	return 0;
}

int guest_rpc_call(struct rpc *rpc, const char *method, const ProtobufCMessage *message,
		   const ProtobufCMessageDescriptor *response, deadline_t deadline,
		   ProtobufCMessage **reply, struct error *err)
{
	struct rpc_request request = {SERVICE, method, NULL, 0};
	cleanup_free uint8_t *packed = pack(message, &request.len);
	cleanup_free uint8_t *answer = NULL;
	size_t len;
	int ret;

	if (!packed)
		return error_set(err, -ENOMEM, "no memory for a request");
	request.payload = packed;
	ret = rpc_call(rpc, &request, deadline, &answer, &len, err);
	return ret ? ret : unpack(response, answer, len, reply, err);
}

int guest_rpc_open(struct rpc *rpc, struct rpc_stream *stream, const char *method,
		   const ProtobufCMessage *message, enum rpc_direction direction,
		   deadline_t deadline, struct error *err)
{
	struct rpc_request request = {SERVICE, method, NULL, 0};
	cleanup_free uint8_t *packed = message ? pack(message, &request.len) : NULL;

	if (message && !packed)
		return error_set(err, -ENOMEM, "no memory for a request");
	request.payload = packed;
	return rpc_open(stream, rpc, &request, direction, DEADLINE_NEVER, deadline,
			err);
}

int guest_rpc_send(struct rpc_stream *stream, const ProtobufCMessage *message,
		   deadline_t deadline, struct error *err)
{
	size_t len;
	cleanup_free uint8_t *packed = pack(message, &len);
	int ret;

	if (!packed)
		return error_set(err, -ENOMEM, "no memory for a message");
	ret = rpc_send(stream, packed, len, deadline, err);
	if (ret == -EAGAIN)
		return error_set(err, -ETIMEDOUT, "the guest takes no more data");
	return ret;
}

int guest_rpc_next(struct rpc_stream *stream,
		   const ProtobufCMessageDescriptor *response, deadline_t deadline,
		   ProtobufCMessage **message, struct error *err)
{
	cleanup_free uint8_t *data = NULL;
	size_t len;
	int ret = rpc_recv(stream, deadline, &data, &len, err);

	/* What is there already is given without a look at the time (rpc.h). */
	if (ret == 1 && deadline != DEADLINE_NOW && !deadline_left_ms(deadline))
		ret = error_set(err, -ETIMEDOUT, "it was not at its end in time");
	else if (ret == 1)
		ret = unpack(response, data, len, message, err) ? err->code : 1;
	else if (ret == -EAGAIN && deadline != DEADLINE_NOW)
		ret = error_set(err, -ETIMEDOUT, "no answer in time");
	if (ret == -ETIMEDOUT)
		rpc_cancel(stream);
	return ret;
}
