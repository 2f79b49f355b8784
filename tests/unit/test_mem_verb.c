/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs for memory: the DIMM and what backs it come and go together. */
#include "run_change.h"

static void memory_comes_and_goes_with_its_backend(void **state)
{
	struct fake_devices d = {0};
	struct output o;

	(void)state;
	works(&d, hotplug_mem_main, PLUG_MEM,
	      "vm1: plugged memory of 256 MiB at 0x100000000 (vmctl-mem0)\n",
	      MEM_ADD "ADD_MEM2;");
	assert_true(le64toh(d.entry[0].key) == 0x100000000);
	o = on(&d, unplug_mem_main, ARGS("unplug-mem", "vm1", "--size", "1G"), "");
	check_failure(&o, 8, "QEMU has no memory");
	works(&d, unplug_mem_main, UNPLUG_MEM, "vm1: unplugged memory of 256 MiB",
	      "DEL_MEM2;object-del;");
	assert_false(d.in_qemu || d.backend);
}

static void memory_reaches_a_total(void **state)
{
	struct fake_devices d = {0};
	struct output o;
	json_t *r;

	(void)state;
	works(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "--to", "768M"),
	      "vm1: plugged memory of 256 MiB at 0x100000000 (vmctl-mem0)\n",
	      MEM_ADD "ADD_MEM2;");
	works(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "--to", "768M"),
	      "vm1: nothing to do, there are 768 MiB\n", "");
	o = on(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "--to", "640M"), "");
	check_failure(&o, 8, "768M can be reached, and not 640M");
	works(&d, hotplug_mem_main,
	      ARGS("hotplug-mem", "vm1", "--to", "512M", "--dry-run"),
	      "vm1: would unplug memory of 256 MiB\n"
	      "steps    upcall, release; nothing was changed\n",
	      "");
	o = on(&d, hotplug_mem_main,
	       ARGS("hotplug-mem", "vm1", "--to", "512M", "--json"),
	       "DEL_MEM2;object-del;");
	r = json_loads(o.out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(r, "action")), "unplug");
	assert_int_equal(json_integer_value(json_object_get(r, "total_bytes")),
			 512 << 20);
	json_decref(r);
	assert_false(d.in_qemu || d.in_guest);
	o = on(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1"), "");
	check_failure(&o, 2, "give either SIZE");
	o = on(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "1G", "--to", "1G"),
	       "");
	check_failure(&o, 2, "give either SIZE");
}

static void what_qemu_keeps_is_asked_for_by_device_del(void **state)
{
	struct fake_devices d = plugged("vmctl-mem0", UPCALL_CLASS_MEM, 0x100000000);
	struct fake_devices keeps = d;

	(void)state;
	d.wants_device_del = true;
	works(&d, unplug_mem_main, UNPLUG_MEM, "unplugged",
	      "DEL_MEM2;device_del;DEL_MEM2;object-del;");
	keeps.keeps = true;
	fails(&keeps, unplug_mem_main, ARGS("unplug-mem", "vm1", "--timeout", "2"), 12,
	      "QEMU did not free it", "DEL_MEM2;device_del;DEL_MEM2;", false, true);
}

static void memory_that_was_left_without_a_dimm_is_freed(void **state)
{
	struct fake_devices d = {.leftover = "vmctl-mem0-ram"}, plug = d, used = d;
	struct fake_devices other = {.leftover = "vmctl-mem0-rams"};
	struct output o;

	(void)state;
	works(&plug, hotplug_mem_main, PLUG_MEM, "(vmctl-mem0)",
	      "object-del vmctl-mem0-ram;" MEM_ADD "ADD_MEM2;");
	used.leftover_used = true;
	works(&used, hotplug_mem_main, PLUG_MEM, "(vmctl-mem1)",
	      "object-del vmctl-mem0-ram;object-add;device_add {\"driver\":\"pc-dimm\","
	      "\"id\":\"vmctl-mem1\",\"memdev\":\"vmctl-mem1-ram\"};ADD_MEM2;");
	works(&other, hotplug_mem_main, PLUG_MEM, "(vmctl-mem0)", MEM_ADD "ADD_MEM2;");
	/* An unplug that was cut off there is finished by a second one. */
	plug = d;
	works(&plug, unplug_mem_main, UNPLUG_MEM,
	      "vm1: unplugged what QEMU had left of the memory vmctl-mem0\n",
	      "object-del vmctl-mem0-ram;");
	assert_null(plug.leftover);
	plug = d;
	works(&plug, unplug_mem_main, ARGS("unplug-mem", "vm1", "--id", "vmctl-mem0"),
	      "vmctl-mem0", "object-del vmctl-mem0-ram;");
	plug = d;
	o = on(&plug, unplug_mem_main, ARGS("unplug-mem", "vm1", "--id", "vmctl-mem1"),
	       "object-del vmctl-mem0-ram;");
	check_failure(&o, 8, "no memory with the id vmctl-mem1");
	o = on(&used, unplug_mem_main, UNPLUG_MEM,
	       "object-del vmctl-mem0-ram;DEL_MEM2;object-del;");
	assert_int_equal(o.code, 0);
	o = on(&used, unplug_mem_main, UNPLUG_MEM, "object-del vmctl-mem0-ram;");
	check_failure(&o, 8, "no memory plugged by vmctl");
}

static void a_signal_does_not_keep_memory_from_being_freed(void **state)
{
	struct fake_devices d = plugged("vmctl-mem0", UPCALL_CLASS_MEM, 0x100000000);
	struct timespec now = {0};
	sigset_t set = sigint_blocked();

	(void)state;
	d.interrupt_del = true;
	fails(&d, unplug_mem_main, UNPLUG_MEM, 130, "is out all the same",
	      "DEL_MEM2;object-del;", false, false);
	assert_false(d.backend);
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGINT);
}

static void memory_goes_to_the_node_that_was_named(void **state)
{
	struct fake_devices d = {0};

	(void)state;
	works(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "256M", "--node", "1"),
	      "vmctl-mem0",
	      "object-add;device_add {\"driver\":\"pc-dimm\",\"id\":\"vmctl-mem0\","
	      "\"memdev\":\"vmctl-mem0-ram\",\"node\":1};ADD_MEM2;");
	assert_int_equal(le32toh((uint32_t)d.node), 1);
}

static void a_refused_unplug_asks_qemu_for_nothing(void **state)
{
	struct fake_devices d = plugged("vmctl-mem0", UPCALL_CLASS_MEM, 0x100000000);

	(void)state;
	d.del_ret = -EBUSY;
	fails(&d, unplug_mem_main, UNPLUG_MEM, 9, "the guest refused to unplug",
	      "DEL_MEM2;", true, true);
	assert_true(d.backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_comes_and_goes_with_its_backend),
		cmocka_unit_test(memory_reaches_a_total),
		cmocka_unit_test(what_qemu_keeps_is_asked_for_by_device_del),
		cmocka_unit_test(memory_that_was_left_without_a_dimm_is_freed),
		cmocka_unit_test(a_signal_does_not_keep_memory_from_being_freed),
		cmocka_unit_test(memory_goes_to_the_node_that_was_named),
		cmocka_unit_test(a_refused_unplug_asks_qemu_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
