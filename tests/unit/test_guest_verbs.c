// SPDX-License-Identifier: Apache-2.0
/* The verbs that ask the agent about its guest, against the agent itself. */
#include "hybrid_front.h"
#include "run_verb.h"

#include <jansson.h>

#include "../../host-cli/verbs.h"

#define MEMORY_DIR "sys/devices/system/memory"

static void expect_words(const struct output *o, const char *words)
{
	if (!strstr(o->out, words))
		fail_msg("'%s' is not in:\n%s%s", words, o->out, o->err);
}

static json_t *take_json(const struct output *o)
{
	json_t *r = json_loads(o->out, 0, NULL);

	if (!r)
		fail_msg("no JSON: %s%s", o->out, o->err);
	return r;
}

static void make_blocks(const struct fixture *f)
{
	put_file(f, MEMORY_DIR "/block_size_bytes", "8000000\n");
	put_file(f, MEMORY_DIR "/memory0/state", "online\n");
	put_file(f, MEMORY_DIR "/memory1/state", "online\n");
	put_file(f, MEMORY_DIR "/memory32/state", "offline\n");
}

static void cpus_are_listed_and_changed(void **state)
{
	struct output o;
	json_t *r;

	o = run(cpus_main, ARGS("cpus", front_address));
	assert_int_equal(o.code, 0);
	expect_words(&o, "0     online   -        -     -     no\n");
	expect_words(&o, "3     offline  -        -     -     yes\n");
	o = run(cpus_main, ARGS("cpus", front_address, "--json"));
	r = take_json(&o);
	assert_int_equal(json_array_size(json_object_get(r, "cpus")), 4);
	json_decref(r);
	o = run(cpus_main, ARGS("cpus", front_address, "--online", "1,3", "--dry-run"));
	assert_int_equal(o.code, 0);
	expect_words(&o, "steps    OnlineCpus; nothing was changed\n");
	o = run(cpus_main, ARGS("cpus", front_address, "--online", "1,7", "--dry-run"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "CPU 7 is not present"));
	o = run(cpus_main, ARGS("cpus", front_address, "--offline", "0", "--dry-run"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "CPU 0 cannot be taken offline"));
	o = run(cpus_main, ARGS("cpus", front_address, "--online", "1,3"));
	assert_int_equal(o.code, 0);
	expect_words(&o, "CPU 1: done\nCPU 3: done\n");
	put_file(*state, CPU_DIR "/online", "0-1,3\n");
	o = run(cpus_main, ARGS("cpus", front_address, "--offline", "3"));
	assert_int_equal(o.code, 0);
	o = run(cpus_main, ARGS("cpus", front_address, "--offline", "0,7", "-q"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "CPU 0"));
	o = run(cpus_main, ARGS("cpus", front_address, "--offline", "x"));
	assert_int_equal(o.code, 2);
	o = run(cpus_main,
		ARGS("cpus", front_address, "--offline", "1", "--online", "1"));
	assert_int_equal(o.code, 2);
}

static void memory_is_shown_in_ranges_and_changed(void **state)
{
	struct output o;
	json_t *r;

	o = run(memory_main, ARGS("memory", front_address));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "no memory hotplug"));
	make_blocks(*state);
	o = run(memory_main, ARGS("memory", front_address));
	assert_int_equal(o.code, 0);
	expect_words(&o, "blocks of 128 MiB\n");
	expect_words(&o, "0-1            256        online ");
	expect_words(&o, "32-32          128        offline");
	o = run(memory_main, ARGS("memory", front_address, "--blocks"));
	expect_words(&o, "32       0x100000000 ");
	o = run(memory_main,
		ARGS("memory", front_address, "--offline", "1,5", "--dry-run"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "there is no memory block 5"));
	o = run(memory_main,
		ARGS("memory", front_address, "--offline", "1", "--dry-run"));
	assert_int_equal(o.code, 0);
	expect_words(&o, "OfflineMemoryBlocks; nothing was changed\n");
	o = run(memory_main,
		ARGS("memory", front_address, "--online", "all", "--movable"));
	assert_int_equal(o.code, 0);
	expect_words(&o, "1 of 1 blocks are so now");
	o = run(memory_main,
		ARGS("memory", front_address, "--offline", "1,5", "--json"));
	assert_int_equal(o.code, 9);
	r = take_json(&o);
	assert_int_equal(json_array_size(json_object_get(r, "results")), 2);
	json_decref(r);
}

static void metrics_come_as_they_are(void **state)
{
	struct output o = run(metrics_main, ARGS("metrics", front_address));

	(void)state;
	assert_int_equal(o.code, 0);
	expect_words(&o,
		     "# TYPE vmctl_agent_calls counter\nvmctl_agent_calls_total 1\n");
	assert_string_equal(o.out + strlen(o.out) - 6, "# EOF\n");
}

static void the_network_is_shown(void **state)
{
	struct output o = run(net_main, ARGS("net", front_address));
	json_t *r;

	(void)state;
	assert_int_equal(o.code, 0);
	expect_words(&o, "lo ");
	o = run(net_main, ARGS("net", front_address, "--json"));
	if (strlen(o.out) + 1 < sizeof(o.out)) {
		r = take_json(&o);
		assert_true(json_array_size(json_object_get(r, "interfaces")) > 0);
		json_decref(r);
	}
	o = run(net_main, ARGS("net", front_address, "--mtu", "1400"));
	assert_int_equal(o.code, 2);
	o = run(net_main, ARGS("net", front_address, "--add-route", "default"));
	assert_int_equal(o.code, 2);
	o = run(net_main,
		ARGS("net", front_address, "--interface", "no-such-if", "--up"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "there is no interface 'no-such-if'"));
	o = run(net_main, ARGS("net", front_address, "--interface", "lo", "--mtu",
			       "1400", "--dry-run"));
	assert_int_equal(o.code, 0);
	expect_words(&o, "steps    SetInterface; nothing was changed\n");
	o = run(net_main, ARGS("net", front_address, "--interface", "no-such-if",
			       "--up", "--dry-run"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "there is no interface 'no-such-if'"));
	o = run(net_main, ARGS("net", front_address, "--interface", "no-such-if",
			       "--add-route", "default", "--dry-run"));
	assert_int_equal(o.code, 9);
	assert_non_null(strstr(o.err, "there is no interface 'no-such-if'"));
}

/* Each is refused with a word about what it goes with. */
static void options_of_net_do_nothing_alone(void **state)
{
	static const struct {
		const char *args[4], *words;
	} cases[] = {
		{{"--interface", "lo"}, "goes with --mtu"},
		{{"--via", "192.0.2.1"}, "goes with --add-route"},
		{{"--vsock", "--interface", "lo"}, "goes with neither"},
		{{"--vsock", "--via", "192.0.2.1"}, "goes with neither"},
		{{"--mtu", "1400"}, "--interface"},
		{{"--add-route", "default"}, "--via, --interface"},
		{{"--vsock", "--add-route", "default"}, "one thing at a time"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *const *args = (char *const *)cases[i].args;
		struct output o =
			run(net_main, ARGS("net", "vm1", args[0], args[1], args[2]));

		check_failure(&o, 2, cases[i].words);
	}
}

static void events_begin_with_the_agents_start(void **state)
{
	struct output o;
	json_t *r;

	(void)state;
	o = run(events_main, ARGS("events", front_address, "--count", "1"));
	assert_int_equal(o.code, 0);
	expect_words(&o, " agent: version " VMCTL_VERSION ", started ");
	o = run(events_main, ARGS("events", front_address, "--count", "1", "--json",
				  "--kinds", "hotplug,oom"));
	assert_int_equal(o.code, 0);
	r = take_json(&o);
	assert_string_equal(json_string_value(json_object_get(r, "kind")),
			    "agent_start");
	json_decref(r);
	o = run(events_main, ARGS("events", front_address, "--kinds", "hotplug,x"));
	assert_int_equal(o.code, 2);
}

static void status_says_what_answers_and_what_does_not(void **state)
{
	struct output o;
	json_t *r;

	make_blocks(*state);
	o = run(status_main, ARGS("status", front_address));
	assert_int_equal(o.code, 6);
	expect_words(&o, "agent           " VMCTL_VERSION ", answered in ");
	expect_words(&o, "module          does not answer\n");
	expect_words(&o,
		     "CPUs            1 online (0) of 4 present (0-3), 8 possible\n");
	expect_words(&o, "memory blocks   2 online of 3, of 128 MiB\n");
	o = run(status_main, ARGS("status", front_address, "--json"));
	assert_int_equal(o.code, 6);
	r = take_json(&o);
	assert_true(json_is_null(json_object_get(r, "module_version")));
	assert_string_equal(json_string_value(json_object_get(r, "agent_version")),
			    VMCTL_VERSION);
	json_decref(r);
}

static void top_shows_screens(void **state)
{
	struct output o;
	json_t *r;

	put_file(*state, "proc/stat", "cpu0 100 0 200 300 0 0 0 400 0 0\n");
	put_file(*state, "proc/loadavg", "0.25 0.50 1.00 1/2 3\n");
	o = run(top_main,
		ARGS("top", front_address, "--count", "2", "--interval", "0.01"));
	assert_int_equal(o.code, 0);
	expect_words(&o, "load 0.25 0.50 1.00\n");
	expect_words(&o, "CPUs 1 online of 4: ");
	expect_words(&o, "memory 229 MiB, 121 MiB available");
	expect_words(&o, "net lo ");
	o = run(top_main, ARGS("top", front_address, "--count", "1", "--interval",
			       "0.01", "--json"));
	assert_int_equal(o.code, 0);
	r = take_json(&o);
	assert_true(json_is_real(json_object_get(r, "idle_percent")));
	json_decref(r);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_front, stop_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(cpus_are_listed_and_changed),
		test(memory_is_shown_in_ranges_and_changed),
		test(metrics_come_as_they_are),
		test(the_network_is_shown),
		test(options_of_net_do_nothing_alone),
		test(events_begin_with_the_agents_start),
		test(status_says_what_answers_and_what_does_not),
		test(top_shows_screens),
	};

	return cmocka_run_group_tests_name("guest_verbs", tests, NULL, NULL);
}
