// SPDX-License-Identifier: Apache-2.0
/* What the connections hold in the agent's memory together, and that all go on. */
#include "test_agent_common.h"

#include "../../agent/budget.h"
#include "stream_service.h"
#include "vmctl/agent/v1/exec.pb-c.h"
#include "vmctl/agent/v1/traffic.pb-c.h"

/*
 * What the agent may have, in KiB: the budget, 64 KiB each way of each connection
 * beyond it, what decoding takes, and itself.
 */
#define MEMORY_MAX (56ul << 10)

typedef Vmctl__Agent__V1__ExecRequest ExecRequest;
typedef Vmctl__Agent__V1__ExecStart ExecStart;

static int start(void **state)
{
	static const struct agent_service *served[32] = {&stream_service};

	for (size_t i = 0; agent_services[i]; i++)
		served[i + 1] = agent_services[i];
	test_services = served;
	return start_agent(state);
}

static void peaks_below(const struct fixture *f, unsigned long kib)
{
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(f, "VmHWM:"), 1, kib);
#else
	(void)f;
	(void)kib;
#endif
}

/* A ping of as many bytes as a message may have; to be freed. */
static uint8_t *largest_ping(size_t *len)
{
	Vmctl__Agent__V1__PingRequest ping = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	uint8_t *packed;

	ping.payload.len = TTRPC_PAYLOAD_MAX - 128;
	ping.payload.data = calloc(1, ping.payload.len);
	assert_non_null(ping.payload.data);
	packed = pack_request(SERVICE, "Ping", &ping.base, 0, len);
	free(ping.payload.data);
	return packed;
}

/* Once all is given back, a message of the largest size is taken. */
static bool takes_the_largest(const struct fixture *f)
{
	struct ttrpc_header h = {.stream_id = 1, .type = TTRPC_REQUEST};
	int fd = dial(f), status;
	struct answer a;
	uint8_t *packed;
	size_t len;

	packed = largest_ping(&len);
	h.length = len;
	send_frame(fd, h, packed);
	free(packed);
	a = take_answer(fd);
	status = status_of(&a);
	free_answer(&a);
	close(fd);
	return status == TTRPC_OK;
}

static void frames_that_are_not_whole_are_bounded(void **state)
{
	struct ttrpc_header h = {.stream_id = 1, .type = TTRPC_REQUEST};
	int fds[100], other = dial(*state), taken = 0, refused = 0;
	uint8_t header[TTRPC_HEADER_SIZE], *packed;
	size_t len;

	packed = largest_ping(&len);
	h.length = len;
	ttrpc_header_encode(&h, header);
	for (int i = 0; i < 100; i++) {
		fds[i] = dial(*state);
		send_bytes(fds[i], header, sizeof(header));
		send_bytes(fds[i], packed, len - 1);
	}
	expect_works(other, 1);
	peaks_below(*state, MEMORY_MAX);
	for (int i = 0; i < 100; i++) {
		struct answer a;

		send_bytes(fds[i], packed + len - 1, 1);
		a = take_answer(fds[i]);
		taken += status_of(&a) == TTRPC_OK;
		refused += status_of(&a) == TTRPC_RESOURCE_EXHAUSTED;
		free_answer(&a);
		/* The connection is as good as before. */
		expect_works(fds[i], 3);
		close(fds[i]);
	}
	assert_int_equal(taken + refused, 100);
	assert_true(taken && refused);
	peaks_below(*state, MEMORY_MAX);
	wait_until(takes_the_largest(*state));
	free(packed);
	close(other);
}

static void send_exec(int fd, uint32_t stream_id, const ExecRequest *request)
{
	struct ttrpc_header h = {.stream_id = stream_id, .type = TTRPC_DATA};
	uint8_t *packed =
		malloc(vmctl__agent__v1__exec_request__get_packed_size(request));

	assert_non_null(packed);
	h.length = vmctl__agent__v1__exec_request__pack(request, packed);
	send_frame(fd, h, packed);
	free(packed);
}

/* A command that does not read what it is sent. */
static void exec_that_does_not_read(int fd, uint32_t stream_id, size_t len)
{
	ProtobufCBinaryData words[] = {{5, (uint8_t *)"sleep"}, {4, (uint8_t *)"1000"}};
	ExecRequest request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	ExecStart begin = VMCTL__AGENT__V1__EXEC_START__INIT;

	send_call(fd, stream_id, SERVICE, "Exec", NULL, 0);
	begin.arguments = words;
	begin.n_arguments = 2;
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_START;
	request.start = &begin;
	send_exec(fd, stream_id, &request);
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT;
	request.input.len = len;
	request.input.data = calloc(1, len);
	assert_non_null(request.input.data);
	send_exec(fd, stream_id, &request);
	free(request.input.data);
}

static void input_that_is_not_read_is_bounded(void **state)
{
	const size_t len = (2u << 20) - 4096;
	int fd = dial(*state), other = dial(*state);

	for (uint32_t i = 0; i < 50; i++)
		exec_that_does_not_read(fd, 2 * i + 1, len);
	expect_works(other, 1);
	peaks_below(*state, MEMORY_MAX);
	wait_until(log_has(*state, "Exec: RESOURCE_EXHAUSTED: no room for a message"));
	/* Who holds little may go on. */
	exec_that_does_not_read(other, 3, 65536);
	send_call(other, 5, SERVICE, "ListCpus", NULL, 0);
	close(fd);
	close(other);
	wait_until(takes_the_largest(*state));
}

#define ECHOES 240
#define FRAMES 16

/* A client of Echo: FRAMES messages of 64 KiB, each way. */
struct echo {
	int fd;
	size_t sent, got;
};

static uint8_t echo_bytes[FRAMES * (TTRPC_HEADER_SIZE + 65539)];

static void make_echo_bytes(void)
{
	struct ttrpc_header h = {.length = 65539, .stream_id = 1, .type = TTRPC_DATA};

	for (size_t i = 0; i < FRAMES; i++) {
		uint8_t *frame = echo_bytes + i * (TTRPC_HEADER_SIZE + h.length);

		ttrpc_header_encode(&h, frame);
		/* 65535 bytes of a PingRequest. */
		memcpy(frame + TTRPC_HEADER_SIZE, "\x0a\xff\xff\x03", 4);
	}
}

static bool echo_send(struct echo *e)
{
	size_t left = sizeof(echo_bytes) - e->sent;
	ssize_t n = left ? send(e->fd, echo_bytes + e->sent, left, MSG_DONTWAIT) : 0;

	if (n > 0)
		e->sent += n;
	return n > 0;
}

static bool echo_take(struct echo *e)
{
	static uint8_t bytes[65536];
	ssize_t n = recv(e->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		e->got += n;
	return n > 0;
}

static bool any_sends(struct echo *echoes)
{
	bool any = false;

	for (int i = 0; i < ECHOES; i++)
		any |= echo_send(&echoes[i]);
	return any;
}

/* Also when the agent has had its turn. */
static bool none_sends(struct echo *echoes, int other, uint32_t *stream_id)
{
	for (int i = 0; i < 10; i++) {
		if (any_sends(echoes))
			return false;
		expect_works(other, *stream_id);
		*stream_id += 2;
	}
	return true;
}

static bool all_got(struct echo *echoes)
{
	bool all = true;

	for (int i = 0; i < ECHOES; i++) {
		echo_send(&echoes[i]);
		while (echo_take(&echoes[i]))
			;
		all &= echoes[i].got == sizeof(echo_bytes);
	}
	return all;
}

static void streams_of_many_are_bounded_and_all_go_on(void **state)
{
	static struct echo echoes[ECHOES];
	int other = dial(*state);
	uint32_t stream_id = 1;

	make_echo_bytes();
	for (int i = 0; i < ECHOES; i++) {
		echoes[i] = (struct echo){.fd = dial(*state)};
		send_call(echoes[i].fd, 1, TEST_SERVICE, "Echo", NULL, 0);
	}
	wait_until(none_sends(echoes, other, &stream_id));
	peaks_below(*state, MEMORY_MAX);
	wait_until(all_got(echoes));
	peaks_below(*state, MEMORY_MAX);
	for (int i = 0; i < ECHOES; i++)
		close(echoes[i].fd);
	wait_until(takes_the_largest(*state));
	close(other);
}

#define GENERATORS 100
#define LARGE	   1000000u /* bytes of a message */

static bool all_generated(struct echo *streams)
{
	bool all = true;

	for (int i = 0; i < GENERATORS; i++) {
		while (echo_take(&streams[i]))
			;
		all &= streams[i].got > 3 * LARGE;
	}
	return all;
}

static void large_messages_of_a_stream_are_bounded(void **state)
{
	struct echo streams[GENERATORS];
	int other = dial(*state);

	for (int i = 0; i < GENERATORS; i++) {
		Vmctl__Agent__V1__GenerateRequest request =
			VMCTL__AGENT__V1__GENERATE_REQUEST__INIT;

		streams[i] = (struct echo){.fd = dial(*state)};
		request.bytes = 3 * LARGE;
		request.message_bytes = LARGE;
		send_call(streams[i].fd, 1, SERVICE, "Generate", &request.base, 0);
	}
	expect_works(other, 1);
	peaks_below(*state, MEMORY_MAX);
	/* Each comes to its end as the others are read. */
	wait_until(all_generated(streams));
	peaks_below(*state, MEMORY_MAX);
	for (int i = 0; i < GENERATORS; i++)
		close(streams[i].fd);
	close(other);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(frames_that_are_not_whole_are_bounded),
		test(input_that_is_not_read_is_bounded),
		test(streams_of_many_are_bounded_and_all_go_on),
		test(large_messages_of_a_stream_are_bounded),
	};

	return cmocka_run_group_tests_name("agent_budget", tests, NULL, NULL);
}
