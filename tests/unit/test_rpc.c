/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ttrpc client against a server that answers late, wrongly or not at all. Its
 * answers are written into the socket before the client looks.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../host-cli/rpc.h"
#include "ttrpc.pb-c.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
