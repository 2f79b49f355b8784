// SPDX-License-Identifier: Apache-2.0
/* The agent through its door: connections, frames, calls. */
#include "test_agent_common.h"

#include <sys/utsname.h>

#include "../../agent/stream_ids.h"

static void ping_answers_with_the_bytes_it_was_given(void **state)
{
	int fd = dial(*state);

	send_ping(fd, 1, "hello");
	expect_pong(fd, 1, "hello");
	send_ping(fd, 3, "");
	expect_pong(fd, 3, "");
	close(fd);
}

static void expect_list(const uint32_t *list, size_t n, uint32_t first, uint32_t last)
{
	assert_int_equal(n, last - first + 1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(list[i], first + i);
}

static void info_has_the_guests_own_figures(void **state)
{
	Vmctl__Agent__V1__GetGuestInfoRequest request =
		VMCTL__AGENT__V1__GET_GUEST_INFO_REQUEST__INIT;
	Vmctl__Agent__V1__GetGuestInfoResponse *info;
	struct timespec before, after;
	struct utsname names;
	struct answer a;
	int fd = dial(*state);

	assert_int_equal(uname(&names), 0);
	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &before), 0);
	send_call(fd, 1, SERVICE, "GetGuestInfo", &request.base, 0);
	a = take_answer(fd);
	assert_int_equal(status_of(&a), TTRPC_OK);
	info = vmctl__agent__v1__get_guest_info_response__unpack(
		NULL, a.response->payload.len, a.response->payload.data);
	assert_non_null(info);
	assert_string_equal(info->kernel, names.release);
	assert_string_equal(info->hostname, names.nodename);
	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &after), 0);
	assert_in_range(info->uptime_nano / 1000000000, before.tv_sec, after.tv_sec);
	expect_list(info->cpus->possible, info->cpus->n_possible, 0, 7);
	expect_list(info->cpus->present, info->cpus->n_present, 0, 3);
	expect_list(info->cpus->online, info->cpus->n_online, 0, 0);
	assert_int_equal(info->memory_total_bytes, 234567ull * 1024);
	assert_int_equal(info->memory_available_bytes, 123456ull * 1024);
	assert_string_equal(info->agent_version, VMCTL_VERSION);
	assert_string_equal(info->module_version, "9.8.7");
	vmctl__agent__v1__get_guest_info_response__free_unpacked(info, NULL);
	free_answer(&a);
	close(fd);
}

static void info_without_the_module_has_an_empty_module_version(void **state)
{
	Vmctl__Agent__V1__GetGuestInfoResponse *info;
	struct fixture *f = *state;
	char path[PATH_MAX];
	struct answer a;
	int fd = dial(f);

	path_of(f, "sys/module", path);
	remove_tree(path);
	send_call(fd, 1, SERVICE, "GetGuestInfo", NULL, 0);
	a = take_answer(fd);
	assert_int_equal(status_of(&a), TTRPC_OK);
	info = vmctl__agent__v1__get_guest_info_response__unpack(
		NULL, a.response->payload.len, a.response->payload.data);
	assert_non_null(info);
	assert_string_equal(info->module_version, "");
	vmctl__agent__v1__get_guest_info_response__free_unpacked(info, NULL);
	free_answer(&a);
	close(fd);
}

static void info_of_an_old_kernel_has_no_available_memory(void **state)
{
	Vmctl__Agent__V1__GetGuestInfoResponse *info;
	struct answer a;
	int fd = dial(*state);

	put_file(*state, "proc/meminfo", "MemTotal:         234567 kB\n");
	send_call(fd, 1, SERVICE, "GetGuestInfo", NULL, 0);
	a = take_answer(fd);
	assert_int_equal(status_of(&a), TTRPC_OK);
	info = vmctl__agent__v1__get_guest_info_response__unpack(
		NULL, a.response->payload.len, a.response->payload.data);
	assert_non_null(info);
	assert_int_equal(info->memory_total_bytes, 234567ull * 1024);
	assert_int_equal(info->memory_available_bytes, 0);
	vmctl__agent__v1__get_guest_info_response__free_unpacked(info, NULL);
	free_answer(&a);
	close(fd);
}

static void info_with_a_file_that_cannot_be_read_is_an_error(void **state)
{
	char path[PATH_MAX];
	int fd = dial(*state);

	path_of(*state, "sys/module/upcall/version", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0); /* reading it gives EISDIR */
	send_call(fd, 1, SERVICE, "GetGuestInfo", NULL, 0);
	expect_status(fd, 1, TTRPC_INTERNAL);
	expect_works(fd, 3);
	close(fd);
}

static void info_with_no_sysfs_says_so(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX];
	struct answer a;
	int fd = dial(f);

	path_of(f, "sys", path);
	remove_tree(path);
	send_call(fd, 1, SERVICE, "GetGuestInfo", NULL, 0);
	a = take_answer(fd);
	assert_int_equal(status_of(&a), TTRPC_FAILED_PRECONDITION);
	assert_non_null(strstr(a.response->status->message, "/cpu/possible"));
	assert_non_null(strstr(a.response->status->message, "mounted"));
	free_answer(&a);
	expect_works(fd, 3);
	close(fd);
}

static void unknown_service_and_method_leave_the_connection_up(void **state)
{
	int fd = dial(*state);

	send_call(fd, 1, SERVICE, "Explode", NULL, 0);
	expect_status(fd, 1, TTRPC_UNIMPLEMENTED);
	send_call(fd, 3, "grpc.AgentService", "Ping", NULL, 0);
	expect_status(fd, 3, TTRPC_UNIMPLEMENTED);
	send_call(fd, 5, "", "", NULL, 0);
	expect_status(fd, 5, TTRPC_UNIMPLEMENTED);
	expect_works(fd, 7);
	close(fd);
}

static void a_name_that_is_no_utf8_comes_back_as_text(void **state)
{
	int fd = dial(*state);
	struct answer a;

	send_call(fd, 1, SERVICE, "\xff\xfe\x1b[31m", NULL, 0);
	a = take_answer(fd);
	assert_int_equal(status_of(&a), TTRPC_UNIMPLEMENTED);
	for (const char *p = a.response->status->message; *p; p++)
		assert_in_range(*p, ' ', '~');
	free_answer(&a);
	close(fd);
}

static void garbage_closes_its_own_connection_only(void **state)
{
	static const char garbage[] = "GET / HTTP/1.1\r\nHost: guest\r\n\r\n";
	int other = dial(*state), fd = dial(*state);

	send_ping(other, 1, "before");
	expect_pong(other, 1, "before");
	send_bytes(fd, garbage, sizeof(garbage));
	expect_closed(fd);
	expect_works(other, 3);
	wait_until(log_has(*state, "not ttrpc"));
	close(fd);
	close(other);
}

static void a_length_with_a_first_byte_is_no_ttrpc(void **state)
{
	static const uint32_t lengths[] = {1u << 24, (1u << 25) - 1, 1u << 31};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct ttrpc_header h = {
			.length = lengths[i], .stream_id = 1, .type = TTRPC_REQUEST};
		uint8_t header[TTRPC_HEADER_SIZE];
		int fd = dial(*state);

		ttrpc_header_encode(&h, header);
		send_bytes(fd, header, sizeof(header));
		expect_closed(fd);
		close(fd);
	}
}

static void bad_frames_are_logged_once_a_connection(void **state)
{
	char text[65536], *p;
	unsigned int n = 0;
	int fd = dial(*state);

	for (uint32_t i = 0; i < 10; i++) {
		send_ping(fd, 2, "even");
		expect_status(fd, 2, TTRPC_INVALID_ARGUMENT);
	}
	get_file(*state, "log", text, sizeof(text));
	for (p = text; (p = strstr(p, "must be odd")); p++)
		n++;
	assert_int_equal(n, 1);
	close(fd);
}

static void undecodable_messages_are_invalid_arguments(void **state)
{
	static const uint8_t junk[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ttrpc_header h = {.length = sizeof(junk), .type = TTRPC_REQUEST};
	Ttrpc__Request request = TTRPC__REQUEST__INIT;
	int fd = dial(*state);
	uint8_t packed[256];

	h.stream_id = 1;
	send_frame(fd, h, junk); /* no envelope */
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	request.service = (char *)SERVICE;
	request.method = (char *)"Ping";
	request.payload.data = (uint8_t *)junk;
	request.payload.len = sizeof(junk);
	h.stream_id = 3;
	h.length = ttrpc__request__pack(&request, packed);
	send_frame(fd, h, packed); /* a good envelope, no PingRequest in it */
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 5);
	close(fd);
}

static void an_oversize_message_is_refused_and_the_connection_stays(void **state)
{
	const size_t len = TTRPC_PAYLOAD_MAX + (1u << 20);
	struct ttrpc_header h = {.length = len, .stream_id = 1, .type = TTRPC_REQUEST};
	uint8_t *payload = calloc(1, len);
	int fd = dial(*state);

	assert_non_null(payload);
	send_frame(fd, h, payload);
	expect_status(fd, 1, TTRPC_RESOURCE_EXHAUSTED);
	expect_works(fd, 3);
	free(payload);
	close(fd);
}

static void the_largest_message_passes_both_ways(void **state)
{
	/* What the envelope takes: names, tags, lengths. */
	size_t len = TTRPC_PAYLOAD_MAX - 128;
	char *text = malloc(len + 1);
	int fd = dial(*state);

	assert_non_null(text);
	/* No two pieces alike: one sent twice, or left out, shows. */
	for (size_t i = 0; i < len; i++)
		text[i] = 1 + (i * 2654435761u >> 16) % 255;
	text[len] = '\0';
	send_ping(fd, 1, text);
	expect_pong(fd, 1, text);
	expect_works(fd, 3);
	free(text);
	close(fd);
}

static void a_payload_above_the_methods_limit_is_refused(void **state)
{
	Vmctl__Agent__V1__PingRequest large = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	static uint8_t bytes[8192];
	int fd = dial(*state);

	large.payload.data = bytes;
	large.payload.len = sizeof(bytes);
	send_call(fd, 1, SERVICE, "GetGuestInfo", &large.base, 0);
	expect_status(fd, 1, TTRPC_RESOURCE_EXHAUSTED);
	expect_works(fd, 3);
	close(fd);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	Vmctl__Agent__V1__PingRequest ping = VMCTL__AGENT__V1__PING_REQUEST__INIT;
	struct ttrpc_header h = {.stream_id = 1, .type = TTRPC_REQUEST};
	uint8_t header[TTRPC_HEADER_SIZE], *packed;
	int fd = dial(*state);
	size_t len;

	ping.payload.data = (uint8_t *)"slow";
	ping.payload.len = 4;
	packed = pack_request(SERVICE, "Ping", &ping.base, 0, &len);
	h.length = len;
	ttrpc_header_encode(&h, header);
	for (size_t i = 0; i < sizeof(header); i++)
		send_bytes(fd, header + i, 1);
	for (size_t i = 0; i < len; i++) {
		send_bytes(fd, packed + i, 1);
		usleep(100); /* so that they are likely to be read one by one */
	}
	expect_pong(fd, 1, "slow");
	free(packed);
	close(fd);
}

static void many_requests_in_flight_get_each_its_own_answer(void **state)
{
	int fd = dial(*state);
	char text[32];

	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "request %u", i);
		send_ping(fd, 2 * i + 1, text);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "request %u", i);
		expect_pong(fd, 2 * i + 1, text);
	}
	close(fd);
}

static void requests_before_a_half_close_are_answered(void **state)
{
	int fd = dial(*state);

	send_ping(fd, 1, "one");
	send_ping(fd, 3, "two");
	shutdown(fd, SHUT_WR);
	expect_pong(fd, 1, "one");
	expect_pong(fd, 3, "two");
	expect_closed(fd);
	close(fd);
}

static void a_frame_that_is_cut_short_is_logged(void **state)
{
	struct ttrpc_header h = {.length = 100, .stream_id = 1, .type = TTRPC_REQUEST};
	uint8_t header[TTRPC_HEADER_SIZE];
	int fd = dial(*state);

	ttrpc_header_encode(&h, header);
	send_bytes(fd, header, sizeof(header));
	shutdown(fd, SHUT_WR);
	expect_closed(fd);
	assert_true(log_has(*state, "ended within a frame"));
	close(fd);
}

static void stream_ids_must_be_odd_and_new(void **state)
{
	int fd = dial(*state);

	send_ping(fd, 5, "good");
	expect_pong(fd, 5, "good");
	send_ping(fd, 5, "again");
	expect_status(fd, 5, TTRPC_INVALID_ARGUMENT);
	send_ping(fd, 3, "lower, by a client that swaps neighbours");
	expect_pong(fd, 3, "lower, by a client that swaps neighbours");
	send_ping(fd, 3, "again");
	expect_status(fd, 3, TTRPC_INVALID_ARGUMENT);
	send_ping(fd, 5 + 2 * AGENT_STREAM_WINDOW, "far above");
	expect_pong(fd, 5 + 2 * AGENT_STREAM_WINDOW, "far above");
	send_ping(fd, 1, "far below");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	send_ping(fd, 7, "just not too far below");
	expect_pong(fd, 7, "just not too far below");
	send_ping(fd, 6, "even");
	expect_status(fd, 6, TTRPC_INVALID_ARGUMENT);
	send_ping(fd, 0, "zero");
	expect_status(fd, 0, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 9);
	send_ping(fd, UINT32_MAX, "the last there is");
	expect_pong(fd, UINT32_MAX, "the last there is");
	close(fd);
}

static void frames_of_the_wrong_type_are_refused(void **state)
{
	struct ttrpc_header h = {.length = 3, .stream_id = 1};
	int fd = dial(*state);

	h.type = TTRPC_DATA;
	send_frame(fd, h, "abc");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	h.type = TTRPC_RESPONSE;
	send_frame(fd, h, "abc");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	h.type = 0;
	send_frame(fd, h, "abc");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	h.type = 255;
	send_frame(fd, h, "abc");
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 1);
	close(fd);
}

static void a_stream_to_a_unary_call_is_refused(void **state)
{
	struct ttrpc_header h = {.stream_id = 1, .type = TTRPC_REQUEST};
	int fd = dial(*state);
	uint8_t *packed;
	size_t len;

	packed = pack_request(SERVICE, "Ping", NULL, 0, &len);
	h.length = len;
	h.flags = TTRPC_REMOTE_OPEN;
	send_frame(fd, h, packed);
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	h.stream_id = 3;
	h.flags = TTRPC_REMOTE_CLOSED;
	send_frame(fd, h, packed);
	expect_status(fd, 3, TTRPC_OK);
	free(packed);
	close(fd);
}

static void absurd_time_outs_do_no_harm(void **state)
{
	int fd = dial(*state);

	send_call(fd, 1, SERVICE, "Ping", NULL, -1);
	expect_status(fd, 1, TTRPC_DEADLINE_EXCEEDED);
	send_call(fd, 3, SERVICE, "Ping", NULL, INT64_MIN);
	expect_status(fd, 3, TTRPC_DEADLINE_EXCEEDED);
	send_call(fd, 5, SERVICE, "Ping", NULL, INT64_MAX);
	expect_status(fd, 5, TTRPC_OK);
	send_call(fd, 7, SERVICE, "Ping", NULL, 1);
	expect_status(fd, 7, TTRPC_OK);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(ping_answers_with_the_bytes_it_was_given),
		test(info_has_the_guests_own_figures),
		test(info_without_the_module_has_an_empty_module_version),
		test(info_of_an_old_kernel_has_no_available_memory),
		test(info_with_a_file_that_cannot_be_read_is_an_error),
		test(info_with_no_sysfs_says_so),
		test(unknown_service_and_method_leave_the_connection_up),
		test(a_name_that_is_no_utf8_comes_back_as_text),
		test(garbage_closes_its_own_connection_only),
		test(a_length_with_a_first_byte_is_no_ttrpc),
		test(bad_frames_are_logged_once_a_connection),
		test(undecodable_messages_are_invalid_arguments),
		test(an_oversize_message_is_refused_and_the_connection_stays),
		test(the_largest_message_passes_both_ways),
		test(a_payload_above_the_methods_limit_is_refused),
		test(a_frame_may_come_byte_by_byte),
		test(many_requests_in_flight_get_each_its_own_answer),
		test(requests_before_a_half_close_are_answered),
		test(a_frame_that_is_cut_short_is_logged),
		test(stream_ids_must_be_odd_and_new),
		test(frames_of_the_wrong_type_are_refused),
		test(a_stream_to_a_unary_call_is_refused),
		test(absurd_time_outs_do_no_harm),
	};

	return cmocka_run_group_tests_name("agent_server", tests, NULL, NULL);
}
