/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmctl wait: on a guest that comes up late, and on one that does not.
 */
#include "fake_vm.h"
#include "run_verb.h"

#include "../../host-cli/verbs.h"

static void it_ends_when_both_answer(void **state)
{
	struct fake_vm vm = {.refuse_dials = 3};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(wait_main, ARGS("wait", "vm1"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "vm1: agent and module answer\n");
	assert_string_equal(o.err, "");
	o = run(wait_main, ARGS("wait", "vm1", "-q"));
	assert_string_equal(o.out, "");
	o = run(wait_main, ARGS("wait", "vm1", "--for", "module", "--json"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	r = json_loads(o.out, 0, NULL);
	assert_int_equal(json_object_size(json_object_get(r, "answered")), 1);
	assert_true(json_is_true(
		json_object_get(json_object_get(r, "answered"), "module")));
	json_decref(r);
}

static void what_does_not_come_is_said_at_the_timeout(void **state)
{
	struct fake_vm no_agent = {.no_agent = true}, no_module = {.no_module = true};
	struct fake_vm down = {.no_vsock = true};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&no_agent, 0);
	o = run(wait_main, ARGS("wait", "vm1", "--timeout", "2"));
	check_failure(&o, 11, "within the --timeout of 2 s: the guest has no agent");
	o = run(wait_main, ARGS("wait", "vm1", "--for", "module"));
	assert_int_equal(o.code, 0);
	fake_stop(&no_agent);
	fake_start(&no_module, 0);
	o = run(wait_main, ARGS("wait", "vm1", "--timeout", "2"));
	check_failure(&o, 11, "module: no answer within");
	o = run(wait_main, ARGS("wait", "vm1", "--timeout", "2", "--json"));
	fake_stop(&no_module);
	r = json_loads(o.out, 0, NULL);
	assert_true(
		json_is_true(json_object_get(json_object_get(r, "answered"), "agent")));
	assert_true(json_is_false(
		json_object_get(json_object_get(r, "answered"), "module")));
	json_decref(r);
	fake_start(&down, 0);
	o = run(wait_main, ARGS("wait", "vm1", "--timeout", "2"));
	fake_stop(&down);
	check_failure(&o, 11, "no vsock endpoint");
}

static void what_cannot_be_waited_for_is_an_error_at_once(void **state)
{
	struct fake_vm vm = {0};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(wait_main, ARGS("wait", "vm2"));
	assert_int_equal(o.code, 3);
	o = run(wait_main, ARGS("wait", "vm1", "--for", "ssh"));
	assert_int_equal(o.code, 2);
	o = run(wait_main, ARGS("wait", "vm1", "--for", "agent,"));
	assert_int_equal(o.code, 2);
	fake_stop(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_when_both_answer),
		cmocka_unit_test(what_does_not_come_is_said_at_the_timeout),
		cmocka_unit_test(what_cannot_be_waited_for_is_an_error_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
