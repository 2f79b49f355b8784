/* SPDX-License-Identifier: Apache-2.0 */
/* What is common to the verbs for devices, and those of MMIO and virtio-iommu. */
#include "run_change.h"

static void mmio_is_the_guests_half_alone(void **state)
{
	struct fake_devices d = {0};

	(void)state;
	works(&d, hotplug_mmio_main, PLUG_MMIO,
	      "vm1: plugged virtio-mmio device at 0xfeb00c00, 512 bytes, IRQ 11\n",
	      "ADD_MMIO;");
	assert_true(d.in_guest);
	assert_true(le64toh(d.entry[0].key) == 0xfeb00c00);
	works(&d, unplug_mmio_main, UNPLUG_MMIO, "vm1: unplugged virtio-mmio device",
	      "DEL_MMIO;");
	assert_false(d.in_guest);
}

static void a_window_must_be_whole_and_numbers(void **state)
{
	static const char *const bad[] = {
		"", "0", "0x", "-1", "12z", "0x1g", "0x10000000000000000"};
	struct fake_devices d = {0};
	struct output o;
	size_t i;

	(void)state;
	o = on(&d, hotplug_mmio_main, ARGS("hotplug-mmio", "vm1", "--base", "0x1000"),
	       "");
	check_failure(&o, 2, "--base, --size and --irq");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = run(hotplug_mmio_main,
			ARGS("hotplug-mmio", "vm1", "--base", (char *)bad[i]));
		assert_int_equal(o.code, 2);
		assert_non_null(strstr(o.err, "give a number"));
	}
}

static void what_the_guest_cannot_do_is_not_asked(void **state)
{
	struct fake_devices d = {0};
	struct fake_vm vm = fake_with_devices(&d);
	struct output o;

	(void)state;
	vm.features = UPCALL_FEATURE_QUERY;
	fake_start(&vm, 0);
	o = run(hotplug_mmio_main, PLUG_MMIO);
	check_failure(&o, 9, "module: the guest's module  cannot plug virtio-mmio");
	o = run(hotplug_pci_main, PLUG_PCI);
	check_failure(&o, 9, "cannot plug PCI devices");
	o = run(hotplug_mem_main, PLUG_MEM);
	check_failure(&o, 9, "cannot plug memory");
	o = run(hotplug_iommu_main,
		ARGS("hotplug-iommu", WINDOW, "--endpoint", "00:02.0=16"));
	check_failure(&o, 9, "cannot plug a virtio-iommu");
	fake_stop(&vm);
	assert_string_equal(vm.log, "");
}

static void a_guest_without_extensions_gets_dragonballs_requests(void **state)
{
	struct fake_devices d = {0};
	struct fake_vm vm = fake_with_devices(&d);
	struct output o;

	(void)state;
	vm.no_extensions = true;
	fake_start(&vm, 0);
	o = run(hotplug_mmio_main, PLUG_MMIO);
	assert_int_equal(o.code, 0);
	o = run(hotplug_pci_main,
		ARGS("hotplug-pci", "vm1", "--guest-only", "--address", "01:00.0"));
	assert_int_equal(o.code, 0);
	o = run(devices_main, ARGS("devices", "vm1"));
	check_failure(&o, 9, "not the upcall module");
	fake_stop(&vm);
	assert_string_equal(vm.log, "ADD_MMIO;ADD_PCI;");
}

static void what_is_there_already_is_not_taken_back(void **state)
{
	struct fake_devices d = plugged("", UPCALL_CLASS_MMIO, 0xfeb00c00);

	(void)state;
	fails(&d, hotplug_mmio_main, PLUG_MMIO, 9, "is plugged already", "", true,
	      false);
}

static void a_refusal_leaves_the_guest_alone(void **state)
{
	struct fake_devices add = {.add_ret = -EBUSY};
	struct fake_devices del = plugged("", UPCALL_CLASS_MMIO, 0xfeb00c00);

	(void)state;
	fails(&add, hotplug_mmio_main, PLUG_MMIO, 9,
	      "upcall: the guest refused to plug", "ADD_MMIO;", false, false);
	del.del_ret = -EBUSY;
	fails(&del, unplug_mmio_main, UNPLUG_MMIO, 9, "not ?[1mtoday", "DEL_MMIO;",
	      true, false);
}

static void a_reply_of_another_size_is_none(void **state)
{
	struct fake_devices d = {.reply_size = 4};

	(void)state;
	fails(&d, hotplug_mmio_main, PLUG_MMIO, 12, "CLEANUP FAILED",
	      "ADD_MMIO;DEL_MMIO;", false, false);
}

static void a_request_that_nobody_answered_is_undone_or_looked_into(void **state)
{
	struct fake_devices add = {.drop_add = true}, lost = {.drop_unread = true};
	struct fake_devices del = plugged("", UPCALL_CLASS_MMIO, 0xfeb00c00);
	struct fake_devices kept = del, late = del, late_add = {.late_ms = 4000};

	(void)state;
	fails(&add, hotplug_mmio_main, PLUG_MMIO, 6, "taken back", "ADD_MMIO;DEL_MMIO;",
	      false, false);
	lost.del_ret = -ENODEV;
	fails(&lost, hotplug_mmio_main, PLUG_MMIO, 6, "taken back",
	      "ADD_MMIO;DEL_MMIO;", false, false);
	del.drop_del = true;
	fails(&del, unplug_mmio_main, UNPLUG_MMIO, 6, "is out all the same",
	      "DEL_MMIO;", false, false);
	kept.drop_unread = true;
	fails(&kept, unplug_mmio_main, UNPLUG_MMIO, 12, "is out is not known",
	      "DEL_MMIO;", true, false);
	late.late_ms = 4000;
	fails(&late, unplug_mmio_main, ARGS("unplug-mmio", WINDOW, "--timeout", "2"),
	      11, "is out all the same", "DEL_MMIO;", false, false);
	fails(&late_add, hotplug_mmio_main,
	      ARGS("hotplug-mmio", WINDOW, "--timeout", "2"), 11, "taken back",
	      "ADD_MMIO;DEL_MMIO;", false, false);
}

static void options_that_would_have_no_effect_are_refused(void **state)
{
	char *const unused[][2] = {
		{"--id", "x"}, {"--bus", "x"}, {"--prop", "a=b"}, {"--qmp", "/q"}};
	struct fake_devices d = {0};
	struct output o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(unused) / sizeof(unused[0]); i++) {
		o = on(&d, hotplug_pci_main,
		       ARGS("hotplug-pci", "vm1", "--guest-only", "--address",
			    "01:00.0", unused[i][0], unused[i][1]),
		       "");
		check_failure(&o, 2, unused[i][0]);
	}
	o = on(&d, unplug_pci_main,
	       ARGS("unplug-pci", "vm1", "--guest-only", "--address", "01:00.0",
		    "--qmp", "/q"),
	       "");
	check_failure(&o, 2, "--qmp");
	o = on(&d, hotplug_pci_main, ARGS("hotplug-pci", "vm1", "x\xff"), "");
	check_failure(&o, 2, "DRIVER x?: not UTF-8");
	o = on(&d, unplug_mem_main,
	       ARGS("unplug-mem", "vm1", "--id", "vmctl-mem0", "--size", "1G"), "");
	check_failure(&o, 2, "either --id or --size");
}

static void a_device_that_the_guest_refuses_leaves_qemu_too(void **state)
{
	struct fake_devices pci = {.add_ret = -EBUSY, .wants_device_del = true};
	struct fake_devices mem = pci;
	struct fake_devices stuck = {.add_ret = -EBUSY, .del_ret = -EBUSY};

	(void)state;
	fails(&pci, hotplug_pci_main, PLUG_PCI, 9, "taken back",
	      PCI_ADD "ADD_PCI2;DEL_PCI2;device_del;DEL_PCI2 eject;", false, false);
	fails(&mem, hotplug_mem_main, PLUG_MEM, 9, "taken back",
	      MEM_ADD "ADD_MEM2;device_del;DEL_MEM2;object-del;", false, false);
	assert_false(mem.backend);
	fails(&stuck, hotplug_mem_main, PLUG_MEM, 12, "CLEANUP FAILED",
	      MEM_ADD "ADD_MEM2;device_del;DEL_MEM2;", false, true);
}

static void what_qemu_refuses_leaves_nothing(void **state)
{
	struct fake_devices pci = {.refuse_add = true}, mem = pci;

	(void)state;
	fails(&pci, hotplug_pci_main, PLUG_PCI, 13, "device_add: QEMU refused", PCI_ADD,
	      false, false);
	fails(&mem, hotplug_mem_main, PLUG_MEM, 13, "device_add: QEMU refused",
	      MEM_ADD "object-del;", false, false);
	assert_false(mem.backend);
}

static void a_dry_run_changes_nothing(void **state)
{
	struct fake_devices d = {0}, left = {.leftover = "vmctl-mem0-ram"};
	struct fake_devices there = plugged("", UPCALL_CLASS_MMIO, 0xfeb00c00);
	struct fake_devices pci = plugged("vmctl-pci0", UPCALL_CLASS_PCI, 0x100);
	struct output o;

	(void)state;
	works(&d, hotplug_mmio_main,
	      ARGS("hotplug-mmio", "vm1", "--base", "0xfeb00c00", "--size", "0x200",
		   "--irq", "11", "--dry-run"),
	      "vm1: would plug virtio-mmio device at 0xfeb00c00, 512 bytes, IRQ 11\n"
	      "steps    upcall; nothing was changed\n",
	      "");
	works(&d, hotplug_pci_main,
	      ARGS("hotplug-pci", "vm1", "virtio-net-pci", "--dry-run"),
	      "vm1: would plug PCI device vmctl-pci0\n"
	      "steps    device_add, upcall; nothing was changed\n",
	      "");
	works(&pci, unplug_pci_main,
	      ARGS("unplug-pci", "vm1", "vmctl-pci0", "--dry-run"),
	      "would unplug PCI device 0000:01:00.0 (vmctl-pci0)\n"
	      "steps    upcall, device_del, eject, release; nothing was changed\n",
	      "");
	works(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "256M", "--dry-run"),
	      "vm1: would plug memory of 256 MiB (vmctl-mem0)\n"
	      "steps    device_add, upcall; nothing was changed\n",
	      "");
	works(&left, unplug_mem_main, ARGS("unplug-mem", "vm1", "--dry-run"),
	      "steps    object-del; nothing was changed\n", "");
	/* What would fail is found out all the same. */
	o = on(&there, hotplug_mmio_main,
	       ARGS("hotplug-mmio", "vm1", "--base", "0xfeb00c00", "--size", "0x200",
		    "--irq", "11", "--dry-run"),
	       "");
	check_failure(&o, 9, "is plugged already");
	assert_true(pci.in_guest && !d.in_guest && !d.in_qemu);
}

/* Runs a verb with --json, which succeeds, and compares what its class adds. */
static void json_is(struct fake_devices *d, int (*verb)(int, char **), char **argv,
		    const char *members)
{
	json_t *wanted = json_loads(members, 0, NULL), *got;
	struct fake_vm vm = fake_with_devices(d);
	const char *key, *name;
	struct output o;
	json_t *value;

	fake_start(&vm, 0);
	o = run(verb, argv);
	fake_stop(&vm);
	got = json_loads(o.out, 0, NULL);
	assert_non_null(wanted);
	if (o.code || *o.err || !got || !json_is_true(json_object_get(got, "ok")))
		fail_msg("%s: %d: %s%s", argv[0], o.code, o.out, o.err);
	json_object_foreach (wanted, key, value)
		if (!json_equal(json_object_get(got, key), value))
			fail_msg("%s: %s: %s", argv[0], key, o.out);
	assert_true(json_real_value(json_object_get(got, "kernel_ms")) == 3);
	assert_int_equal(json_integer_value(json_object_get(got, "request")), 7);
	for (name = "id\0address\0base\0size\0irq\0"; *name; name += strlen(name) + 1)
		if (json_object_get(got, name) && !json_object_get(wanted, name))
			fail_msg("%s has no %s: %s", argv[0], name, o.out);
	json_decref(wanted);
	json_decref(got);
}

static void json_has_what_the_device_has(void **state)
{
	static const char pci[] = "{\"id\": \"p\", \"address\": \"0000:01:00.0\"}";
	static const char at[] = "{\"address\": \"0000:02:03.1\"}";
	static const char mem[] = "{\"id\": \"vmctl-mem0\", \"base\": 4294967296, "
				  "\"size\": 268435456}";
	static const char window[] =
		"{\"base\": 4272950272, \"size\": 512, \"irq\": 11}";
	struct fake_devices d = {0};

	(void)state;
	json_is(&d, hotplug_pci_main,
		ARGS("hotplug-pci", "vm1", "virtio-rng-pci", "--id", "p", "--json"),
		pci);
	json_is(&d, unplug_pci_main, ARGS("unplug-pci", "vm1", "p", "--json"), pci);
	json_is(&d, hotplug_pci_main,
		ARGS("hotplug-pci", "vm1", "--guest-only", "--address", "02:03.1",
		     "--json"),
		at);
	json_is(&d, unplug_pci_main,
		ARGS("unplug-pci", "vm1", "--guest-only", "--address", "02:03.1",
		     "--json"),
		at);
	json_is(&d, hotplug_mem_main, ARGS("hotplug-mem", "vm1", "256M", "--json"),
		mem);
	json_is(&d, unplug_mem_main, ARGS("unplug-mem", "vm1", "--json"), mem);
	json_is(&d, hotplug_mmio_main, ARGS("hotplug-mmio", WINDOW, "--json"), window);
	json_is(&d, unplug_mmio_main, ARGS("unplug-mmio", WINDOW, "--json"), window);
	json_is(&d, hotplug_iommu_main,
		ARGS("hotplug-iommu", WINDOW, "--endpoint", "00:02.0=16", "--json"),
		window);
	json_is(&d, unplug_iommu_main, ARGS("unplug-iommu", WINDOW, "--json"), window);
	json_is(&d, hotplug_iommu_main,
		ARGS("hotplug-iommu", "vm1", "--pci", "02:03.1", "--endpoint",
		     "00:02.0=16", "--json"),
		at);
	json_is(&d, unplug_iommu_main,
		ARGS("unplug-iommu", "vm1", "--pci", "02:03.1", "--json"), at);
}

static void an_iommu_has_its_endpoints_and_goes_without_them(void **state)
{
	struct fake_devices d = {0};
	struct output o;

	(void)state;
	works(&d, hotplug_iommu_main,
	      ARGS("hotplug-iommu", WINDOW, "--endpoint",
		   "0000:00:02.0-0000:00:02.7=16", "--endpoint", "mmio:0xfeb00a00=5"),
	      "vm1: plugged virtio-iommu at 0xfeb00c00\n", "ADD_VIOMMU;");
	works(&d, unplug_iommu_main, ARGS("unplug-iommu", WINDOW),
	      "vm1: unplugged virtio-iommu", "DEL_VIOMMU;");
	o = on(&d, hotplug_iommu_main, ARGS("hotplug-iommu", WINDOW), "");
	check_failure(&o, 2, "at least one --endpoint");
	o = on(&d, hotplug_iommu_main,
	       ARGS("hotplug-iommu", WINDOW, "--pci", "00:04.0", "--endpoint",
		    "00:02.0=1"),
	       "");
	check_failure(&o, 2, "--pci, or at --base");
}

static void endpoints_that_make_no_sense_are_not_taken(void **state)
{
	static const char *const bad[] = {
		"00:02.0",
		"=1",
		"00:02.0=",
		"00:02.8=1",
		"00:20.0=1",
		"00:02.7-00:02.0=1",
		"0:00:02.0-00:3=1",
		"mmio:=1",
		"0000:00:02.0-0001:00:03.0=1",
		"00:02.0=-1",
		"00:02.0=4294967296",
	};
	struct output o;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = run(hotplug_iommu_main,
			ARGS("hotplug-iommu", "vm1", "--endpoint", (char *)bad[i]));
		if (o.code != 2 || !strstr(o.err, "--endpoint"))
			fail_msg("%s: %d %s", bad[i], o.code, o.err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mmio_is_the_guests_half_alone),
		cmocka_unit_test(a_window_must_be_whole_and_numbers),
		cmocka_unit_test(what_the_guest_cannot_do_is_not_asked),
		cmocka_unit_test(a_guest_without_extensions_gets_dragonballs_requests),
		cmocka_unit_test(what_is_there_already_is_not_taken_back),
		cmocka_unit_test(a_refusal_leaves_the_guest_alone),
		cmocka_unit_test(a_reply_of_another_size_is_none),
		cmocka_unit_test(
			a_request_that_nobody_answered_is_undone_or_looked_into),
		cmocka_unit_test(options_that_would_have_no_effect_are_refused),
		cmocka_unit_test(a_device_that_the_guest_refuses_leaves_qemu_too),
		cmocka_unit_test(what_qemu_refuses_leaves_nothing),
		cmocka_unit_test(a_dry_run_changes_nothing),
		cmocka_unit_test(json_has_what_the_device_has),
		cmocka_unit_test(an_iommu_has_its_endpoints_and_goes_without_them),
		cmocka_unit_test(endpoints_that_make_no_sense_are_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
