// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent.h"
#include "call.h"
#include "dispatch.h"
#include "log.h"

/* Reads and frames in one go; then the other sessions have their turn. */
#define READS_PER_TURN 64
#define IOVECS	       16

struct agent_frame {
	TAILQ_ENTRY(agent_frame) link;
	size_t len;
	size_t sent;
	uint8_t data[];
};

static bool wants_to_read(const struct agent_session *session)
{
	return !session->eof && !session->broken && session->queued < AGENT_QUEUE_MAX &&
	       session->n_calls < AGENT_CALLS_MAX;
}

static bool is_finished(const struct agent_session *session)
{
	return session->broken ||
	       (session->eof && !session->n_calls && TAILQ_EMPTY(&session->queue));
}

void agent_session_wake(struct agent_session *session)
{
	uint32_t events = 0;

	if (session->in_turn)
		return;
	if (wants_to_read(session))
		events |= EPOLLIN;
	else
		/*
		 * A vsock socket has EPOLLHUP only when it was shut down from here
		 * too (vsock_poll() in net/vmw_vsock/af_vsock.c); that the peer has
		 * gone is EPOLLRDHUP there. Edge-triggered, since that also stands
		 * after a half-close, as long as calls are under way.
		 */
		events |= EPOLLRDHUP | EPOLLET;
	if (!TAILQ_EMPTY(&session->queue))
		events |= EPOLLOUT;
	/* Without it nothing might bring the loop here again. */
	if (is_finished(session))
		shutdown(session->source.fd, SHUT_RDWR);
	agent_loop_watch(&session->agent->loop, &session->source, events);
}

void agent_session_send(struct agent_session *session, uint32_t stream_id,
			const Ttrpc__Response *response)
{
	size_t size = ttrpc__response__get_packed_size(response);
	struct ttrpc_header header = {
		.length = size,
		.stream_id = stream_id,
		.type = TTRPC_RESPONSE,
	};
	struct agent_frame *frame;

	if (session->broken)
		return;
	frame = malloc(sizeof(*frame) + TTRPC_HEADER_SIZE + size);
	if (!frame) {
		agent_log(AGENT_LOG_ERROR,
			  "connection %u: no memory for an answer of %zu bytes; "
			  "closing it",
			  session->number, size);
		session->broken = true;
	} else {
		ttrpc_header_encode(&header, frame->data);
		ttrpc__response__pack(response, frame->data + TTRPC_HEADER_SIZE);
		frame->len = TTRPC_HEADER_SIZE + size;
		frame->sent = 0;
		TAILQ_INSERT_TAIL(&session->queue, frame, link);
		session->queued += sizeof(*frame) + frame->len;
	}
	agent_session_wake(session);
}

void agent_session_send_status(struct agent_session *session, uint32_t stream_id,
			       int status, const char *text)
{
	Ttrpc__Status st = TTRPC__STATUS__INIT;
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;

	st.code = status;
	st.message = (char *)text;
	response.status = &st;
	agent_session_send(session, stream_id, &response);
}

/* A frame that is against the protocol: an error to its stream, and one log line. */
static void complain(struct agent_session *session, uint32_t stream_id, int status,
		     const char *text)
{
	if (!session->complained)
		agent_log(AGENT_LOG_WARNING,
			  "connection %u: stream %u: %s (further bad frames of this "
			  "connection are not logged)",
			  session->number, stream_id, text);
	session->complained = true;
	agent_session_send_status(session, stream_id, status, text);
}

static void take_data(struct agent_session *session, uint32_t stream_id)
{
	struct agent_call *call;

	for (call = TAILQ_FIRST(&session->calls); call; call = TAILQ_NEXT(call, link)) {
		if (call->stream_id == stream_id) {
			agent_call_fail(call, TTRPC_INVALID_ARGUMENT,
					"data sent to a unary call");
			return;
		}
	}
	complain(session, stream_id, TTRPC_INVALID_ARGUMENT,
		 "data for a stream that is not open");
}

static void take_request(struct agent_session *session,
			 const struct ttrpc_header *header, const uint8_t *payload)
{
	if (header->stream_id <= session->last_stream_id) {
		complain(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
			 "a stream id was used again or does not ascend");
		return;
	}
	session->last_stream_id = header->stream_id;
	agent_dispatch(session, header, payload);
}

static void take_frame(struct agent_session *session, const struct ttrpc_header *header,
		       const uint8_t *payload)
{
	if (header->stream_id % 2 == 0)
		complain(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
			 "the stream id of a client must be odd");
	else if (header->type == TTRPC_REQUEST)
		take_request(session, header, payload);
	else if (header->type == TTRPC_DATA)
		take_data(session, header->stream_id);
	else
		complain(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
			 "a frame that is neither request nor data");
}

static void take_oversize(struct agent_session *session,
			  const struct ttrpc_header *header)
{
	char text[80];

	/* ttrpc's PROTOCOL.md reserves the first byte: it is 0 in any frame. */
	if (header->length >> 24) {
		agent_log(AGENT_LOG_WARNING,
			  "connection %u: what came is not ttrpc (length 0x%08x); "
			  "closing it",
			  session->number, header->length);
		session->broken = true;
		return;
	}
	snprintf(text, sizeof(text), "a message of %u bytes; the limit is %u",
		 header->length, TTRPC_PAYLOAD_MAX);
	complain(session, header->stream_id, TTRPC_RESOURCE_EXHAUSTED, text);
}

/* One read, and the frame that it may have completed. False: enough for now. */
static bool read_some(struct agent_session *session)
{
	struct ttrpc_header header;
	const uint8_t *payload;
	size_t len;
	ssize_t n;
	void *space = ttrpc_reader_space(&session->reader, &len);

	if (!space) {
		agent_log(AGENT_LOG_ERROR,
			  "connection %u: no memory for a request; closing it",
			  session->number);
		session->broken = true;
		return false;
	}
	n = recv(session->source.fd, space, len, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			session->broken = true;
		return false;
	}
	if (!n) {
		session->eof = true;
		if (session->reader.used || session->reader.drain)
			agent_log(AGENT_LOG_WARNING,
				  "connection %u: the peer ended within a frame",
				  session->number);
		return false;
	}
	ttrpc_reader_advance(&session->reader, n);
	switch (ttrpc_reader_take(&session->reader, &header, &payload)) {
	case TTRPC_TAKE_FRAME:
		take_frame(session, &header, payload);
		break;
	case TTRPC_TAKE_OVERSIZE:
		take_oversize(session, &header);
		break;
	case TTRPC_TAKE_MORE:
		break;
	}
	return wants_to_read(session);
}

static void forget_sent(struct agent_session *session, size_t sent)
{
	struct agent_frame *frame;

	while ((frame = TAILQ_FIRST(&session->queue))) {
		size_t left = frame->len - frame->sent;

		if (sent < left) {
			frame->sent += sent;
			return;
		}
		sent -= left;
		TAILQ_REMOVE(&session->queue, frame, link);
		session->queued -= sizeof(*frame) + frame->len;
		free(frame);
	}
}

static void flush(struct agent_session *session)
{
	while (!session->broken && !TAILQ_EMPTY(&session->queue)) {
		struct iovec iov[IOVECS];
		struct msghdr msg = {.msg_iov = iov};
		struct agent_frame *frame;
		ssize_t n;

		for (frame = TAILQ_FIRST(&session->queue);
		     frame && msg.msg_iovlen < IOVECS;
		     frame = TAILQ_NEXT(frame, link)) {
			iov[msg.msg_iovlen].iov_base = frame->data + frame->sent;
			iov[msg.msg_iovlen++].iov_len = frame->len - frame->sent;
		}
		n = sendmsg(session->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			forget_sent(session, n);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			session->broken = true;
		}
	}
}

/* Whether the peer takes no more answers. Sending no bytes asks, and sends none. */
static bool is_peer_gone(const struct agent_session *session)
{
	return send(session->source.fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	       errno != EAGAIN && errno != EINTR;
}

static void session_ready(struct agent_source *source, uint32_t events)
{
	struct agent_session *session =
		agent_container(source, struct agent_session, source);

	session->in_turn = true;
	if (events & EPOLLIN) {
		for (int i = 0; i < READS_PER_TURN; i++)
			if (!read_some(session))
				break;
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		/* The peer is gone altogether: nobody is left to answer to. */
		session->broken = true;
	}
	flush(session);
	if (!wants_to_read(session) && is_peer_gone(session))
		session->broken = true;
	session->in_turn = false;
	if (is_finished(session))
		agent_session_destroy(session);
	else
		agent_session_wake(session);
}

int agent_session_create(struct agent *agent, int fd)
{
	static unsigned int last_number;
	struct agent_session *session = calloc(1, sizeof(*session));
	int ret;

	if (!session)
		return -ENOMEM;
	session->agent = agent;
	session->number = ++last_number;
	session->source = (struct agent_source){.fd = fd, .ready = session_ready};
	ttrpc_reader_init(&session->reader);
	TAILQ_INIT(&session->queue);
	TAILQ_INIT(&session->calls);
	ret = agent_loop_add(&agent->loop, &session->source, EPOLLIN);
	if (ret < 0) {
		free(session);
		return ret;
	}
	TAILQ_INSERT_TAIL(&agent->sessions, session, link);
	agent->n_sessions++;
	return 0;
}

void agent_session_destroy(struct agent_session *session)
{
	struct agent_frame *frame;
	struct agent_call *call;

	session->broken = true;
	session->in_turn = true; /* no more events, please */
	while ((call = TAILQ_FIRST(&session->calls)))
		agent_call_abandon(call);
	while ((frame = TAILQ_FIRST(&session->queue))) {
		TAILQ_REMOVE(&session->queue, frame, link);
		free(frame);
	}
	agent_loop_remove(&session->agent->loop, &session->source);
	close(session->source.fd);
	ttrpc_reader_free(&session->reader);
	TAILQ_REMOVE(&session->agent->sessions, session, link);
	session->agent->n_sessions--;
	free(session);
}
