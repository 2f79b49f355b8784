// SPDX-License-Identifier: Apache-2.0
/* The stream of events, with a kernel of plain files. */
#include "test_agent_common.h"

#include "../../agent/events.h"

typedef Vmctl__Agent__V1__Event Event;

#define KIND(name) VMCTL__AGENT__V1__EVENT_KIND__EVENT_##name

static void subscribe(int fd, uint32_t id, const Vmctl__Agent__V1__EventKind *kinds,
		      size_t n)
{
	Vmctl__Agent__V1__SubscribeEventsRequest request =
		VMCTL__AGENT__V1__SUBSCRIBE_EVENTS_REQUEST__INIT;

	request.kinds = (Vmctl__Agent__V1__EventKind *)kinds;
	request.n_kinds = n;
	send_call(fd, id, SERVICE, "SubscribeEvents", &request.base, 0);
}

static Event *take_event(int fd, uint32_t id)
{
	deadline_t deadline = deadline_after_ms(PATIENCE);
	uint8_t bytes[TTRPC_HEADER_SIZE], payload[4096];
	struct ttrpc_header h;
	Event *event;

	assert_int_equal(io_read_full(fd, bytes, sizeof(bytes), deadline, NULL), 0);
	ttrpc_header_decode(bytes, &h);
	assert_int_equal(h.stream_id, id);
	assert_int_equal(h.type, TTRPC_DATA);
	assert_int_equal(h.flags, 0);
	assert_in_range(h.length, 1, sizeof(payload));
	assert_int_equal(io_read_full(fd, payload, h.length, deadline, NULL), 0);
	event = vmctl__agent__v1__event__unpack(NULL, h.length, payload);
	assert_non_null(event);
	assert_true(event->time_nano > 0);
	assert_true(event->uptime_nano > 0);
	return event;
}

static void expect_start(int fd, uint32_t id)
{
	Event *event = take_event(fd, id);

	assert_int_equal(event->kind, KIND(AGENT_START));
	assert_string_equal(event->text, VMCTL_VERSION);
	assert_true(event->number > 0);
	assert_true(event->number <= event->uptime_nano);
	free_message(event);
}

static void put_kills(const struct fixture *f, unsigned int n)
{
	char text[64], path[PATH_MAX], other[PATH_MAX];

	snprintf(text, sizeof(text), "pgfault 1\noom_kill %u\n", n);
	put_file(f, "proc/vmstat.new", text);
	path_of(f, "proc/vmstat.new", path);
	path_of(f, "proc/vmstat", other);
	assert_int_equal(rename(path, other), 0);
}

static void the_first_event_is_the_agents_start(void **state)
{
	int fd = dial(*state);

	subscribe(fd, 1, NULL, 0);
	expect_start(fd, 1);
	expect_works(fd, 3);
	close(fd);
}

static void kills_for_want_of_memory_are_told_to_all(void **state)
{
	static const Vmctl__Agent__V1__EventKind oom = KIND(OOM_KILL);
	int fd = dial(*state), other = dial(*state);
	Event *event;

	put_kills(*state, 3);
	subscribe(fd, 1, &oom, 1);
	expect_start(fd, 1);
	subscribe(other, 1, &oom, 1);
	expect_start(other, 1);
	put_kills(*state, 5);
	event = take_event(fd, 1);
	assert_int_equal(event->kind, KIND(OOM_KILL));
	assert_int_equal(event->number, 2);
	free_message(event);
	event = take_event(other, 1);
	assert_int_equal(event->number, 2);
	free_message(event);
	close(fd);
	close(other);
}

static void sources_are_open_only_while_someone_wants_them(void **state)
{
	unsigned int with;
	int fd;

	wait_until(count_fds(*state) == IDLE_FDS);
	fd = dial(*state);
	subscribe(fd, 1, NULL, 0);
	expect_start(fd, 1);
	with = count_fds(*state);
	assert_true(with >= IDLE_FDS + 1);
	close(fd);
	wait_until(count_fds(*state) == IDLE_FDS);
	/* And again. */
	fd = dial(*state);
	subscribe(fd, 1, NULL, 0);
	expect_start(fd, 1);
	assert_int_equal(count_fds(*state), with);
	close(fd);
}

static void subscribers_are_bounded(void **state)
{
	int fd = dial(*state), other = dial(*state);

	for (uint32_t i = 0; i < AGENT_SUBSCRIBERS_MAX; i++) {
		subscribe(fd, 2 * i + 1, NULL, 0);
		expect_start(fd, 2 * i + 1);
	}
	subscribe(other, 1, NULL, 0);
	expect_status(other, 1, TTRPC_RESOURCE_EXHAUSTED);
	close(fd);
	expect_works(other, 3);
	close(other);
}

static void a_subscriber_gives_up_with_one_frame(void **state)
{
	struct ttrpc_header h = {
		.stream_id = 1, .type = TTRPC_DATA, .flags = TTRPC_NO_DATA};
	int fd = dial(*state);

	subscribe(fd, 1, NULL, 0);
	expect_start(fd, 1);
	send_frame(fd, h, NULL);
	expect_status(fd, 1, TTRPC_CANCELLED);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	expect_works(fd, 3);
	close(fd);
}

/* A service that publishes as many events as it is told. */
static void flood(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__OnlineCpusRequest *request =
		(const Vmctl__Agent__V1__OnlineCpusRequest *)message;
	Vmctl__Agent__V1__PingResponse response = VMCTL__AGENT__V1__PING_RESPONSE__INIT;
	Event event = VMCTL__AGENT__V1__EVENT__INIT;

	event.kind = KIND(MODULE);
	event.text = (char *)"loaded";
	for (uint32_t i = 0; i < request->cpus[0]; i++)
		agent_events_publish(call->agent->events, &event);
	agent_call_reply(call, &response.base);
}

static const struct agent_method flood_method = {
	.name = "Flood",
	.request = &vmctl__agent__v1__online_cpus_request__descriptor,
	.response = &vmctl__agent__v1__ping_response__descriptor,
	.handle = flood,
};

static const struct agent_service flood_service = {
	.name = "vmctl.test.Flood",
	.methods = &flood_method,
	.n_methods = 1,
};

static int start_with_flood(void **state)
{
	static const struct agent_service *served[32];
	size_t n = 0;

	while (agent_services[n]) {
		served[n] = agent_services[n];
		n++;
	}
	served[n] = &flood_service;
	test_services = served;
	return start_agent(state);
}

static void what_is_not_read_is_counted_and_told(void **state)
{
	Vmctl__Agent__V1__OnlineCpusRequest request =
		VMCTL__AGENT__V1__ONLINE_CPUS_REQUEST__INIT;
	uint32_t n = 100000;
	uint64_t seen = 0, lost = 0;
	int fd = dial(*state), other = dial(*state);
	unsigned long before;

	subscribe(fd, 1, NULL, 0);
	expect_start(fd, 1);
	before = status_kib(*state, "VmRSS:");
	request.cpus = &n;
	request.n_cpus = 1;
	send_call(other, 1, "vmctl.test.Flood", "Flood", &request.base, 0);
	expect_status(other, 1, TTRPC_OK);
	assert_in_range(status_kib(*state, "VmRSS:"), 0, before + 1024);
	while (seen + lost < n) {
		Event *event = take_event(fd, 1);

		if (event->kind == KIND(MODULE))
			seen++;
		else if (event->kind == KIND(LOST))
			lost += event->number;
		free_message(event);
	}
	assert_int_equal(seen + lost, n);
	assert_true(seen > 0);
	assert_true(lost > 0);
	/* From here on nothing is lost. */
	n = 1;
	send_call(other, 3, "vmctl.test.Flood", "Flood", &request.base, 0);
	expect_status(other, 3, TTRPC_OK);
	free_message(take_event(fd, 1));
	close(fd);
	close(other);
}

/* The kernel's own pressure, which processes that only count make. */
static void pressure_is_told(void **state)
{
	static const Vmctl__Agent__V1__EventKind kind = KIND(PRESSURE);
	struct fixture *f = *state;
	char path[PATH_MAX];
	pid_t spinners[16];
	int fd, n = (int)sysconf(_SC_NPROCESSORS_ONLN) * 4;
	Event *event;

	if (access("/proc/pressure/cpu", W_OK) < 0)
		skip();
	if (n > 16)
		n = 16;
	put_file(f, "proc/pressure/x", "");
	path_of(f, "proc/pressure/cpu", path);
	assert_int_equal(symlink("/proc/pressure/cpu", path), 0);
	fd = dial(f);
	subscribe(fd, 1, &kind, 1);
	expect_start(fd, 1);
	fflush(NULL);
	for (int i = 0; i < n; i++) {
		spinners[i] = fork();
		if (!spinners[i])
			for (volatile unsigned int c = 0; getppid() > 1; c++)
				;
	}
	event = take_event(fd, 1);
	for (int i = 0; i < n; i++) {
		kill(spinners[i], SIGKILL);
		waitpid(spinners[i], NULL, 0);
	}
	assert_int_equal(event->kind, KIND(PRESSURE));
	assert_string_equal(event->pressure->resource, "cpu");
	assert_true(event->pressure->some_total_usec > 0);
	free_message(event);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_first_event_is_the_agents_start),
		test(kills_for_want_of_memory_are_told_to_all),
		test(sources_are_open_only_while_someone_wants_them),
		test(subscribers_are_bounded),
		test(a_subscriber_gives_up_with_one_frame),
		test(pressure_is_told),
		cmocka_unit_test_setup_teardown(what_is_not_read_is_counted_and_told,
						start_with_flood, stop_agent),
	};

	return cmocka_run_group_tests_name("agent_events", tests, NULL, NULL);
}
