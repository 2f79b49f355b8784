// SPDX-License-Identifier: Apache-2.0
/* vmctl bench, on a real agent, and on one whose calls do not do what they say. */
#include "hybrid_front.h"
#include "run_verb.h"

#include <jansson.h>
#include <sys/ioctl.h>

#include "../../agent/guest_agent.h"
#include "../../agent/traffic_service.h"
#include "../../host-cli/verbs.h"
#include "vmctl/agent/v1/traffic.pb-c.h"

#define BENCH(...) run(bench_main, ARGS("bench", __VA_ARGS__))

/* An agent that counts wrongly, and generates as `lie` says. */

static enum {
	TOO_MUCH,
	TOO_LITTLE,
	EMPTY_FOR_EVER
} lie;

static void lie_on(struct agent_call *call)
{
	static uint8_t bytes[1000];
	Vmctl__Agent__V1__GenerateResponse response =
		VMCTL__AGENT__V1__GENERATE_RESPONSE__INIT;

	response.data.data = bytes;
	response.data.len = lie == EMPTY_FOR_EVER ? 0 : sizeof(bytes);
	while (lie != TOO_LITTLE && agent_call_has_room(call))
		agent_call_send(call, &response.base);
	if (lie == TOO_LITTLE)
		agent_call_finish(call);
}

static void generate(struct agent_call *call, const ProtobufCMessage *request)
{
	(void)request;
	lie_on(call);
}

static void nothing(struct agent_call *call, const ProtobufCMessage *message)
{
	(void)call;
	(void)message;
}

static void count_wrongly(struct agent_call *call)
{
	Vmctl__Agent__V1__DiscardResponse response =
		VMCTL__AGENT__V1__DISCARD_RESPONSE__INIT;

	response.bytes = lie == TOO_MUCH ? 4096 : 1000;
	agent_call_reply(call, &response.base);
}

static const struct agent_method lying_methods[] = {
	{
		.name = "Generate",
		.kind = AGENT_SERVER_STREAM,
		.request = &vmctl__agent__v1__generate_request__descriptor,
		.response = &vmctl__agent__v1__generate_response__descriptor,
		.handle = generate,
		.room = lie_on,
	},
	{
		.name = "Discard",
		.kind = AGENT_CLIENT_STREAM,
		.request = &vmctl__agent__v1__discard_request__descriptor,
		.response = &vmctl__agent__v1__discard_response__descriptor,
		.handle = nothing,
		.message = nothing,
		.end = count_wrongly,
	},
};

static const struct agent_service lying_service = {
	.name = SERVICE,
	.methods = lying_methods,
	.n_methods = sizeof(lying_methods) / sizeof(lying_methods[0]),
};

static int start_with(void **state, const struct agent_service *traffic)
{
	static const struct agent_service *served[3];

	served[0] = &guest_agent_service;
	served[1] = traffic;
	test_services = served;
	return start_front(state);
}

static int start_true(void **state)
{
	return start_with(state, &traffic_service);
}

static int start_old(void **state)
{
	return start_with(state, NULL);
}

static int start_excessive(void **state)
{
	lie = TOO_MUCH;
	return start_with(state, &lying_service);
}

static int start_scant(void **state)
{
	lie = TOO_LITTLE;
	return start_with(state, &lying_service);
}

static int start_empty(void **state)
{
	lie = EMPTY_FOR_EVER;
	return start_with(state, &lying_service);
}

/* The tests. */

static void the_text_has_a_table_and_a_plot(void **state)
{
	struct output o = BENCH("vm1", "--count", "200", "--size", "4M");
	size_t column = 0;

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	assert_memory_equal(o.out, "vm1: 200 round trips of 64 bytes, in us\n", 40);
	assert_non_null(strstr(o.out, " P99.9         MAX\n"));
	assert_non_null(strstr(o.out, "us - "));
	assert_non_null(strstr(o.out, "  #"));
	assert_non_null(strstr(o.out, "\nto the guest "));
	assert_non_null(strstr(o.out, "\nfrom the guest "));
	assert_non_null(strstr(o.out, " MiB/s, 4194304 bytes in "));
	for (const char *c = o.out; *c; c++) {
		column = *c == '\n' ? 0 : column + 1;
		assert_in_range(column, 0, 80);
		assert_in_range((unsigned char)*c, '\n', '~');
	}
}

static double number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_number(value))
		fail_msg("no number %s", name);
	return json_number_value(value);
}

static json_t *take_json(const struct output *o)
{
	json_t *r = json_loads(o->out, 0, NULL);

	if (!r)
		fail_msg("no JSON: %s%s", o->out, o->err);
	return r;
}

static void check_flow(const json_t *r, const char *name, json_int_t bytes,
		       json_int_t message)
{
	const json_t *flow = json_object_get(r, name);

	assert_int_equal(json_integer_value(json_object_get(flow, "bytes")), bytes);
	assert_int_equal(json_integer_value(json_object_get(flow, "message_bytes")),
			 message);
	assert_true(number(flow, "seconds") > 0);
	assert_true(number(flow, "bytes_per_second") > 0);
}

static void json_has_all_of_it(void **state)
{
	static const char *const points[] = {"min_us", "p50_us",   "p90_us",
					     "p99_us", "p99_9_us", "max_us"};
	struct output o = BENCH("vm1", "--count", "100", "--size", "300001",
				"--message", "1000", "--json");
	json_t *r = take_json(&o), *trips, *bucket;
	double last = 0, to = 0;
	json_int_t count = 0;
	size_t i;

	(void)state;
	assert_int_equal(o.code, 0);
	trips = json_object_get(r, "round_trips");
	assert_int_equal(json_integer_value(json_object_get(trips, "count")), 100);
	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		assert_true(number(trips, points[i]) >= last);
		last = number(trips, points[i]);
	}
	json_array_foreach (json_object_get(trips, "histogram"), i, bucket) {
		assert_true(number(bucket, "from_us") < number(bucket, "to_us"));
		assert_true(!i || number(bucket, "from_us") == to);
		to = number(bucket, "to_us");
		count += json_integer_value(json_object_get(bucket, "count"));
	}
	assert_int_equal(count, 100);
	assert_true(to > last);
	check_flow(r, "to_guest", 300001, 1000);
	check_flow(r, "from_guest", 300001, 1000);
	assert_int_equal(json_array_size(json_object_get(r, "steps")), 4);
	json_decref(r);
}

static void sizes_need_not_be_round(void **state)
{
	struct fixture *f = *state;
	struct output o = BENCH("vm1", "--count", "1", "--size", "1");

	assert_int_equal(o.code, 0);
	o = BENCH("vm1", "--count", "1", "--size", "3M", "--message", "1M");
	assert_int_equal(o.code, 0);
	o = BENCH("vm1", "--count", "1", "--size", "10000", "--message", "1");
	assert_int_equal(o.code, 0);
	o = BENCH("vm1", "--count", "1", "--size", "65537", "-q");
	assert_int_equal(o.code, 0);
	/* With several VMs each line has a name. */
	o = run(verbs_run,
		ARGS("vmctl", "bench", "--vm", "vm1", "--count", "5", "--size", "1M"));
	assert_int_equal(o.code, 0);
	assert_memory_equal(o.out, "vm1: 5 round trips", 18);
	assert_non_null(strstr(o.out, "\nvm1: to the guest "));
	wait_until(count_fds(f) == IDLE_FDS);
}

static void options_have_limits(void **state)
{
	static char *const wrong[][2] = {
		{"--count", "0"},	{"--count", "1000001"}, {"--size", "0"},
		{"--size", "lots"},	{"--size", "1X"},	{"--message", "0"},
		{"--message", "1025K"}, {"--message", "2M"},
	};
	struct output o;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		o = BENCH("vm1", wrong[i][0], wrong[i][1]);
		assert_int_equal(o.code, 2);
		assert_non_null(strstr(o.err, wrong[i][0]));
	}
	o = BENCH("vm1", "vm2");
	assert_int_equal(o.code, 2);
	o = BENCH("vm2");
	assert_int_equal(o.code, 3);
}

/* What flows all the time is held to it too. */
static void the_timeout_is_for_all_of_it(void **state)
{
	struct fixture *f = *state;
	struct output o = BENCH("vm1", "--count", "1", "--size", "1T", "--timeout", "2",
				"--json");
	json_t *r = take_json(&o);

	assert_int_equal(o.code, 11);
	assert_non_null(strstr(o.err, "to_guest: --timeout of 2 s passed"));
	/* What was measured before is there. */
	assert_int_equal(number(json_object_get(r, "round_trips"), "count"), 1);
	assert_null(json_object_get(r, "from_guest"));
	json_decref(r);
	wait_until(count_fds(f) == IDLE_FDS);
	o = BENCH("vm1", "--count", "1000000", "--timeout", "1");
	check_failure(&o, 11, "round_trips: --timeout of 1 s passed");
}

static void an_older_agent_is_said(void **state)
{
	struct output o = BENCH("vm1", "--count", "10");

	(void)state;
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.out, "10 round trips"));
	assert_non_null(strstr(o.err, "is vmctl-agent older than vmctl?"));
}

static void an_agent_that_sends_too_much_is_not_believed(void **state)
{
	struct output o = BENCH("vm1", "--count", "1", "--size", "4096");

	(void)state;
	assert_int_equal(o.code, 7);
	assert_non_null(strstr(o.err, "from_guest: "));
	assert_non_null(strstr(o.err, "more bytes than were wanted"));
}

static void an_agent_that_sends_too_little_is_not_believed(void **state)
{
	struct output o = BENCH("vm1", "--count", "1", "--size", "1000");

	(void)state;
	assert_int_equal(o.code, 7);
	assert_non_null(strstr(o.err, "less bytes than were wanted"));
	o = BENCH("vm1", "--count", "1", "--size", "4096");
	assert_int_equal(o.code, 7);
	assert_non_null(strstr(o.err, "counts 1000 bytes where 4096 were sent"));
}

static void empty_messages_without_end_are_held_to_the_timeout(void **state)
{
	struct output o =
		BENCH("vm1", "--count", "1", "--size", "1000", "--timeout", "2");

	(void)state;
	assert_int_equal(o.code, 11);
	assert_non_null(strstr(o.err, "from_guest: --timeout of 2 s passed: 0%"));
}

/* A process with vmctl bench, whose output can be read. */
static pid_t begin(char **argv, int *out)
{
	int pipes[2], argc = 0;
	pid_t pid;

	while (argv[argc])
		argc++;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		_exit(bench_main(argc, argv));
	}
	close(pipes[1]);
	*out = pipes[0];
	return pid;
}

static void a_connection_that_breaks_ends_it(void **state)
{
	struct fixture *f = *state;
	char text[1024] = "";
	size_t used = 0;
	int out, status;
	ssize_t n;
	pid_t pid =
		begin(ARGS("bench", "vm1", "--count", "1", "--size", "1T", "-v"), &out);

	/* With -v it says when a step is over. */
	while (!strstr(text, "round_trips: ")) {
		n = read(out, text + used, sizeof(text) - 1 - used);
		assert_true(n > 0);
		used += (size_t)n;
		text[used] = '\0';
	}
	kill(f->pid, SIGKILL);
	while ((n = read(out, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 15);
	assert_non_null(strstr(text, "vm1: to_guest: the connection broke"));
}

/* What a terminal of 60 columns gets. */
static void look_at(const char *locale, char *seen, size_t size)
{
	struct winsize ws = {.ws_row = 24, .ws_col = 60};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ioctl(master, TIOCSWINSZ, &ws), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		int fd;

		setsid();
		fd = open(ptsname(master), O_RDWR);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		close(fd);
		setenv("TERM", "xterm", 1);
		setenv("LC_ALL", locale, 1);
		_exit(bench_main(
			6, ARGS("bench", "vm1", "--count", "100", "--size", "1M")));
	}
	/* The end of a terminal is EIO. */
	while (len < size - 1 && (n = read(master, seen + len, size - 1 - len)) > 0)
		len += (size_t)n;
	seen[len] = '\0';
	close(master);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void a_terminal_gets_progress_and_blocks(void **state)
{
	char seen[16384];

	(void)state;
	look_at("C.UTF-8", seen, sizeof(seen));
	assert_non_null(strstr(seen, "vm1: round_trips ..."));
	assert_non_null(strstr(seen, "\r\033[K"));
	/* 31 columns of blocks at most. */
	assert_non_null(strstr(seen, "  \u2588\u2588\u2588\u2588\u2588\u2588\u2588"));
	assert_null(strstr(seen, "#"));
	look_at("C", seen, sizeof(seen));
	assert_non_null(strstr(seen, "  "
				     "##########"
				     "##########"
				     "##########"
				     "#\r\n"));
	assert_null(strstr(seen, "\u2588"));
}

#define test_with(name, start) cmocka_unit_test_setup_teardown(name, start, stop_front)
#define test(name)	       test_with(name, start_true)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_text_has_a_table_and_a_plot),
		test(json_has_all_of_it),
		test(sizes_need_not_be_round),
		test(options_have_limits),
		test(the_timeout_is_for_all_of_it),
		test_with(an_older_agent_is_said, start_old),
		test_with(an_agent_that_sends_too_much_is_not_believed,
			  start_excessive),
		test_with(an_agent_that_sends_too_little_is_not_believed, start_scant),
		test_with(empty_messages_without_end_are_held_to_the_timeout,
			  start_empty),
		cmocka_unit_test_setup_teardown(a_connection_that_breaks_ends_it,
						start_true, bury_front),
		test(a_terminal_gets_progress_and_blocks),
	};

	return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
