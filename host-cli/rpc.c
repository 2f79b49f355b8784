/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "text.h"
#include "ttrpc.pb-c.h"

#define NS_PER_MS 1000000ll

void rpc_init(struct rpc *rpc, int fd)
{
	rpc->fd = fd;
	rpc->stream_id = 1;
	ttrpc_reader_init(&rpc->reader);
}

void rpc_close(struct rpc *rpc)
{
	if (rpc->fd >= 0)
		close(rpc->fd);
	rpc->fd = -1;
	ttrpc_reader_free(&rpc->reader);
}

static int send_request(struct rpc *rpc, const struct rpc_request *request,
			deadline_t deadline, struct error *err)
{
	Ttrpc__Request message = TTRPC__REQUEST__INIT;
	struct ttrpc_header header = {.stream_id = rpc->stream_id,
				      .type = TTRPC_REQUEST};
	cleanup_free uint8_t *frame = NULL;
	int left = deadline_left_ms(deadline);
	size_t len;
	int ret;

	message.service = (char *)request->service;
	message.method = (char *)request->method;
	message.payload.data = (uint8_t *)request->payload;
	message.payload.len = request->len;
	/* 0 on the wire means for ever, which "no time left" does not. */
	message.timeout_nano = left < 0 ? 0 : left ? left * NS_PER_MS : 1;
	len = ttrpc__request__get_packed_size(&message);
	if (len > TTRPC_PAYLOAD_MAX)
		return error_set(err, -EMSGSIZE, "%s: the request is too large",
				 request->method);
	frame = malloc(TTRPC_HEADER_SIZE + len);
	if (!frame)
		return error_set(err, -ENOMEM, "no memory for a request");
	header.length = (uint32_t)len;
	ttrpc_header_encode(&header, frame);
	ttrpc__request__pack(&message, frame + TTRPC_HEADER_SIZE);
	ret = io_write_full(rpc->fd, frame, TTRPC_HEADER_SIZE + len, deadline, NULL);
	if (ret == -EPIPE)
		ret = -ECONNRESET;
	if (ret)
		return error_set(err, ret, "sending %s: %s", request->method,
				 strerror(-ret));
	return 0;
}

/* Reads what there is into the reader, waiting for the first byte. */
static int fill(struct rpc *rpc, deadline_t deadline, struct error *err)
{
	struct pollfd p = {.fd = rpc->fd, .events = POLLIN};
	size_t space;
	void *to = ttrpc_reader_space(&rpc->reader, &space);

	if (!to)
		return error_set(err, -ENOMEM, "no memory for the answer");
	for (;;) {
		int left = deadline_left_ms(deadline);
		ssize_t n;

		if (!left)
			return error_set(err, -ETIMEDOUT, "no answer in time");
		if (poll(&p, 1, left) <= 0)
			continue;
		n = recv(rpc->fd, to, space, MSG_DONTWAIT);
		if (n > 0) {
			ttrpc_reader_advance(&rpc->reader, n);
			return 0;
		}
		if (!n)
			return error_set(err, -ECONNRESET,
					 "the connection was closed before an answer "
					 "came");
		if (errno != EAGAIN && errno != EINTR)
			return error_set(err, -errno, "reading the answer: %s",
					 strerror(errno));
	}
}

static int next_frame(struct rpc *rpc, deadline_t deadline, struct ttrpc_header *header,
		      const uint8_t **payload, struct error *err)
{
	for (;;) {
		int ret = fill(rpc, deadline, err);

		if (ret)
			return ret;
		switch (ttrpc_reader_take(&rpc->reader, header, payload)) {
		case TTRPC_TAKE_MORE:
			continue;
		case TTRPC_TAKE_FRAME:
			return 0;
		case TTRPC_TAKE_OVERSIZE:
			break;
		}
		return error_set(err, -EMSGSIZE, "an answer of %u bytes is too large",
				 header->length);
	}
}

static int errno_of(int status)
{
	switch (status) {
	case TTRPC_DEADLINE_EXCEEDED:
		return -ETIMEDOUT;
	case TTRPC_UNIMPLEMENTED:
		return -EOPNOTSUPP;
	case TTRPC_PERMISSION_DENIED:
		return -EACCES;
	default:
		return RPC_REFUSED;
	}
}

static int take_response(const Ttrpc__Response *response, uint8_t **reply,
			 size_t *reply_len, struct error *err)
{
	const Ttrpc__Status *status = response->status;
	char words[256];

	if (status && status->code != TTRPC_OK) {
		text_copy(words, sizeof(words), status->message,
			  strlen(status->message));
		return error_set(err, errno_of(status->code), "%s: %s",
				 ttrpc_status_name(status->code), words);
	}
	/* One byte more, so that an empty payload is no NULL. */
	*reply = malloc(response->payload.len + 1);
	if (!*reply)
		return error_set(err, -ENOMEM, "no memory for the answer");
	if (response->payload.len)
		memcpy(*reply, response->payload.data, response->payload.len);
	*reply_len = response->payload.len;
	return 0;
}

int rpc_call(struct rpc *rpc, const struct rpc_request *request, deadline_t deadline,
	     uint8_t **reply, size_t *reply_len, struct error *err)
{
	const uint8_t *payload = NULL;
	struct ttrpc_header header;
	Ttrpc__Response *response;
	uint32_t id = rpc->stream_id;
	int ret = send_request(rpc, request, deadline, err);

	rpc->stream_id += 2;
	if (!ret)
		ret = next_frame(rpc, deadline, &header, &payload, err);
	if (ret)
		return ret;
	if (header.type != TTRPC_RESPONSE || header.stream_id != id)
		return error_set(err, -EPROTO,
				 "expected the answer of stream %u, got type %u of "
				 "stream %u",
				 id, header.type, header.stream_id);
	response = ttrpc__response__unpack(NULL, header.length, payload);
	if (!response)
		return error_set(err, -EPROTO, "the answer is no ttrpc.Response");
	ret = take_response(response, reply, reply_len, err);
	ttrpc__response__free_unpacked(response, NULL);
	return ret;
}
