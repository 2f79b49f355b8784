/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vmctl does by itself when a connection breaks, or is not to be had at once:
 * calls that change nothing are repeated, others are not.
 */
#include "fake_vm.h"
#include "run_verb.h"

#include "../../host-cli/verbs.h"

static void a_ping_goes_on_after_connections_that_broke(void **state)
{
	struct fake_vm vm = {.drop_after = 3, .drop_calls = 4};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(ping_main, ARGS("ping", "vm1", "--count", "10", "--json"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	r = json_loads(o.out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(r, "round_trips"), "count")),
			 10);
	/* Said once, not each time. */
	assert_int_equal(json_array_size(json_object_get(r, "warnings")), 1);
	json_decref(r);
	assert_non_null(strstr(o.err, "trying again"));
}

static void info_is_asked_again(void **state)
{
	struct fake_vm vm = {.drop_calls = 2};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(info_main, ARGS("info", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	assert_non_null(strstr(o.out, "hostname          guest\n"));
}

static void an_agent_that_is_being_restarted_is_waited_for(void **state)
{
	struct fake_vm vm = {.refuse_dials = 4};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(ping_main, ARGS("ping", "vm1", "-v"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "port 220 refused"));
}

static void list_repeats_what_broke(void **state)
{
	struct fake_vm vm = {.drop_calls = 1};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(list_main, ARGS("list"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\nvm1                  yes    yes "));
}

static void what_answered_once_is_waited_for_until_the_timeout(void **state)
{
	struct fake_vm vm = {.drop_after = 1, .drop_calls = 1 << 20};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	/* The fake has room for so many connections. */
	o = run(ping_main, ARGS("ping", "vm1", "--count", "5", "--timeout", "2"));
	fake_stop(&vm);
	assert_int_equal(o.code, 7);
	assert_non_null(strstr(o.err, "it was tried "));
	assert_non_null(strstr(o.out, "1 of 5 round trips"));
}

static void a_change_is_not_repeated(void **state)
{
	struct fake_vm vm = {.drop_after = 1, .drop_calls = 1};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	/* The second call comes when the guest has the CPU already. */
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"));
	fake_stop(&vm);
	check_failure(&o, 7, "agent does not answer");
	assert_string_equal(fake_state(&vm), "Qpo --- --- ---");
}

/* The fake would take the second one, whichever it is. */
static void what_one_call_changes_is_not_repeated(void **state)
{
	struct {
		int (*verb)(int argc, char **argv);
		char *argv[6];
		const char *words;
	} changes[] = {
		{hostname_main, {"hostname", "vm1", "new"}, "agent's SetHostname"},
		{cpus_main, {"cpus", "vm1", "--online", "1"}, "agent's OnlineCpus"},
		{net_main,
		 {"net", "vm1", "--interface", "lo", "--up"},
		 "agent's SetInterface"},
		{reboot_main, {"reboot", "vm1"}, "is not sent again"},
	};
	struct output o;

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct fake_vm vm = {.drop_calls = 1};

		fake_start(&vm, 0);
		o = run(changes[i].verb, changes[i].argv);
		fake_stop(&vm);
		check_failure(&o, 7, changes[i].words);
		assert_int_equal(vm.drop_calls, 0);
	}
}

static void what_one_call_asks_is_repeated(void **state)
{
	struct fake_vm vm = {.drop_calls = 2};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(cpus_main, ARGS("cpus", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ping_goes_on_after_connections_that_broke),
		cmocka_unit_test(info_is_asked_again),
		cmocka_unit_test(an_agent_that_is_being_restarted_is_waited_for),
		cmocka_unit_test(list_repeats_what_broke),
		cmocka_unit_test(what_answered_once_is_waited_for_until_the_timeout),
		cmocka_unit_test(a_change_is_not_repeated),
		cmocka_unit_test(what_one_call_changes_is_not_repeated),
		cmocka_unit_test(what_one_call_asks_is_repeated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
