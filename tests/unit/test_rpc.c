/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ttrpc client against a server that answers late, wrongly or not at all. Its
 * answers are written into the socket before the client looks.
 */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../host-cli/guest_rpc.h"
#include "../../host-cli/rpc.h"
#include "ttrpc.pb-c.h"
#include "vmctl/agent/v1/agent.pb-c.h"

#define SOON deadline_after_ms(100)
#define LONG deadline_after_ms(20000)

static const struct rpc_request ping = {"a.Service", "Ping", "hi", 2};

struct server {
	int fd;
	struct rpc rpc;
	uint8_t *reply;
	size_t len;
	struct error err;
};

static struct server start(void)
{
	struct server s = {0};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s.fd = pair[0];
	rpc_init(&s.rpc, pair[1]);
	return s;
}

static void stop(struct server *s)
{
	rpc_close(&s->rpc);
	free(s->reply);
	if (s->fd >= 0)
		close(s->fd);
}

static void say(struct server *s, uint32_t stream, uint8_t type, const void *payload,
		size_t len)
{
	struct ttrpc_header h = {
		.length = (uint32_t)len, .stream_id = stream, .type = type};
	uint8_t header[TTRPC_HEADER_SIZE];

	ttrpc_header_encode(&h, header);
	assert_int_equal(write(s->fd, header, sizeof(header)), sizeof(header));
	if (len)
		assert_int_equal(write(s->fd, payload, len), len);
}

static void answer(struct server *s, uint32_t stream, int code, const char *message,
		   const char *payload)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;
	Ttrpc__Status status = TTRPC__STATUS__INIT;
	uint8_t packed[512];

	status.code = code;
	status.message = (char *)message;
	if (code)
		response.status = &status;
	response.payload.data = (uint8_t *)payload;
	response.payload.len = strlen(payload);
	say(s, stream, TTRPC_RESPONSE, packed,
	    ttrpc__response__pack(&response, packed));
}

static int call(struct server *s, deadline_t deadline)
{
	free(s->reply);
	s->reply = NULL;
	return rpc_call(&s->rpc, &ping, deadline, &s->reply, &s->len, &s->err);
}

static void a_call_carries_the_time_left_and_brings_the_answer_back(void **state)
{
	struct server s = start();
	uint8_t frame[256];
	Ttrpc__Request *request;
	ssize_t n;

	(void)state;
	answer(&s, 1, 0, "", "hi");
	assert_int_equal(call(&s, LONG), 0);
	assert_int_equal(s.len, 2);
	assert_memory_equal(s.reply, "hi", 2);
	n = read(s.fd, frame, sizeof(frame));
	assert_true(n > TTRPC_HEADER_SIZE);
	request = ttrpc__request__unpack(NULL, n - TTRPC_HEADER_SIZE,
					 frame + TTRPC_HEADER_SIZE);
	assert_non_null(request);
	assert_string_equal(request->service, "a.Service");
	assert_string_equal(request->method, "Ping");
	assert_true(request->timeout_nano > 0);
	assert_true(request->timeout_nano <= 20000000000ll);
	ttrpc__request__free_unpacked(request, NULL);
	/* The next call on the connection is the next odd stream. */
	answer(&s, 3, 0, "", "");
	assert_int_equal(call(&s, LONG), 0);
	assert_int_equal(s.len, 0);
	stop(&s);
}

static void a_status_becomes_an_error_with_printable_words(void **state)
{
	static const struct {
		int code, ret;
	} cases[] = {
		{TTRPC_INTERNAL, RPC_REFUSED},
		{TTRPC_UNIMPLEMENTED, -EOPNOTSUPP},
		{TTRPC_PERMISSION_DENIED, -EACCES},
		{TTRPC_DEADLINE_EXCEEDED, -ETIMEDOUT},
		{77, RPC_REFUSED},
		{-5, RPC_REFUSED},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server s = start();

		answer(&s, 1, cases[i].code, "no\x1b[0m\n", "ignored");
		assert_int_equal(call(&s, LONG), cases[i].ret);
		assert_non_null(strstr(s.err.text, "no?[0m?"));
		assert_null(s.reply);
		stop(&s);
	}
}

static void a_server_that_says_nothing_costs_the_deadline(void **state)
{
	struct server s = start();

	(void)state;
	assert_int_equal(call(&s, SOON), -ETIMEDOUT);
	stop(&s);
}

static void half_an_answer_costs_the_deadline_too(void **state)
{
	struct server s = start();

	(void)state;
	assert_int_equal(write(s.fd, "\0\0\0\x08\0\0\0\x01\x02\0xyz", 13), 13);
	assert_int_equal(call(&s, SOON), -ETIMEDOUT);
	stop(&s);
}

static void a_server_that_goes_is_a_reset(void **state)
{
	struct server s = start();

	(void)state;
	assert_int_equal(write(s.fd, "\0\0\0\x08\0\0\0\x01\x02\0xyz", 13), 13);
	shutdown(s.fd, SHUT_WR);
	assert_int_equal(call(&s, LONG), -ECONNRESET);
	stop(&s);
	s = start();
	close(s.fd);
	s.fd = -1;
	assert_int_equal(call(&s, LONG), -ECONNRESET);
	stop(&s);
}

static void another_stream_or_type_is_no_answer(void **state)
{
	struct server s = start();

	(void)state;
	answer(&s, 3, 0, "", "hi");
	assert_int_equal(call(&s, LONG), -EPROTO);
	stop(&s);
	s = start();
	say(&s, 1, TTRPC_DATA, "hi", 2);
	assert_int_equal(call(&s, LONG), -EPROTO);
	stop(&s);
	s = start();
	say(&s, 1, TTRPC_REQUEST, "", 0);
	assert_int_equal(call(&s, LONG), -EPROTO);
	stop(&s);
}

static void protobuf_garbage_is_no_answer(void **state)
{
	struct server s = start();

	(void)state;
	say(&s, 1, TTRPC_RESPONSE, "\x0a\xff\xff\xff\xff\x0f", 6);
	assert_int_equal(call(&s, LONG), -EPROTO);
	stop(&s);
}

static void an_answer_above_the_limit_is_refused_by_its_header(void **state)
{
	struct server s = start();

	(void)state;
	assert_int_equal(write(s.fd, "\xff\xff\xff\xff\0\0\0\x01\x02\0", 10), 10);
	assert_int_equal(call(&s, LONG), -EMSGSIZE);
	stop(&s);
}

static struct rpc_stream open_stream(struct server *s, enum rpc_direction direction)
{
	struct rpc_stream stream;

	assert_int_equal(rpc_open(&stream, &s->rpc, &ping, direction, DEADLINE_NEVER,
				  LONG, &s->err),
			 0);
	return stream;
}

static int receive(struct server *s, struct rpc_stream *stream, deadline_t deadline)
{
	free(s->reply);
	return rpc_recv(stream, deadline, &s->reply, &s->len, &s->err);
}

static void expect_sent(struct server *s, uint32_t stream, uint8_t type, uint8_t flags,
			const char *payload)
{
	uint8_t header[TTRPC_HEADER_SIZE], bytes[512];
	struct ttrpc_header h;

	assert_int_equal(read(s->fd, header, sizeof(header)), sizeof(header));
	ttrpc_header_decode(header, &h);
	assert_int_equal(h.stream_id, stream);
	assert_int_equal(h.type, type);
	assert_int_equal(h.flags, flags);
	assert_in_range(h.length, 0, sizeof(bytes));
	if (h.length)
		assert_int_equal(read(s->fd, bytes, h.length), h.length);
	if (payload) {
		assert_int_equal(h.length, strlen(payload));
		assert_memory_equal(bytes, payload, h.length);
	}
}

static void say_flags(struct server *s, uint32_t stream, uint8_t flags)
{
	struct ttrpc_header h = {
		.stream_id = stream, .type = TTRPC_DATA, .flags = flags};
	uint8_t header[TTRPC_HEADER_SIZE];

	ttrpc_header_encode(&h, header);
	assert_int_equal(write(s->fd, header, sizeof(header)), sizeof(header));
}

static void a_server_stream_gives_messages_and_then_its_end(void **state)
{
	struct server s = start();
	struct rpc_stream stream = open_stream(&s, RPC_SERVER_SENDS);

	(void)state;
	expect_sent(&s, 1, TTRPC_REQUEST, TTRPC_REMOTE_CLOSED, NULL);
	assert_int_equal(receive(&s, &stream, DEADLINE_NOW), -EAGAIN);
	say(&s, 1, TTRPC_DATA, "one", 3);
	say(&s, 1, TTRPC_DATA, "", 0);
	assert_int_equal(receive(&s, &stream, LONG), 1);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.reply, "one", 3);
	assert_int_equal(receive(&s, &stream, LONG), 1);
	assert_int_equal(s.len, 0);
	assert_int_equal(call(&s, LONG), -EBUSY);
	assert_int_equal(rpc_send(&stream, "x", 1, LONG, &s.err), -EPIPE);
	say_flags(&s, 1, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
	assert_int_equal(receive(&s, &stream, LONG), 0);
	assert_int_equal(receive(&s, &stream, LONG), 0);
	answer(&s, 3, 0, "", "hi");
	assert_int_equal(call(&s, LONG), 0);
	stop(&s);
}

static void a_client_stream_sends_and_gets_one_answer(void **state)
{
	struct server s = start();
	struct rpc_stream stream = open_stream(&s, RPC_CLIENT_SENDS);

	(void)state;
	expect_sent(&s, 1, TTRPC_REQUEST, TTRPC_REMOTE_OPEN, NULL);
	assert_int_equal(rpc_send(&stream, "abc", 3, LONG, &s.err), 0);
	assert_int_equal(rpc_send(&stream, NULL, 0, LONG, &s.err), 0);
	assert_int_equal(rpc_close_send(&stream, &s.err), 0);
	assert_int_equal(rpc_send(&stream, "abc", 3, LONG, &s.err), -EPIPE);
	expect_sent(&s, 1, TTRPC_DATA, 0, "abc");
	expect_sent(&s, 1, TTRPC_DATA, 0, "");
	expect_sent(&s, 1, TTRPC_DATA, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA, "");
	answer(&s, 1, 0, "", "sum");
	assert_int_equal(receive(&s, &stream, LONG), 0);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.reply, "sum", 3);
	stop(&s);
}

static void a_stream_that_fails_says_why(void **state)
{
	struct server s = start();
	struct rpc_stream stream = open_stream(&s, RPC_CLIENT_SENDS);

	(void)state;
	answer(&s, 1, TTRPC_PERMISSION_DENIED, "line 3", "");
	assert_int_equal(receive(&s, &stream, LONG), -EACCES);
	assert_non_null(strstr(s.err.text, "line 3"));
	assert_int_equal(rpc_send(&stream, "x", 1, LONG, &s.err), -EPIPE);
	rpc_cancel(&stream); /* has ended: nothing */
	stream = open_stream(&s, RPC_SERVER_SENDS);
	close(s.fd);
	s.fd = -1;
	assert_int_equal(receive(&s, &stream, LONG), -ECONNRESET);
	stop(&s);
}

static void a_message_is_taken_whole_or_not_at_all(void **state)
{
	static char bytes[1 << 20];
	struct server s = start();
	struct rpc_stream stream = open_stream(&s, RPC_CLIENT_SENDS);
	size_t got = 0, want;
	ssize_t n;

	(void)state;
	assert_int_equal(rpc_events(&s.rpc), POLLIN);
	assert_int_equal(rpc_send(&stream, bytes, TTRPC_PAYLOAD_MAX + 1, LONG, &s.err),
			 -EMSGSIZE);
	/* More than a socket's buffer holds. */
	assert_int_equal(rpc_send(&stream, bytes, sizeof(bytes), SOON, &s.err), 0);
	assert_int_equal(rpc_events(&s.rpc), POLLIN | POLLOUT);
	assert_int_equal(rpc_send(&stream, "x", 1, SOON, &s.err), -EAGAIN);
	expect_sent(&s, 1, TTRPC_REQUEST, TTRPC_REMOTE_OPEN, NULL);
	want = TTRPC_HEADER_SIZE + sizeof(bytes);
	while (got < want) {
		char some[65536];
		size_t left = want - got;

		n = read(s.fd, some, left < sizeof(some) ? left : sizeof(some));
		assert_true(n > 0);
		got += n;
		/* Who waits for an answer sends meanwhile. */
		assert_int_equal(receive(&s, &stream, DEADLINE_NOW), -EAGAIN);
	}
	assert_int_equal(rpc_events(&s.rpc), POLLIN);
	assert_int_equal(rpc_send(&stream, "x", 1, SOON, &s.err), 0);
	expect_sent(&s, 1, TTRPC_DATA, 0, "x");
	stop(&s);
}

static void what_comes_of_a_cancelled_stream_is_skipped(void **state)
{
	struct server s = start();
	struct rpc_stream stream = open_stream(&s, RPC_CLIENT_SENDS);

	(void)state;
	rpc_cancel(&stream);
	rpc_cancel(&stream);
	expect_sent(&s, 1, TTRPC_REQUEST, TTRPC_REMOTE_OPEN, NULL);
	expect_sent(&s, 1, TTRPC_DATA, TTRPC_NO_DATA, "");
	say(&s, 1, TTRPC_DATA, "late", 4);
	answer(&s, 1, TTRPC_CANCELLED, "so be it", "");
	answer(&s, 3, 0, "", "hi");
	assert_int_equal(call(&s, LONG), 0);
	assert_memory_equal(s.reply, "hi", 2);
	stop(&s);
}

static void a_stream_with_nonsense_in_it_ends(void **state)
{
	struct server s = start();
	struct rpc_stream stream = open_stream(&s, RPC_SERVER_SENDS);

	(void)state;
	say_flags(&s, 1, TTRPC_NO_DATA);
	assert_int_equal(receive(&s, &stream, LONG), -EPROTO);
	stop(&s);
	s = start();
	stream = open_stream(&s, RPC_SERVER_SENDS);
	say(&s, 7, TTRPC_DATA, "x", 1);
	assert_int_equal(receive(&s, &stream, LONG), -EPROTO);
	stop(&s);
}

/* A guest that is fast enough always has one there. */
static void messages_that_are_there_are_held_to_the_deadline_too(void **state)
{
	const ProtobufCMessageDescriptor *type =
		&vmctl__agent__v1__ping_response__descriptor;
	deadline_t passed = deadline_after_ms(0);
	struct server s = start();
	ProtobufCMessage *message;
	struct rpc_stream stream;

	(void)state;
	for (int i = 0; i < 3; i++)
		say(&s, 1, TTRPC_DATA, NULL, 0);
	assert_int_equal(guest_rpc_open(&s.rpc, &stream, "Many", NULL, RPC_CLIENT_SENDS,
					LONG, &s.err),
			 0);
	assert_int_equal(guest_rpc_next(&stream, type, LONG, &message, &s.err), 1);
	message_free(message);
	assert_int_equal(guest_rpc_next(&stream, type, DEADLINE_NOW, &message, &s.err),
			 1);
	message_free(message);
	assert_int_equal(guest_rpc_next(&stream, type, passed, &message, &s.err),
			 -ETIMEDOUT);
	assert_false(stream.receiving);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_call_carries_the_time_left_and_brings_the_answer_back),
		cmocka_unit_test(a_status_becomes_an_error_with_printable_words),
		cmocka_unit_test(a_server_that_says_nothing_costs_the_deadline),
		cmocka_unit_test(half_an_answer_costs_the_deadline_too),
		cmocka_unit_test(a_server_that_goes_is_a_reset),
		cmocka_unit_test(another_stream_or_type_is_no_answer),
		cmocka_unit_test(protobuf_garbage_is_no_answer),
		cmocka_unit_test(an_answer_above_the_limit_is_refused_by_its_header),
		cmocka_unit_test(a_server_stream_gives_messages_and_then_its_end),
		cmocka_unit_test(a_client_stream_sends_and_gets_one_answer),
		cmocka_unit_test(a_stream_that_fails_says_why),
		cmocka_unit_test(a_message_is_taken_whole_or_not_at_all),
		cmocka_unit_test(what_comes_of_a_cancelled_stream_is_skipped),
		cmocka_unit_test(a_stream_with_nonsense_in_it_ends),
		cmocka_unit_test(messages_that_are_there_are_held_to_the_deadline_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
