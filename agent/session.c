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
#define READS_PER_TURN	    64
#define DELIVERIES_PER_TURN 64
#define ROOMS_PER_TURN	    64
#define IOVECS		    16

struct agent_frame {
	TAILQ_ENTRY(agent_frame) link;
	size_t len;
	size_t sent;
	uint8_t data[];
};

/* What a frame needs is taken when it begins, so that it can always be ended. */
static bool is_within_frame(const struct agent_session *session)
{
	return session->reader.used || session->reader.drain;
}

static bool wants_to_read(const struct agent_session *session)
{
	return !session->eof && !session->broken && session->queued < AGENT_QUEUE_MAX &&
	       session->backlog < AGENT_BACKLOG_MAX &&
	       (is_within_frame(session) ||
		agent_session_may_hold(session, AGENT_BUDGET_SHARE / 2));
}

bool agent_session_may_hold(const struct agent_session *session, size_t bytes)
{
	return agent_budget_fits(session->agent, session->held, bytes);
}

void agent_session_hold(struct agent_session *session, size_t bytes)
{
	session->held += bytes;
	agent_budget_take(session->agent, bytes);
}

void agent_session_let_go(struct agent_session *session, size_t bytes)
{
	session->held -= bytes;
	agent_budget_give_back(session->agent, bytes);
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
	if (!TAILQ_EMPTY(&session->queue)) {
		events |= EPOLLOUT;
		/* There may be no edge to come; watching anew makes one. */
		if (events & EPOLLET && !session->blocked)
			session->source.events = 0;
	}
	/* Without it nothing might bring the loop here again. */
	if (is_finished(session))
		shutdown(session->source.fd, SHUT_RDWR);
	agent_loop_watch(&session->agent->loop, &session->source, events);
}

/* message may be NULL: no payload. */
static int queue(struct agent_session *session, struct ttrpc_header header,
		 const ProtobufCMessage *message)
{
	size_t size = message ? protobuf_c_message_get_packed_size(message) : 0;
	struct agent_frame *frame;
	int ret = 0;

	if (session->broken)
		return -EPIPE;
	if (size > TTRPC_PAYLOAD_MAX)
		return -EMSGSIZE;
	frame = malloc(sizeof(*frame) + TTRPC_HEADER_SIZE + size);
	if (!frame) {
		agent_log(AGENT_LOG_ERROR,
			  "connection %u: no memory for an answer of %zu bytes; "
			  "closing it",
			  session->number, size);
		session->broken = true;
		ret = -ENOMEM;
	} else {
		header.length = size;
		ttrpc_header_encode(&header, frame->data);
		if (message)
			protobuf_c_message_pack(message,
						frame->data + TTRPC_HEADER_SIZE);
		frame->len = TTRPC_HEADER_SIZE + size;
		frame->sent = 0;
		TAILQ_INSERT_TAIL(&session->queue, frame, link);
		session->queued += sizeof(*frame) + frame->len;
		agent_session_hold(session, sizeof(*frame) + frame->len);
	}
	agent_session_wake(session);
	return ret;
}

void agent_session_send(struct agent_session *session, uint32_t stream_id,
			const Ttrpc__Response *response)
{
	struct ttrpc_header header = {.stream_id = stream_id, .type = TTRPC_RESPONSE};

	queue(session, header, &response->base);
}

int agent_session_send_data(struct agent_session *session, uint32_t stream_id,
			    uint8_t flags, const ProtobufCMessage *message)
{
	struct ttrpc_header header = {
		.stream_id = stream_id, .type = TTRPC_DATA, .flags = flags};

	return queue(session, header, message);
}

/* By what it has queued alone: or what its handlers keep could wait for itself. */
static bool fits_queue(const struct agent_session *session, size_t size)
{
	return agent_budget_fits(session->agent, session->queued, size);
}

bool agent_session_has_room(const struct agent_session *session, size_t size)
{
	return !session->broken && session->queued < AGENT_STREAM_MAX &&
	       fits_queue(session, size);
}

void agent_session_send_status(struct agent_session *session, uint32_t stream_id,
			       int status, const char *text)
{
	Ttrpc__Status st = TTRPC__STATUS__INIT;
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;

	session->agent->figures.calls_failed++;
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

static struct agent_call *find_call(const struct agent_session *session,
				    uint32_t stream_id)
{
	struct agent_call *call = TAILQ_FIRST(&session->calls);

	while (call && call->stream_id != stream_id)
		call = TAILQ_NEXT(call, link);
	return call;
}

static void take_data(struct agent_session *session, const struct ttrpc_header *header,
		      const uint8_t *payload)
{
	struct agent_call *call = find_call(session, header->stream_id);

	if (call)
		agent_call_take(call, header, payload);
	/* Of a call that has ended the client may not have heard yet. */
	else if (!agent_stream_ids_used(&session->ids, header->stream_id))
		complain(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
			 "data for a stream that is not open");
}

static void take_request(struct agent_session *session,
			 const struct ttrpc_header *header, const uint8_t *payload)
{
	if (!agent_stream_ids_take(&session->ids, header->stream_id))
		complain(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
			 "a stream id was used again, or is far below others");
	else if (session->n_calls >= AGENT_CALLS_MAX)
		complain(session, header->stream_id, TTRPC_RESOURCE_EXHAUSTED,
			 "too many calls under way on this connection");
	else
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
		take_data(session, header, payload);
	else
		complain(session, header->stream_id, TTRPC_INVALID_ARGUMENT,
			 "a frame that is neither request nor data");
}

/* One whose payload is not taken. */
static void refuse_frame(struct agent_session *session,
			 const struct ttrpc_header *header, const char *text)
{
	struct agent_call *call = find_call(session, header->stream_id);

	if (call) {
		agent_call_give_up(call, TTRPC_RESOURCE_EXHAUSTED, "%s", text);
		return;
	}
	/* What follows on this stream is not to be complained about again. */
	if (header->type == TTRPC_REQUEST && header->stream_id % 2)
		agent_stream_ids_take(&session->ids, header->stream_id);
	complain(session, header->stream_id, TTRPC_RESOURCE_EXHAUSTED, text);
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
	refuse_frame(session, header, text);
}

/* To be called whenever the reader may have taken or given back memory. */
static void count_frame(struct agent_session *session)
{
	size_t frame = ttrpc_reader_extra(&session->reader);

	if (frame > session->frame)
		agent_session_hold(session, frame - session->frame);
	else if (frame < session->frame)
		agent_session_let_go(session, session->frame - frame);
	session->frame = frame;
}

/* Whether there is memory for the frame that begins. */
static bool admit_frame(struct agent_session *session)
{
	struct ttrpc_header header;
	char text[120];

	if (!ttrpc_reader_grows(&session->reader, &header) ||
	    header.length <= AGENT_BUDGET_SHARE ||
	    agent_session_may_hold(session, header.length))
		return true;
	snprintf(text, sizeof(text),
		 "no room for a message of %u bytes: " AGENT_BUDGET_FULL, header.length,
		 session->agent->budget.used >> 10);
	ttrpc_reader_skip(&session->reader);
	refuse_frame(session, &header, text);
	return false;
}

/* One read, and the frame that it may have completed. False: enough for now. */
static bool read_some(struct agent_session *session)
{
	struct ttrpc_header header;
	const uint8_t *payload;
	size_t len;
	void *space;
	ssize_t n;

	if (!admit_frame(session))
		return wants_to_read(session);
	space = ttrpc_reader_space(&session->reader, &len);
	count_frame(session);
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
		ttrpc_reader_drop(&session->reader);
		count_frame(session);
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
		agent_session_let_go(session, sizeof(*frame) + frame->len);
		free(frame);
	}
}

static void flush(struct agent_session *session)
{
	session->blocked = false;
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
			session->blocked = true;
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

/* Gives handlers what was kept for them, each call in its turn. */
static void give_messages(struct agent_session *session)
{
	for (int i = 0; i < DELIVERIES_PER_TURN; i++) {
		struct agent_call *call = TAILQ_FIRST(&session->calls);

		while (call && (call->paused || TAILQ_EMPTY(&call->backlog)))
			call = TAILQ_NEXT(call, link);
		if (!call)
			return;
		TAILQ_REMOVE(&session->calls, call, link);
		TAILQ_INSERT_TAIL(&session->calls, call, link);
		agent_call_deliver(call);
	}
	agent_session_wake_calls(session);
}

/* A client that has ended its connection ends no stream any more. */
static void drop_cut_streams(struct agent_session *session)
{
	struct agent_call *call;

	do {
		call = TAILQ_FIRST(&session->calls);
		while (call && call->client_ended)
			call = TAILQ_NEXT(call, link);
		if (call)
			agent_call_give_up(call, TTRPC_CANCELLED,
					   "the connection ended within the stream");
	} while (call);
}

static struct agent_call *first_that_wants_room(const struct agent_session *session)
{
	struct agent_call *call = TAILQ_FIRST(&session->calls);

	if (session->broken || session->queued >= AGENT_STREAM_LOW)
		return NULL;
	while (call && !(call->wants_room && fits_queue(session, call->wants_room)))
		call = TAILQ_NEXT(call, link);
	return call;
}

/* Lets streams that wait for room go on, each in its turn. */
static void give_room(struct agent_session *session)
{
	struct agent_call *call;

	for (int i = 0; i < ROOMS_PER_TURN; i++) {
		call = first_that_wants_room(session);
		if (!call)
			return;
		TAILQ_REMOVE(&session->calls, call, link);
		TAILQ_INSERT_TAIL(&session->calls, call, link);
		agent_call_give_room(call);
	}
}

/* Sends what the turn has brought; then the session may be gone. */
static void end_turn(struct agent_session *session)
{
	if (session->eof)
		drop_cut_streams(session);
	flush(session);
	give_room(session);
	flush(session);
	/* A stream whose client keeps up: the other connections come first. */
	if (first_that_wants_room(session))
		agent_session_wake_calls(session);
	if (!wants_to_read(session) && is_peer_gone(session))
		session->broken = true;
	session->in_turn = false;
	if (is_finished(session))
		agent_session_destroy(session);
	else
		agent_session_wake(session);
}

static void turn_fired(struct agent_timer *timer)
{
	struct agent_session *session =
		agent_container(timer, struct agent_session, turn);

	session->in_turn = true;
	give_messages(session);
	end_turn(session);
}

void agent_session_reconsider(struct agent_session *session)
{
	agent_session_wake(session);
	if (first_that_wants_room(session))
		agent_session_wake_calls(session);
}

void agent_session_wake_calls(struct agent_session *session)
{
	agent_loop_arm(&session->agent->loop, &session->turn, deadline_after_ms(0));
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
	end_turn(session);
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
	session->turn.fire = turn_fired;
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
	agent->figures.connections++;
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
	agent_loop_disarm(&session->agent->loop, &session->turn);
	agent_loop_remove(&session->agent->loop, &session->source);
	close(session->source.fd);
	ttrpc_reader_free(&session->reader);
	TAILQ_REMOVE(&session->agent->sessions, session, link);
	session->agent->n_sessions--;
	/* Also if it held nothing: the others' parts are larger now. */
	agent_session_let_go(session, session->held);
	free(session);
}
