// SPDX-License-Identifier: Apache-2.0
/* Streams, of a service that only this test has. */
#include "test_agent_common.h"

#include <poll.h>

#include "../../agent/session.h"
#include "../../host-cli/rpc.h"
#include "stream_service.h"

static int start(void **state)
{
	static const struct agent_service *served[3] = {NULL, &stream_service};

	served[0] = agent_services[0];
	test_services = served;
	return start_agent(state);
}

/* The client. */

static void send_chunk(int fd, uint32_t stream_id, uint8_t flags, const char *text,
		       size_t len)
{
	struct ttrpc_header h = {
		.stream_id = stream_id, .type = TTRPC_DATA, .flags = flags};
	Chunk chunk = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	uint8_t *packed = malloc(len + 16);

	assert_non_null(packed);
	chunk.payload.data = (uint8_t *)text;
	chunk.payload.len = len;
	h.length = vmctl__agent__v1__ping_request__pack(&chunk, packed);
	send_frame(fd, h, packed);
	free(packed);
}

static void send_close(int fd, uint32_t stream_id)
{
	struct ttrpc_header h = {.stream_id = stream_id,
				 .type = TTRPC_DATA,
				 .flags = TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA};

	send_frame(fd, h, NULL);
}

static void open_stream(int fd, uint32_t stream_id, const char *method, uint8_t flags,
			const ProtobufCMessage *first, const char *pace)
{
	struct ttrpc_header h = {
		.stream_id = stream_id, .type = TTRPC_REQUEST, .flags = flags};
	Ttrpc__KeyValue pair = TTRPC__KEY_VALUE__INIT, *pairs[] = {&pair};
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	uint8_t payload[256], packed[512];

	request.service = (char *)TEST_SERVICE;
	request.method = (char *)method;
	if (first) {
		request.payload.len = protobuf_c_message_pack(first, payload);
		request.payload.data = payload;
	}
	pair.key = (char *)"pace";
	pair.value = (char *)pace;
	if (pace) {
		request.metadata = pairs;
		request.n_metadata = 1;
	}
	h.length = ttrpc__request__pack(&request, packed);
	send_frame(fd, h, packed);
}

static void open_count_for(int fd, uint32_t stream_id, uint32_t n, uint32_t size,
			   int64_t timeout_nano)
{
	Vmctl__Agent__V1__OnlineCpusRequest request =
		VMCTL__AGENT__V1__ONLINE_CPUS_REQUEST__INIT;
	uint32_t numbers[] = {n, size};

	request.cpus = numbers;
	request.n_cpus = 2;
	send_call(fd, stream_id, TEST_SERVICE, "Count", &request.base, timeout_nano);
}

static void open_count(int fd, uint32_t stream_id, uint32_t n, uint32_t size)
{
	open_count_for(fd, stream_id, n, size, 0);
}

struct frame {
	struct ttrpc_header header;
	Chunk *chunk;		   /* of a data frame with data */
	Ttrpc__Response *response; /* of a response */
};

static struct frame take_frame(int fd)
{
	deadline_t deadline = deadline_after_ms(PATIENCE);
	uint8_t header[TTRPC_HEADER_SIZE], *payload;
	struct frame f = {0};

	assert_int_equal(io_read_full(fd, header, sizeof(header), deadline, NULL), 0);
	ttrpc_header_decode(header, &f.header);
	payload = malloc(f.header.length + 1);
	assert_non_null(payload);
	assert_int_equal(io_read_full(fd, payload, f.header.length, deadline, NULL), 0);
	if (f.header.type == TTRPC_RESPONSE) {
		f.response = ttrpc__response__unpack(NULL, f.header.length, payload);
		assert_non_null(f.response);
	} else if (!(f.header.flags & TTRPC_NO_DATA)) {
		f.chunk = vmctl__agent__v1__ping_request__unpack(NULL, f.header.length,
								 payload);
		assert_non_null(f.chunk);
	}
	free(payload);
	return f;
}

static void free_frame(struct frame *f)
{
	if (f->response)
		ttrpc__response__free_unpacked(f->response, NULL);
	if (f->chunk)
		vmctl__agent__v1__ping_request__free_unpacked(f->chunk, NULL);
}

static uint32_t number_of(const struct frame *f)
{
	uint32_t number;

	assert_non_null(f->chunk);
	assert_true(f->chunk->payload.len >= sizeof(number));
	memcpy(&number, f->chunk->payload.data, sizeof(number));
	return number;
}

static void expect_number(int fd, uint32_t stream_id, uint32_t number)
{
	struct frame f = take_frame(fd);

	assert_int_equal(f.header.stream_id, stream_id);
	assert_int_equal(f.header.type, TTRPC_DATA);
	assert_int_equal(number_of(&f), number);
	free_frame(&f);
}

static void expect_chunk(int fd, uint32_t stream_id, const char *text)
{
	struct frame f = take_frame(fd);

	assert_int_equal(f.header.stream_id, stream_id);
	assert_non_null(f.chunk);
	assert_int_equal(f.chunk->payload.len, strlen(text));
	assert_memory_equal(f.chunk->payload.data, text, strlen(text));
	free_frame(&f);
}

static void expect_finish(int fd, uint32_t stream_id)
{
	struct frame f = take_frame(fd);

	assert_int_equal(f.header.stream_id, stream_id);
	assert_int_equal(f.header.type, TTRPC_DATA);
	assert_int_equal(f.header.flags, TTRPC_REMOTE_CLOSED | TTRPC_NO_DATA);
	free_frame(&f);
}

static void expect_sum(int fd, uint32_t stream_id, const char *text)
{
	expect_pong(fd, stream_id, text);
}

/* The tests. */

static void a_server_stream_sends_all_and_ends(void **state)
{
	int fd = dial(*state);

	open_count(fd, 1, 3, 0);
	for (uint32_t i = 0; i < 3; i++)
		expect_number(fd, 1, i);
	expect_finish(fd, 1);
	open_count(fd, 3, 0, 0);
	expect_finish(fd, 3);
	expect_works(fd, 5);
	close(fd);
}

static void a_long_stream_comes_whole_to_a_slow_reader(void **state)
{
	const uint32_t n = 3000;
	int fd = dial(*state), small = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	open_count(fd, 1, n, 4000);
	for (uint32_t i = 0; i < n; i++) {
		if (i % 100 == 0)
			usleep(1000);
		expect_number(fd, 1, i);
	}
	expect_finish(fd, 1);
	expect_works(fd, 3);
	close(fd);
}

static void streams_and_calls_interleave(void **state)
{
	uint32_t next[4] = {0}, n = 500, finished = 0, pongs = 0;
	int fd = dial(*state);

	for (uint32_t s = 0; s < 4; s++)
		open_count(fd, 2 * s + 1, n, 2000);
	for (uint32_t i = 0; i < 20; i++)
		send_ping(fd, 101 + 2 * i, "between");
	while (finished < 4 || pongs < 20) {
		struct frame f = take_frame(fd);

		if (f.header.type == TTRPC_RESPONSE) {
			assert_true(f.header.stream_id > 100);
			/* Long before the streams are done. */
			assert_true(!finished);
			pongs++;
		} else if (f.chunk) {
			assert_int_equal(number_of(&f), next[f.header.stream_id / 2]++);
		} else {
			assert_int_equal(next[f.header.stream_id / 2], n);
			finished++;
		}
		free_frame(&f);
	}
	close(fd);
}

static void a_stream_that_fails_ends_with_a_status(void **state)
{
	int fd = dial(*state);

	send_call(fd, 1, TEST_SERVICE, "Count", NULL, 0);
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	open_stream(fd, 3, "Silent", 0, NULL, NULL);
	expect_status(fd, 3, TTRPC_INTERNAL);
	expect_works(fd, 5);
	close(fd);
}

static void a_client_stream_gets_one_answer(void **state)
{
	int fd = dial(*state);

	open_stream(fd, 1, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	send_chunk(fd, 1, 0, "abc", 3);
	send_chunk(fd, 1, 0, "", 0);
	send_close(fd, 1);
	expect_sum(fd, 1, "3 bytes in 2");
	/* The last message may close, and the first come with the request. */
	open_stream(fd, 3, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	send_chunk(fd, 3, TTRPC_REMOTE_CLOSED, "abc", 3);
	expect_sum(fd, 3, "3 bytes in 1");
	open_stream(fd, 5, "Sum", TTRPC_REMOTE_CLOSED, NULL, NULL);
	expect_sum(fd, 5, "0 bytes in 0");
	wait_until(log_has(*state, "vmctl.test.Streams/Sum: OK"));
	close(fd);
}

static void both_ways_at_once(void **state)
{
	Chunk first = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	int fd = dial(*state);

	first.payload.data = (uint8_t *)"first";
	first.payload.len = 5;
	open_stream(fd, 1, "Echo", TTRPC_REMOTE_OPEN, &first.base, NULL);
	open_stream(fd, 3, "Echo", TTRPC_REMOTE_OPEN, NULL, NULL);
	expect_chunk(fd, 1, "first");
	send_chunk(fd, 3, 0, "three", 5);
	expect_chunk(fd, 3, "three");
	send_chunk(fd, 1, 0, "one", 3);
	expect_chunk(fd, 1, "one");
	expect_works(fd, 5);
	send_close(fd, 3);
	expect_finish(fd, 3);
	send_close(fd, 1);
	expect_finish(fd, 1);
	close(fd);
}

static void an_echo_of_megabytes_loses_nothing(void **state)
{
	static char bytes[30000];
	const uint32_t n = 1000;
	int fd = dial(*state);
	pid_t writer;

	open_stream(fd, 1, "Echo", TTRPC_REMOTE_OPEN, NULL, NULL);
	fflush(NULL);
	writer = fork();
	if (!writer) {
		for (uint32_t i = 0; i < n; i++) {
			memcpy(bytes, &i, sizeof(i));
			send_chunk(fd, 1, 0, bytes, sizeof(bytes));
		}
		send_close(fd, 1);
		_exit(0);
	}
	for (uint32_t i = 0; i < n; i++)
		expect_number(fd, 1, i);
	expect_finish(fd, 1);
	waitpid(writer, NULL, 0);
	close(fd);
}

static void what_a_slow_handler_has_not_taken_is_kept_in_order(void **state)
{
	int fd = dial(*state);

	open_stream(fd, 1, "Sum", TTRPC_REMOTE_OPEN, NULL, "slow");
	for (int i = 0; i < 100; i++)
		send_chunk(fd, 1, 0, "12345", 5);
	send_close(fd, 1);
	send_ping(fd, 3, "meanwhile");
	expect_pong(fd, 3, "meanwhile");
	expect_sum(fd, 1, "500 bytes in 100");
	close(fd);
}

static size_t stuff(int fd, uint32_t stream_id)
{
	static uint8_t frame[TTRPC_HEADER_SIZE + 65539];
	struct ttrpc_header h = {
		.length = 65539, .stream_id = stream_id, .type = TTRPC_DATA};
	size_t total = 0, done;
	int ret;

	ttrpc_header_encode(&h, frame);
	memcpy(frame + TTRPC_HEADER_SIZE, "\x0a\xff\xff\x03", 4); /* 65535 bytes */
	do {
		ret = io_write_full(fd, frame, sizeof(frame), deadline_after_ms(500),
				    &done);
		total += done;
	} while (!ret && total < 256u << 20);
	return total;
}

static void a_handler_that_takes_nothing_bounds_what_is_read(void **state)
{
	int fd = dial(*state), other = dial(*state);

	open_stream(fd, 1, "Sum", TTRPC_REMOTE_OPEN, NULL, "never");
	assert_in_range(stuff(fd, 1), AGENT_BACKLOG_MAX / 2,
			AGENT_BACKLOG_MAX + (4u << 20));
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
	expect_works(other, 1);
	close(fd);
	/* Though its bytes were not read, its end is seen. */
	wait_until(log_has(*state, "Sum cancelled"));
	close(other);
}

static void clients_that_never_read_bound_memory_and_delay_nobody(void **state)
{
	int fds[20], other = dial(*state);

	for (int i = 0; i < 20; i++) {
		fds[i] = dial(*state);
		for (uint32_t id = 1; id < 20; id += 2)
			open_count(fds[i], id, 1000000, 10000);
	}
	for (uint32_t id = 1; id < 200; id += 2)
		expect_works(other, id);
	usleep(200000);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 20 << 10);
#endif
	expect_works(other, 201);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	close(other);
}

static void an_endless_stream_delays_nobody(void **state)
{
	int fd = dial(*state), other = dial(*state);
	pid_t reader;

	open_count(fd, 1, HANGS - 1, 100);
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
	wait_until(log_has(*state, "Count cancelled"));
	close(other);
}

static void a_connection_that_goes_cancels_its_calls(void **state)
{
	int fd = dial(*state);

	open_count(fd, 1, HANGS, 0);
	open_stream(fd, 3, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	open_stream(fd, 5, "Echo", TTRPC_REMOTE_OPEN, NULL, NULL);
	expect_works(fd, 7);
	close(fd);
	wait_until(log_has(*state, "Count cancelled"));
	wait_until(log_has(*state, "Sum cancelled"));
	wait_until(log_has(*state, "Echo cancelled"));
	wait_until(log_has(*state, "Sum: CANCELLED"));
}

static void a_half_close_cancels_the_streams_that_it_cuts(void **state)
{
	int fd = dial(*state);

	open_stream(fd, 1, "Echo", TTRPC_REMOTE_OPEN, NULL, NULL);
	open_count(fd, 3, 1, 0);
	shutdown(fd, SHUT_WR);
	expect_number(fd, 3, 0);
	expect_finish(fd, 3);
	expect_status(fd, 1, TTRPC_CANCELLED);
	expect_closed(fd);
	close(fd);
}

static void a_frame_that_neither_closes_nor_has_data_cancels(void **state)
{
	struct ttrpc_header h = {
		.stream_id = 1, .type = TTRPC_DATA, .flags = TTRPC_NO_DATA};
	int fd = dial(*state);

	open_count(fd, 1, HANGS, 0);
	send_frame(fd, h, NULL);
	expect_status(fd, 1, TTRPC_CANCELLED);
	wait_until(log_has(*state, "Count cancelled"));
	send_frame(fd, h, NULL); /* of a call that has ended: not answered */
	open_stream(fd, 3, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	h.stream_id = 3;
	send_frame(fd, h, NULL);
	expect_status(fd, 3, TTRPC_CANCELLED);
	wait_until(log_has(*state, "Sum cancelled"));
	expect_works(fd, 5);
	close(fd);
}

static void data_where_none_belongs_ends_the_call(void **state)
{
	struct ttrpc_header h = {.stream_id = 5, .type = TTRPC_DATA, .length = 2};
	int fd = dial(*state);

	open_count(fd, 1, HANGS, 0);
	send_chunk(fd, 1, 0, "x", 1);
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	open_stream(fd, 3, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	h.stream_id = 3;
	send_frame(fd, h, "\xff\xff");
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	open_stream(fd, 5, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	h.stream_id = 5;
	h.flags = TTRPC_NO_DATA;
	send_frame(fd, h, "xx");
	expect_status(fd, 5, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 7);
	close(fd);
}

static void an_oversize_message_ends_its_stream_only(void **state)
{
	struct ttrpc_header h = {
		.stream_id = 1, .type = TTRPC_DATA, .length = TTRPC_PAYLOAD_MAX + 1};
	uint8_t *bytes = calloc(1, h.length);
	int fd = dial(*state);

	assert_non_null(bytes);
	open_stream(fd, 1, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	open_stream(fd, 3, "Echo", TTRPC_REMOTE_OPEN, NULL, NULL);
	send_frame(fd, h, bytes);
	expect_status(fd, 1, TTRPC_RESOURCE_EXHAUSTED);
	/* Above the method's own limit. */
	open_stream(fd, 5, "Sum", TTRPC_REMOTE_OPEN, NULL, NULL);
	send_chunk(fd, 5, 0, (char *)bytes, 2u << 20);
	expect_status(fd, 5, TTRPC_RESOURCE_EXHAUSTED);
	send_chunk(fd, 3, 0, "yes", 3);
	expect_chunk(fd, 3, "yes");
	free(bytes);
	close(fd);
}

static void a_time_out_cancels_a_stream(void **state)
{
	int fd = dial(*state);

	open_count_for(fd, 1, HANGS, 0, 50000000);
	expect_status(fd, 1, TTRPC_DEADLINE_EXCEEDED);
	assert_true(log_has(*state, "Count cancelled"));
	expect_works(fd, 3);
	close(fd);
}

static void two_hundred_connections_stream_at_once(void **state)
{
	int fds[200];

	for (int i = 0; i < 200; i++) {
		fds[i] = dial(*state);
		open_stream(fds[i], 1, "Echo", TTRPC_REMOTE_OPEN, NULL, NULL);
		open_count(fds[i], 3, 20, 1000);
	}
	for (int i = 0; i < 200; i++)
		send_chunk(fds[i], 1, TTRPC_REMOTE_CLOSED, "echo", 4);
	for (int i = 0; i < 200; i++) {
		for (int left = 20 + 1 + 2; left; left--) {
			struct frame f = take_frame(fds[i]);

			assert_int_equal(f.header.type, TTRPC_DATA);
			free_frame(&f);
		}
		expect_works(fds[i], 5);
		close(fds[i]);
	}
	wait_until(count_fds(*state) == IDLE_FDS);
}

static void vmctls_client_streams_both_ways_and_cancels(void **state)
{
	struct rpc_request request = {TEST_SERVICE, "Echo", NULL, 0};
	deadline_t long_time = deadline_after_ms(PATIENCE);
	Chunk chunk = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	static uint8_t bytes[50000], packed[sizeof(bytes) + 16];
	uint32_t n = 400, sent = 0, got = 0;
	struct rpc_stream stream;
	struct error err;
	uint8_t *message;
	struct rpc rpc;
	size_t len;
	int ret;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(rpc_open(&stream, &rpc, &request, RPC_CLIENT_SENDS,
				  DEADLINE_NEVER, long_time, &err),
			 0);
	chunk.payload.data = bytes;
	chunk.payload.len = sizeof(bytes);
	while (got < n) {
		struct pollfd p = {.fd = rpc.fd, .events = rpc_events(&rpc)};

		if (sent < n)
			p.events |= POLLOUT;
		assert_true(poll(&p, 1, PATIENCE) > 0);
		memcpy(bytes, &sent, sizeof(sent));
		len = vmctl__agent__v1__ping_request__pack(&chunk, packed);
		if (sent < n && !rpc_send(&stream, packed, len, DEADLINE_NOW, &err))
			sent++;
		ret = rpc_recv(&stream, DEADLINE_NOW, &message, &len, &err);
		if (ret == 1) {
			/* A tag, three bytes of length, and there is the number. */
			assert_memory_equal(message + 4, &got, sizeof(got));
			got++;
		} else {
			assert_int_equal(ret, -EAGAIN);
		}
		free(message);
	}
	rpc_cancel(&stream);
	request = (struct rpc_request){SERVICE, "Ping", NULL, 0};
	assert_int_equal(rpc_call(&rpc, &request, long_time, &message, &len, &err), 0);
	free(message);
	wait_until(log_has(*state, "Echo cancelled"));
	rpc_close(&rpc);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_server_stream_sends_all_and_ends),
		test(a_long_stream_comes_whole_to_a_slow_reader),
		test(streams_and_calls_interleave),
		test(a_stream_that_fails_ends_with_a_status),
		test(a_client_stream_gets_one_answer),
		test(both_ways_at_once),
		test(an_echo_of_megabytes_loses_nothing),
		test(what_a_slow_handler_has_not_taken_is_kept_in_order),
		test(a_handler_that_takes_nothing_bounds_what_is_read),
		test(clients_that_never_read_bound_memory_and_delay_nobody),
		test(an_endless_stream_delays_nobody),
		test(a_connection_that_goes_cancels_its_calls),
		test(a_half_close_cancels_the_streams_that_it_cuts),
		test(a_frame_that_neither_closes_nor_has_data_cancels),
		test(data_where_none_belongs_ends_the_call),
		test(an_oversize_message_ends_its_stream_only),
		test(a_time_out_cancels_a_stream),
		test(two_hundred_connections_stream_at_once),
		test(vmctls_client_streams_both_ways_and_cancels),
	};

	return cmocka_run_group_tests_name("agent_stream", tests, NULL, NULL);
}
