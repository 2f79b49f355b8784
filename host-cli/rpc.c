/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "text.h"
#include "ttrpc.pb-c.h"

#define NS_PER_MS 1000000ll

void rpc_init(struct rpc *rpc, int fd)
{
	rpc->fd = fd;
	rpc->stream_id = 1;
	rpc->out = NULL;
	rpc->out_len = rpc->out_sent = 0;
	rpc->streaming = false;
	rpc->cancelled = false;
	ttrpc_reader_init(&rpc->reader);
}

void rpc_close(struct rpc *rpc)
{
	if (rpc->fd >= 0)
		close(rpc->fd);
	rpc->fd = -1;
	ttrpc_reader_free(&rpc->reader);
	free(rpc->out);
	rpc->out = NULL;
}

/* Sends of what is kept as much as the socket takes now. */
static int flush(struct rpc *rpc)
{
	while (rpc->out_sent < rpc->out_len) {
		ssize_t n =
			send(rpc->fd, rpc->out + rpc->out_sent,
			     rpc->out_len - rpc->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			rpc->out_sent += n;
		else if (errno == EAGAIN)
			return 0;
		else if (errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
	}
	free(rpc->out);
	rpc->out = NULL;
	rpc->out_len = rpc->out_sent = 0;
	return 0;
}

short rpc_events(const struct rpc *rpc)
{
	return rpc->out_len ? POLLIN | POLLOUT : POLLIN;
}

/* Sends all that is kept: -ETIMEDOUT. */
static int flush_by(struct rpc *rpc, deadline_t deadline)
{
	struct pollfd p = {.fd = rpc->fd, .events = POLLOUT};
	int ret, n;

	for (;;) {
		ret = flush(rpc);
		if (ret || !rpc->out_len)
			return ret;
		n = poll(&p, 1, deadline_left_ms(deadline));
		if (!n)
			return -ETIMEDOUT;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/*
 * Puts a frame behind what is kept; returns where its payload goes, or NULL when there
 * is no memory.
 */
static uint8_t *put_frame(struct rpc *rpc, const struct ttrpc_header *header)
{
	size_t len = TTRPC_HEADER_SIZE + (size_t)header->length;
	uint8_t *out = realloc(rpc->out, rpc->out_len + len);

	if (!out)
		return NULL;
	rpc->out = out;
	out += rpc->out_len;
	rpc->out_len += len;
	ttrpc_header_encode(header, out);
	return out + TTRPC_HEADER_SIZE;
}

static int send_request(struct rpc *rpc, const struct rpc_request *request,
			uint8_t flags, deadline_t limit, deadline_t deadline,
			struct error *err)
{
	Ttrpc__Request message = TTRPC__REQUEST__INIT;
	struct ttrpc_header header = {
		.stream_id = rpc->stream_id, .type = TTRPC_REQUEST, .flags = flags};
	int left = deadline_left_ms(limit);
	uint8_t *to;
	size_t len;
	int ret;

	if (rpc->streaming)
		return error_set(err, -EBUSY, "%s: a stream is open", request->method);
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
	header.length = (uint32_t)len;
	to = put_frame(rpc, &header);
	if (!to)
		return error_set(err, -ENOMEM, "no memory for a request");
	ttrpc__request__pack(&message, to);
	rpc->stream_id += 2;
	ret = flush_by(rpc, deadline);
	if (ret)
		return error_set(err, ret, "sending %s: %s", request->method,
				 strerror(-ret));
	return 0;
}

/* Reads into the reader, waiting for the first byte. -EAGAIN: none by the deadline. */
static int fill(struct rpc *rpc, deadline_t deadline, struct error *err)
{
	size_t space;
	void *to = ttrpc_reader_space(&rpc->reader, &space);

	if (!to)
		return error_set(err, -ENOMEM, "no memory for the answer");
	for (;;) {
		struct pollfd p = {.fd = rpc->fd, .events = rpc_events(rpc)};
		ssize_t n = recv(rpc->fd, to, space, MSG_DONTWAIT);
		int ret;

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
		ret = flush(rpc);
		/* A server that has gone may have answered before. */
		if (ret && ret != -ECONNRESET)
			return error_set(err, ret, "sending: %s", strerror(-ret));
		if (!poll(&p, 1, deadline_left_ms(deadline)))
			return error_set(err, -EAGAIN, "no answer in time");
	}
}

/* The next frame that is not of a stream that was cancelled. */
static int next_frame(struct rpc *rpc, uint32_t id, deadline_t deadline,
		      struct ttrpc_header *header, const uint8_t **payload,
		      struct error *err)
{
	for (;;) {
		int ret = fill(rpc, deadline, err);

		if (ret)
			return ret;
		switch (ttrpc_reader_take(&rpc->reader, header, payload)) {
		case TTRPC_TAKE_MORE:
			continue;
		case TTRPC_TAKE_FRAME:
			if (!rpc->cancelled || header->stream_id >= id)
				return 0;
			if (deadline_left_ms(deadline))
				continue;
			return error_set(err, -EAGAIN, "no answer in time");
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

static int take_response_frame(const struct ttrpc_header *header,
			       const uint8_t *payload, uint8_t **reply,
			       size_t *reply_len, struct error *err)
{
	Ttrpc__Response *response =
		ttrpc__response__unpack(NULL, header->length, payload);
	int ret;

	if (!response)
		return error_set(err, -EPROTO, "the answer is no ttrpc.Response");
	ret = take_response(response, reply, reply_len, err);
	ttrpc__response__free_unpacked(response, NULL);
	return ret;
}

static int not_expected(const struct ttrpc_header *header, uint32_t id,
			struct error *err)
{
	return error_set(err, -EPROTO,
			 "expected the answer of stream %u, got type %u of stream %u",
			 id, header->type, header->stream_id);
}

int rpc_call(struct rpc *rpc, const struct rpc_request *request, deadline_t deadline,
	     uint8_t **reply, size_t *reply_len, struct error *err)
{
	const uint8_t *payload = NULL;
	struct ttrpc_header header;
	uint32_t id = rpc->stream_id;
	int ret = send_request(rpc, request, 0, deadline, deadline, err);

	if (!ret)
		ret = next_frame(rpc, id, deadline, &header, &payload, err);
	if (ret == -EAGAIN)
		return error_set(err, -ETIMEDOUT, "no answer in time");
	if (ret)
		return ret;
	if (header.type != TTRPC_RESPONSE || header.stream_id != id)
		return not_expected(&header, id, err);
	return take_response_frame(&header, payload, reply, reply_len, err);
}

int rpc_open(struct rpc_stream *stream, struct rpc *rpc,
	     const struct rpc_request *request, enum rpc_direction direction,
	     deadline_t limit, deadline_t deadline, struct error *err)
{
	bool sends = direction == RPC_CLIENT_SENDS;
	uint32_t id = rpc->stream_id;
	int ret = send_request(rpc, request,
			       sends ? TTRPC_REMOTE_OPEN : TTRPC_REMOTE_CLOSED, limit,
			       deadline, err);

	if (ret)
		return ret;
	*stream = (struct rpc_stream){
		.rpc = rpc, .id = id, .sending = sends, .receiving = true};
	rpc->streaming = true;
	return 0;
}

static void end(struct rpc_stream *stream)
{
	stream->sending = false;
	stream->receiving = false;
	stream->rpc->streaming = false;
}

static int may_send(const struct rpc_stream *stream, struct error *err)
{
	return stream->sending ? 0 : error_set(err, -EPIPE, "the stream takes no more");
}

int rpc_send(struct rpc_stream *stream, const void *message, size_t len,
	     deadline_t deadline, struct error *err)
{
	struct ttrpc_header header = {.stream_id = stream->id, .type = TTRPC_DATA};
	int ret = may_send(stream, err);
	uint8_t *to;

	if (ret)
		return ret;
	if (len > TTRPC_PAYLOAD_MAX)
		return error_set(err, -EMSGSIZE, "a message of %zu bytes is too large",
				 len);
	ret = flush_by(stream->rpc, deadline);
	if (ret == -ETIMEDOUT)
		ret = -EAGAIN;
	if (ret)
		return error_set(err, ret, "sending a message: %s", strerror(-ret));
	header.length = (uint32_t)len;
	to = put_frame(stream->rpc, &header);
	if (!to)
		return error_set(err, -ENOMEM, "no memory for a message");
	if (len)
		memcpy(to, message, len);
	ret = flush(stream->rpc);
	if (ret)
		return error_set(err, ret, "sending a message: %s", strerror(-ret));
	return 0;
}

/* A frame with flags and no data. */
static int put_flags(struct rpc_stream *stream, uint8_t flags)
{
	struct ttrpc_header header = {
		.stream_id = stream->id, .type = TTRPC_DATA, .flags = flags};

	if (!put_frame(stream->rpc, &header))
		return -ENOMEM;
	return flush(stream->rpc);
}

int rpc_close_send(struct rpc_stream *stream, struct error *err)
{
	int ret = may_send(stream, err);

	if (ret)
		return ret;
	ret = put_flags(stream, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
	if (ret)
		return error_set(err, ret, "ending a stream: %s", strerror(-ret));
	stream->sending = false;
	return 0;
}

static int take_data(struct rpc_stream *stream, const struct ttrpc_header *header,
		     const uint8_t *payload, uint8_t **message, size_t *len,
		     struct error *err)
{
	if (header->flags & TTRPC_NO_DATA) {
		if (!(header->flags & TTRPC_REMOTE_CLOSED))
			return error_set(err, -EPROTO,
					 "a data frame with no data that does not "
					 "close");
		end(stream);
		return 0;
	}
	/* One byte more, so that an empty message is no NULL. */
	*message = malloc(header->length + 1);
	if (!*message)
		return error_set(err, -ENOMEM, "no memory for a message");
	if (header->length)
		memcpy(*message, payload, header->length);
	*len = header->length;
	stream->messages++;
	stream->bytes += header->length;
	/* The last message: the next call says so. */
	if (header->flags & TTRPC_REMOTE_CLOSED)
		end(stream);
	return 1;
}

static int receive(struct rpc_stream *stream, deadline_t deadline, uint8_t **message,
		   size_t *len, struct error *err)
{
	const uint8_t *payload = NULL;
	struct ttrpc_header header;
	int ret = next_frame(stream->rpc, stream->id, deadline, &header, &payload, err);

	if (ret)
		return ret;
	if (header.stream_id != stream->id)
		return not_expected(&header, stream->id, err);
	if (header.type == TTRPC_DATA)
		return take_data(stream, &header, payload, message, len, err);
	if (header.type != TTRPC_RESPONSE)
		return not_expected(&header, stream->id, err);
	end(stream);
	return take_response_frame(&header, payload, message, len, err);
}

int rpc_recv(struct rpc_stream *stream, deadline_t deadline, uint8_t **message,
	     size_t *len, struct error *err)
{
	int ret;

	*message = NULL;
	*len = 0;
	if (!stream->receiving)
		return 0;
	ret = receive(stream, deadline, message, len, err);
	if (ret < 0 && ret != -EAGAIN)
		end(stream);
	return ret;
}

void rpc_cancel(struct rpc_stream *stream)
{
	if (!stream->receiving)
		return;
	/* It neither closes nor has data: so the agent knows it (agent/call.c). */
	put_flags(stream, TTRPC_NO_DATA);
	stream->rpc->cancelled = true;
	end(stream);
}
