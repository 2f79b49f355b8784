/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-cpu and unplug-cpu against a VM that goes along, and against ones that
 * fail at each step: what is asked of whom in which order, what is left, and the
 * exit code. The VM is fake_vm.h's; the same on a real one is in tests/vm.
 */
#include <limits.h>

#include "fake_vm.h"
#include "run_verb.h"

#include "../../host-cli/plug.h"
#include "../../host-cli/verbs.h"

#define ALONE "Qpo --- --- ---"

/* A failing run, the state that it leaves and what the VM was asked. */
static void fails(struct fake_vm *vm, int others, int (*verb)(int, char **),
		  char **argv, int code, const char *words, const char *log,
		  const char *state)
{
	struct output o;

	fake_start(vm, others);
	o = run(verb, argv);
	fake_stop(vm);
	check_failure(&o, code, words);
	assert_string_equal(vm->log, log);
	assert_string_equal(fake_state(vm), state);
}

static void plug_fails(struct fake_vm *vm, char **argv, int code, const char *words,
		       const char *log)
{
	fails(vm, 0, hotplug_cpu_main, argv, code, words, log, ALONE);
}

static void plugging_creates_adds_and_brings_online_in_that_order(void **state)
{
	struct fake_vm vm = {0};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--count", "2"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	assert_string_equal(vm.log, "device_add 1;device_add 2;ADD_CPU 1 2;"
				    "OnlineCpus 1 2;");
	assert_string_equal(fake_state(&vm), "Qpo Qpo Qpo ---");
	assert_non_null(strstr(o.out, "vm1: plugged 2 CPUs, APIC ids 1-2\n"));
	assert_non_null(strstr(o.out, "before   0-3          0            0\n"));
	assert_non_null(strstr(o.out, "after    0-3          0-2          0-2\n"));
}

static void the_json_result_has_views_steps_and_apic_ids(void **state)
{
	static const char *const names[] = {"qmp",	  "before", "module",
					    "device_add", "upcall", "agent"};
	struct fake_vm vm = {0};
	const json_t *steps;
	struct output o;
	json_t *r;
	size_t i;

	(void)state;
	fake_start(&vm, 1);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "--json", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	r = json_loads(o.out, 0, NULL);
	assert_non_null(r);
	assert_int_equal(json_integer_value(json_object_get(r, "schema")), 1);
	assert_true(json_is_true(json_object_get(r, "ok")));
	assert_int_equal(
		json_integer_value(json_array_get(json_object_get(r, "apic_ids"), 0)),
		2);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(r, "after"), "online")),
		3);
	assert_true(json_real_value(json_object_get(r, "kernel_ms")) == 2.0);
	steps = json_object_get(r, "steps");
	assert_int_equal(json_array_size(steps), 6);
	for (i = 0; i < 6; i++)
		assert_string_equal(json_string_value(json_object_get(
					    json_array_get(steps, i), "name")),
				    names[i]);
	json_decref(r);
}

static void a_failure_in_json_is_on_stdout_and_the_words_on_stderr(void **state)
{
	struct fake_vm vm = {.add_ret = -EBUSY};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "--json", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 9);
	r = json_loads(o.out, 0, NULL);
	assert_true(json_is_false(json_object_get(r, "ok")));
	assert_int_equal(json_integer_value(json_object_get(r, "exit_code")), 9);
	assert_string_equal(json_string_value(json_object_get(r, "status")), "refused");
	assert_string_equal(json_string_value(json_object_get(r, "step")), "upcall");
	assert_non_null(
		strstr(json_string_value(json_object_get(r, "error")), "today"));
	assert_non_null(strstr(o.err, "today"));
	json_decref(r);
}

static void a_total_that_is_reached_changes_nothing(void **state)
{
	struct fake_vm vm = {0};
	struct output o;

	(void)state;
	fake_start(&vm, 2);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--to", "3"));
	assert_int_equal(o.code, 0);
	o = run(unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--to", "3"));
	assert_int_equal(o.code, 0);
	o = run(unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--to", "4"));
	check_failure(&o, 2, "hotplug-cpu");
	fake_stop(&vm);
	assert_string_equal(vm.log, "");
}

static void a_total_is_reached_from_above_too(void **state)
{
	struct fake_vm vm = {0};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 3);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--to", "2"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "vm1: unplugged 2 CPUs, APIC ids 2-3\n"));
	assert_string_equal(fake_state(&vm), "Qpo Qpo --- ---");
	assert_string_equal(vm.log, "DEL_CPU2 3 2;");
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--to", "1", "--json"));
	fake_stop(&vm);
	r = json_loads(o.out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(r, "action")), "unplug");
	assert_true(json_is_true(json_object_get(r, "freed")));
	json_decref(r);
}

static void a_dry_run_says_what_would_be_and_changes_nothing(void **state)
{
	struct fake_vm vm = {0}, absent = {.no_module = true};
	const json_t *would;
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 1);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--to", "4", "--dry-run"));
	assert_int_equal(o.code, 0);
	assert_string_equal(
		o.out, "vm1: would plug 2 CPUs, APIC ids 2-3\n"
		       "CPUs     possible     present      online\n"
		       "before   0-3          0-1          0-1\n"
		       "steps    device_add, upcall, agent; nothing was changed\n");
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--to", "2", "--dry-run"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "steps    none\n"));
	o = run(hotplug_cpu_main,
		ARGS("hotplug-cpu", "vm1", "--count", "3", "--dry-run"));
	check_failure(&o, 8, "do not fit");
	o = run(unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--dry-run", "--json"));
	fake_stop(&vm);
	r = json_loads(o.out, 0, NULL);
	assert_true(json_is_true(json_object_get(r, "dry_run")));
	assert_string_equal(json_string_value(json_object_get(r, "action")), "unplug");
	assert_null(json_object_get(r, "after"));
	would = json_object_get(r, "would");
	assert_string_equal(json_string_value(json_array_get(would, 0)), "upcall");
	assert_int_equal(json_array_size(would), 3);
	json_decref(r);
	assert_string_equal(vm.log, "");
	assert_string_equal(fake_state(&vm), "Qpo Qpo --- ---");
	/* What would fail is found out all the same. */
	fake_start(&absent, 0);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--dry-run"));
	fake_stop(&absent);
	check_failure(&o, 6, "no upcall module");
}

static void an_address_needs_the_qmp_socket_named(void **state)
{
	struct fake_vm vm = {0};
	char address[128], qmp[128];
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	snprintf(address, sizeof(address), "unix:%s/vsock.sock", vm.dir);
	snprintf(qmp, sizeof(qmp), "%s/qmp.sock", vm.dir);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", address));
	assert_int_equal(o.code, 4);
	assert_non_null(strstr(o.err, "--qmp"));
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", address, "--qmp", qmp));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(fake_state(&vm), "Qpo Qpo --- ---");
}

static void nothing_is_created_for_a_vm_that_lacks_a_part(void **state)
{
	struct fake_vm no_qmp = {.no_qmp = true}, no_vsock = {.no_vsock = true};
	struct fake_vm no_module = {.no_module = true}, no_agent = {.no_agent = true};
	struct fake_vm babble = {.babble = true}, full = {0};
	char **plug = ARGS("hotplug-cpu", "vm1");

	(void)state;
	plug_fails(&no_qmp, plug, 4, "qmp: no QMP socket", "");
	plug_fails(&no_vsock, plug, 5, "vsockd", "");
	plug_fails(&no_module, plug, 6,
		   "the guest has no upcall module (port 219 refused); install", "");
	plug_fails(&no_agent, plug, 7, "the guest has no agent (port 220 refused)", "");
	plug_fails(&babble, plug, 7, "agent does not answer", "");
	plug_fails(&full, ARGS("hotplug-cpu", "vm1", "--count", "4"), 8, "slots", "");
}

static void a_refusal_gives_the_vcpus_back(void **state)
{
	struct fake_vm vm = {.add_ret = -EBUSY};

	(void)state;
	vm.wants_device_del = true;
	/* del_ret is 0: the guest ejects what it never had. */
	plug_fails(&vm, ARGS("hotplug-cpu", "vm1", "--count", "2"), 9,
		   "upcall: the guest refused the request (APIC id 1): not ?[1mtoday",
		   "device_add 1;device_add 2;ADD_CPU 1 2;device_del 1;device_del 2;"
		   "DEL_CPU2 1 2;");
}

static void a_vcpu_that_never_starts_has_its_own_exit_code(void **state)
{
	struct fake_vm vm = {.add_ret = -EIO}, swallow = {.swallow_add = true};

	(void)state;
	plug_fails(&vm, ARGS("hotplug-cpu", "vm1"), 10, "never started",
		   "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;");
	plug_fails(&swallow, ARGS("hotplug-cpu", "vm1"), 10, "can never start",
		   "device_add 1;");
}

static void a_result_that_is_no_errno_is_a_refusal(void **state)
{
	struct fake_vm least = {.add_ret = INT_MIN}, positive = {.add_ret = 7};

	(void)state;
	plug_fails(&least, ARGS("hotplug-cpu", "vm1"), 9, "the guest refused",
		   "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;");
	plug_fails(&positive, ARGS("hotplug-cpu", "vm1"), 9, "the guest refused",
		   "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;");
}

static void a_total_that_only_qemu_has_is_no_success(void **state)
{
	struct fake_vm vm = {.blind = true};

	(void)state;
	fails(&vm, 1, hotplug_cpu_main, ARGS("hotplug-cpu", "vm1", "--to", "2"), 12,
	      "QEMU has 2 vCPUs and the guest 1", "", "Qpo Qpo --- ---");
}

static void a_reply_after_the_timeout_is_awaited_and_undone(void **state)
{
	struct fake_vm vm = {.hold_add = true};

	(void)state;
	plug_fails(&vm, ARGS("hotplug-cpu", "vm1", "--timeout", "2"), 11,
		   "--timeout of 2 s passed",
		   "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;");
}

static void a_connection_that_breaks_is_made_anew_for_the_cleanup(void **state)
{
	struct fake_vm vm = {.drop_add = true};

	(void)state;
	plug_fails(&vm, ARGS("hotplug-cpu", "vm1"), 6, "removed again",
		   "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;");
}

static void a_vcpu_that_qemu_refuses_takes_the_others_back(void **state)
{
	struct fake_vm vm = {.refuse_add = 2};

	(void)state;
	plug_fails(&vm, ARGS("hotplug-cpu", "vm1", "--to", "4"), 13,
		   "device_add: QEMU refused device_add: no?[2J way",
		   "device_add 1;device_add 2;device_del 1;DEL_CPU2 1;");
}

static void what_qemu_never_created_is_not_said_to_be_removed(void **state)
{
	struct fake_vm vm = {.refuse_add = 1};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"));
	fake_stop(&vm);
	check_failure(&o, 13, "refused device_add");
	assert_null(strstr(o.err, "removed"));
	assert_string_equal(vm.log, "device_add 1;");
}

static void a_cpu_that_stays_offline_is_taken_out_again(void **state)
{
	struct fake_vm offline = {.stays_offline = true}, blind = {.blind = true};

	(void)state;
	plug_fails(&offline, ARGS("hotplug-cpu", "vm1"), 9,
		   "agent: CPU 1 did not come online: no? memory",
		   "device_add 1;ADD_CPU 1;OnlineCpus 1;device_del 1;DEL_CPU2 1;");
	plug_fails(&blind, ARGS("hotplug-cpu", "vm1"), 9, "sees 0 new ones",
		   "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;");
}

static void an_interrupt_is_answered_between_steps_with_the_way_back(void **state)
{
	struct fake_vm vm = {.interrupt_add = true};
	struct timespec now = {0};
	sigset_t set;

	(void)state;
	/* Blocked before there are threads that it could kill. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	plug_fails(&vm, ARGS("hotplug-cpu", "vm1"), 130, "interrupted",
		   "device_add 1;device_del 1;DEL_CPU2 1;");
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGINT);
}

static void a_cleanup_that_fails_is_said_loudly(void **state)
{
	struct fake_vm keeps = {.add_ret = -EBUSY, .del_ret = -EBUSY};
	struct fake_vm old = {.add_ret = -EBUSY, .no_extensions = true};
	struct fake_vm dead = {.quit_add = true};

	(void)state;
	fails(&keeps, 0, hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"), 12,
	      "CLEANUP FAILED, vCPUs with APIC ids 1 are left half plugged",
	      "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU2 1;", "Qpo Q-- --- ---");
	fails(&old, 0, hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"), 12,
	      "the guest's module cannot eject vCPUs",
	      "device_add 1;ADD_CPU 1;device_del 1;DEL_CPU 1;", "Qpo Q-- --- ---");
	fails(&dead, 0, hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"), 4,
	      "removed again", "device_add 1;device_del 1;DEL_CPU2 1;", ALONE);
}

static void a_module_that_never_answers_costs_the_timeout_and_the_cleanup(void **state)
{
	struct slots_wish one = {.kind = SLOTS_COUNT, .count = 1};
	struct options options = {.timeout_ms = 100, .quiet = true};
	struct fake_vm fake = {.mute_add = true};
	struct report r;
	struct plug p;
	struct vm vm;

	(void)state;
	fake_start(&fake, 0);
	report_begin(&r, &options, "hotplug-cpu", "vm1");
	assert_int_equal(vm_resolve(&vm, "vm1", NULL, &r), STATUS_OK);
	plug_init(&p, &vm, &one, deadline_after_ms(2000), &r);
	p.cleanup_ms = 1000;
	assert_int_equal(plug_run(&p), STATUS_HALF_PLUGGED);
	assert_non_null(strstr(r.text, "CLEANUP FAILED"));
	assert_string_equal(r.failed_step, "upcall");
	plug_free(&p);
	json_decref(r.body);
	fake_stop(&fake);
}

static void unplugging_asks_the_guest_and_leaves_no_request_in_qemu(void **state)
{
	struct fake_vm vm = {0};
	struct output o;

	(void)state;
	fake_start(&vm, 3);
	o = run(unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--count", "2"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	assert_string_equal(vm.log, "DEL_CPU2 3 2;");
	assert_string_equal(fake_state(&vm), "Qpo Qpo --- ---");
	assert_non_null(strstr(o.out, "vm1: unplugged 2 CPUs, APIC ids 2-3\n"));
}

static void a_guest_that_keeps_its_cpus_changes_nothing(void **state)
{
	struct fake_vm vm = {.del_ret = -EBUSY};

	(void)state;
	fails(&vm, 1, unplug_cpu_main, ARGS("unplug-cpu", "vm1"), 9, "not ?[1mtoday",
	      "DEL_CPU2 1;", "Qpo Qpo --- ---");
	assert_false(vm.asked_back[1]);
}

static void the_boot_cpu_is_never_asked_for(void **state)
{
	struct fake_vm listed = {0}, counted = {0};

	(void)state;
	fails(&listed, 1, unplug_cpu_main,
	      ARGS("unplug-cpu", "vm1", "--apic-id", "1,0"), 8, "boot CPU", "",
	      "Qpo Qpo --- ---");
	fails(&counted, 1, unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--count", "2"),
	      8, "boot CPU", "", "Qpo Qpo --- ---");
}

static void a_vcpu_that_qemu_keeps_is_asked_for_by_device_del(void **state)
{
	struct fake_vm shy = {.wants_device_del = true}, keeps = {.keeps = true};
	struct output o;

	(void)state;
	fake_start(&shy, 1);
	o = run(unplug_cpu_main, ARGS("unplug-cpu", "vm1"));
	fake_stop(&shy);
	assert_int_equal(o.code, 0);
	assert_string_equal(shy.log, "DEL_CPU2 1;device_del 1;DEL_CPU2 1;");
	assert_string_equal(fake_state(&shy), ALONE);
	fails(&keeps, 1, unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--timeout", "3"),
	      12, "QEMU did not free them", "DEL_CPU2 1;device_del 1;DEL_CPU2 1;",
	      "Qpo Q-- --- ---");
}

static void a_module_that_cannot_eject_is_used_with_a_warning(void **state)
{
	struct fake_vm vm = {.no_extensions = true};
	struct output o;

	(void)state;
	fake_start(&vm, 1);
	o = run(unplug_cpu_main, ARGS("unplug-cpu", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "QEMU keeps the vCPUs"));
	assert_string_equal(vm.log, "DEL_CPU 1;");
	assert_string_equal(fake_state(&vm), "Qpo Q-- --- ---");
}

static void an_unplug_that_ends_after_the_timeout_is_seen_through(void **state)
{
	struct fake_vm late = {.late_del_ms = 4000}, drop = {.drop_del = true};

	(void)state;
	fails(&late, 1, unplug_cpu_main, ARGS("unplug-cpu", "vm1", "--timeout", "2"),
	      11, "a little later, and the CPUs are out", "DEL_CPU2 1;", ALONE);
	fails(&drop, 1, unplug_cpu_main, ARGS("unplug-cpu", "vm1"), 6,
	      "the CPUs are out all the same", "DEL_CPU2 1;", ALONE);
}

static void an_unplug_that_is_cut_off_says_what_became_of_it(void **state)
{
	struct fake_vm vm = {.interrupt_del = true}, dull = vm;
	struct fake_vm lost = {.drop_del = true, .keeps = true};
	struct timespec now = {0};
	sigset_t set;

	(void)state;
	/* Blocked before there are threads that it could kill. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fails(&vm, 1, unplug_cpu_main, ARGS("unplug-cpu", "vm1"), 130,
	      "interrupted before this step; the CPUs are out", "DEL_CPU2 1;", ALONE);
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGINT);
	dull.no_extensions = true;
	fake_start(&dull, 1);
	assert_int_equal(run(unplug_cpu_main, ARGS("unplug-cpu", "vm1")).code, 130);
	fake_stop(&dull);
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGINT);
	/* By number: --count 1 would take another one. */
	fails(&lost, 2, unplug_cpu_main, ARGS("unplug-cpu", "vm1"), 12,
	      "vmctl unplug-cpu vm1 --apic-id 2 is safe", "DEL_CPU2 2;",
	      "Qpo Qpo Q-- ---");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plugging_creates_adds_and_brings_online_in_that_order),
		cmocka_unit_test(the_json_result_has_views_steps_and_apic_ids),
		cmocka_unit_test(
			a_failure_in_json_is_on_stdout_and_the_words_on_stderr),
		cmocka_unit_test(a_total_that_is_reached_changes_nothing),
		cmocka_unit_test(a_total_is_reached_from_above_too),
		cmocka_unit_test(a_dry_run_says_what_would_be_and_changes_nothing),
		cmocka_unit_test(an_address_needs_the_qmp_socket_named),
		cmocka_unit_test(nothing_is_created_for_a_vm_that_lacks_a_part),
		cmocka_unit_test(a_refusal_gives_the_vcpus_back),
		cmocka_unit_test(a_vcpu_that_never_starts_has_its_own_exit_code),
		cmocka_unit_test(a_result_that_is_no_errno_is_a_refusal),
		cmocka_unit_test(a_total_that_only_qemu_has_is_no_success),
		cmocka_unit_test(a_reply_after_the_timeout_is_awaited_and_undone),
		cmocka_unit_test(a_connection_that_breaks_is_made_anew_for_the_cleanup),
		cmocka_unit_test(a_vcpu_that_qemu_refuses_takes_the_others_back),
		cmocka_unit_test(what_qemu_never_created_is_not_said_to_be_removed),
		cmocka_unit_test(a_cpu_that_stays_offline_is_taken_out_again),
		cmocka_unit_test(
			an_interrupt_is_answered_between_steps_with_the_way_back),
		cmocka_unit_test(a_cleanup_that_fails_is_said_loudly),
		cmocka_unit_test(
			a_module_that_never_answers_costs_the_timeout_and_the_cleanup),
		cmocka_unit_test(
			unplugging_asks_the_guest_and_leaves_no_request_in_qemu),
		cmocka_unit_test(a_guest_that_keeps_its_cpus_changes_nothing),
		cmocka_unit_test(the_boot_cpu_is_never_asked_for),
		cmocka_unit_test(a_vcpu_that_qemu_keeps_is_asked_for_by_device_del),
		cmocka_unit_test(a_module_that_cannot_eject_is_used_with_a_warning),
		cmocka_unit_test(an_unplug_that_ends_after_the_timeout_is_seen_through),
		cmocka_unit_test(an_unplug_that_is_cut_off_says_what_became_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
