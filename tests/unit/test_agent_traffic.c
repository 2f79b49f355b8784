// SPDX-License-Identifier: Apache-2.0
/* Generate and Discard: what bounds them, and that they delay nobody. */
#include "test_agent_common.h"

#include "../../agent/traffic_service.h"
#include "../../host-cli/guest_rpc.h"
#include "vmctl/agent/v1/traffic.pb-c.h"

#define ENDLESS (1ull << 60)

typedef Vmctl__Agent__V1__GenerateRequest GenerateRequest;
typedef Vmctl__Agent__V1__GenerateResponse GenerateResponse;
typedef Vmctl__Agent__V1__DiscardResponse DiscardResponse;

static deadline_t patience(void)
{
	return deadline_after_ms(PATIENCE);
}

static GenerateRequest asks_for(uint64_t bytes, uint32_t message_bytes)
{
	GenerateRequest request = VMCTL__AGENT__V1__GENERATE_REQUEST__INIT;

	request.bytes = bytes;
	request.message_bytes = message_bytes;
	return request;
}

static void open_generate(struct rpc *rpc, struct rpc_stream *stream, uint64_t bytes,
			  uint32_t message_bytes)
{
	GenerateRequest request = asks_for(bytes, message_bytes);
	struct error err;

	assert_int_equal(guest_rpc_open(rpc, stream, "Generate", &request.base,
					RPC_SERVER_SENDS, patience(), &err),
			 0);
}

static void open_discard(struct rpc *rpc, struct rpc_stream *stream)
{
	struct rpc_request request = {SERVICE, "Discard", NULL, 0};
	struct error err;

	assert_int_equal(rpc_open(stream, rpc, &request, RPC_CLIENT_SENDS,
				  DEADLINE_NEVER, patience(), &err),
			 0);
}

/* One message, of which the length is returned; -1 at the end, or the error. */
static int64_t next_length(struct rpc_stream *stream)
{
	ProtobufCMessage *message = NULL;
	const GenerateResponse *response;
	struct error err;
	int64_t len;
	int ret =
		guest_rpc_next(stream, &vmctl__agent__v1__generate_response__descriptor,
			       patience(), &message, &err);

	if (ret != 1)
		return ret ? ret : -1;
	response = (const GenerateResponse *)message;
	len = (int64_t)response->data.len;
	for (int64_t i = 0; i < len; i++)
		if (response->data.data[i])
			fail_msg("byte %lld is no zero", (long long)i);
	message_free(message);
	return len;
}

static void expect_ping(struct rpc *rpc)
{
	struct rpc_request request = {SERVICE, "Ping", NULL, 0};
	struct error err;
	uint8_t *reply;
	size_t len;

	assert_int_equal(rpc_call(rpc, &request, patience(), &reply, &len, &err), 0);
	free(reply);
}

static void as_much_comes_as_was_asked_for(void **state)
{
	static const struct {
		uint64_t bytes;
		uint32_t message_bytes;
	} cases[] = {
		{0, 1},
		{1, 1},
		{5000, 1},
		{100000, 7000},
		{100000, 100000},
		{99999, 100000},
		{(5u << 20) + 3, 1u << 20},
	};
	struct rpc_stream stream;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t left = cases[i].bytes;

		open_generate(&rpc, &stream, left, cases[i].message_bytes);
		while (left) {
			uint64_t want = left < cases[i].message_bytes
						? left
						: cases[i].message_bytes;

			assert_int_equal(next_length(&stream), want);
			left -= want;
		}
		assert_int_equal(next_length(&stream), -1);
		expect_ping(&rpc);
	}
	rpc_close(&rpc);
}

static void messages_have_limits(void **state)
{
	static const uint32_t wrong[] = {0, (1u << 20) + 1, UINT32_MAX};
	struct rpc_stream stream;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		open_generate(&rpc, &stream, i, wrong[i]);
		assert_int_equal(next_length(&stream), RPC_REFUSED);
		expect_ping(&rpc);
	}
	rpc_close(&rpc);
}

static void clients_that_never_read_bound_memory_and_delay_nobody(void **state)
{
	static const uint32_t sizes[] = {1, 1000, 64u << 10, 1u << 20};
	int fds[16], other = dial(*state);

	for (uint32_t i = 0; i < 16; i++) {
		GenerateRequest request = asks_for(ENDLESS, sizes[i % 4]);

		fds[i] = dial(*state);
		for (uint32_t id = 1; id < 20; id += 2)
			send_call(fds[i], id, SERVICE, "Generate", &request.base, 0);
	}
	for (uint32_t id = 1; id < 200; id += 2)
		expect_works(other, id);
	usleep(200000);
#ifndef __SANITIZE_ADDRESS__
	/* A message of the largest size for each connection, at most. */
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 32 << 10);
#endif
	expect_works(other, 201);
	for (int i = 0; i < 16; i++)
		close(fds[i]);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	close(other);
}

static void an_endless_stream_delays_nobody(void **state)
{
	GenerateRequest request = asks_for(ENDLESS, 64u << 10);
	int fd = dial(*state), other = dial(*state);
	pid_t reader;

	send_call(fd, 1, SERVICE, "Generate", &request.base, 0);
	fflush(NULL);
	reader = fork();
	if (!reader) {
		char bytes[65536];

		while (read(fd, bytes, sizeof(bytes)) > 0)
			;
		_exit(0);
	}
	for (uint32_t id = 1; id < 200; id += 2)
		expect_works(other, id);
	kill(reader, SIGKILL);
	waitpid(reader, NULL, 0);
	close(fd);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	close(other);
}

static void a_stream_that_is_cancelled_ends(void **state)
{
	struct rpc_stream stream;
	struct error err;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	open_generate(&rpc, &stream, ENDLESS, 1u << 16);
	for (int i = 0; i < 100; i++)
		assert_int_equal(next_length(&stream), 1u << 16);
	rpc_cancel(&stream);
	expect_ping(&rpc);
	open_discard(&rpc, &stream);
	assert_int_equal(rpc_send(&stream, "\x0a\x01x", 3, patience(), &err), 0);
	rpc_cancel(&stream);
	expect_ping(&rpc);
	rpc_close(&rpc);
	/* And those whose connection goes. */
	rpc_init(&rpc, dial(*state));
	open_generate(&rpc, &stream, ENDLESS, 1);
	rpc_close(&rpc);
	wait_until(count_fds(*state) == IDLE_FDS);
}

static void calls_of_the_same_connection_go_on(void **state)
{
	GenerateRequest request = asks_for(64u << 20, 10000);
	uint64_t bytes = 0, pongs_at = 0;
	int fd = dial(*state), pongs = 0;
	struct ttrpc_header h = {0};

	send_call(fd, 1, SERVICE, "Generate", &request.base, 0);
	for (uint32_t i = 0; i < 20; i++)
		send_ping(fd, 101 + 2 * i, "between");
	while (!(h.flags & TTRPC_REMOTE_CLOSED)) {
		uint8_t header[TTRPC_HEADER_SIZE], payload[20000];

		assert_int_equal(
			io_read_full(fd, header, sizeof(header), patience(), NULL), 0);
		ttrpc_header_decode(header, &h);
		assert_in_range(h.length, 0, sizeof(payload));
		assert_int_equal(io_read_full(fd, payload, h.length, patience(), NULL),
				 0);
		if (h.type == TTRPC_DATA) {
			bytes += h.length;
		} else if (++pongs == 20) {
			pongs_at = bytes;
		}
	}
	assert_int_equal(pongs, 20);
	assert_in_range(pongs_at, 0, 32u << 20);
	assert_true(bytes > 64u << 20);
	close(fd);
}

/* The encoding of a DiscardRequest; to be freed. */
static uint8_t *pack_zeros(size_t bytes, size_t *len)
{
	Vmctl__Agent__V1__DiscardRequest request =
		VMCTL__AGENT__V1__DISCARD_REQUEST__INIT;
	uint8_t *data = calloc(1, bytes + 1), *packed = malloc(bytes + 16);

	assert_non_null(data);
	assert_non_null(packed);
	request.data.data = data;
	request.data.len = bytes;
	*len = vmctl__agent__v1__discard_request__pack(&request, packed);
	free(data);
	return packed;
}

static int send_zeros(struct rpc_stream *stream, size_t bytes)
{
	size_t len;
	uint8_t *packed = pack_zeros(bytes, &len);
	struct error err;
	int ret = rpc_send(stream, packed, len, patience(), &err);

	free(packed);
	return ret;
}

static int take_count(struct rpc_stream *stream, uint64_t *bytes, uint64_t *messages)
{
	DiscardResponse *response;
	struct error err;
	uint8_t *answer;
	size_t len;
	int ret = rpc_recv(stream, patience(), &answer, &len, &err);

	if (ret)
		return ret;
	response = vmctl__agent__v1__discard_response__unpack(NULL, len, answer);
	free(answer);
	assert_non_null(response);
	*bytes = response->bytes;
	*messages = response->messages;
	vmctl__agent__v1__discard_response__free_unpacked(response, NULL);
	return 0;
}

static void what_is_discarded_is_counted(void **state)
{
	static const size_t sizes[] = {1, 0, 1u << 20, 7, 65536};
	uint64_t bytes, messages, sent;
	struct rpc_stream stream;
	struct error err;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	for (uint64_t n = 0; n < 40; n += 13) {
		open_discard(&rpc, &stream);
		sent = 0;
		for (uint64_t i = 0; i < n; i++) {
			assert_int_equal(send_zeros(&stream, sizes[i % 5]), 0);
			sent += sizes[i % 5];
		}
		assert_int_equal(rpc_close_send(&stream, &err), 0);
		assert_int_equal(take_count(&stream, &bytes, &messages), 0);
		assert_int_equal(bytes, sent);
		assert_int_equal(messages, n);
	}
	expect_ping(&rpc);
	rpc_close(&rpc);
}

static void a_message_above_the_limit_ends_its_stream_only(void **state)
{
	uint64_t bytes, messages;
	struct rpc_stream stream;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	open_discard(&rpc, &stream);
	assert_int_equal(send_zeros(&stream, (1u << 20) + 1), 0);
	assert_int_equal(take_count(&stream, &bytes, &messages), RPC_REFUSED);
	expect_ping(&rpc);
	rpc_close(&rpc);
}

static void one_that_sends_much_delays_nobody(void **state)
{
	int other = dial(*state);
	struct rpc_stream stream;
	struct rpc rpc;
	size_t len;
	uint8_t *packed = pack_zeros(1u << 20, &len);
	pid_t writer;

	rpc_init(&rpc, dial(*state));
	open_discard(&rpc, &stream);
	fflush(NULL);
	writer = fork();
	if (!writer) {
		while (!rpc_send(&stream, packed, len, patience(), NULL))
			;
		_exit(0);
	}
	for (uint32_t id = 1; id < 200; id += 2)
		expect_works(other, id);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	free(packed);
	rpc_close(&rpc);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	close(other);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(as_much_comes_as_was_asked_for),
		test(messages_have_limits),
		test(clients_that_never_read_bound_memory_and_delay_nobody),
		test(an_endless_stream_delays_nobody),
		test(a_stream_that_is_cancelled_ends),
		test(calls_of_the_same_connection_go_on),
		test(what_is_discarded_is_counted),
		test(a_message_above_the_limit_ends_its_stream_only),
		test(one_that_sends_much_delays_nobody),
	};

	return cmocka_run_group_tests_name("agent_traffic", tests, NULL, NULL);
}
