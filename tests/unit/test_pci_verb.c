/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs for PCI: the port, the way back, and every state that one can be cut off
 * in. */
#include "run_change.h"

static void pci_takes_a_free_port_and_the_first_free_name(void **state)
{
	struct fake_devices d = {0};
	struct output o;

	(void)state;
	works(&d, hotplug_pci_main, PLUG_PCI,
	      "vm1: plugged PCI device 0000:01:00.0 (vmctl-pci0)\n",
	      PCI_ADD "ADD_PCI2;");
	assert_true(le64toh(d.entry[0].key) == 0x100);
	o = on(&d, hotplug_pci_main, PLUG_PCI, "");
	check_failure(&o, 8, "no PCIe root port is free");
	works(&d, unplug_pci_main, UNPLUG_PCI, "vm1: unplugged PCI device 0000:01:00.0",
	      PCI_DEL);
	assert_false(d.in_qemu);
	o = on(&d, unplug_pci_main, UNPLUG_PCI, "");
	check_failure(&o, 8, "no PCI device with the id vmctl-pci0");
}

static void properties_have_the_types_that_qmp_wants(void **state)
{
	struct fake_devices d = {0};

	(void)state;
	works(&d, hotplug_pci_main,
	      ARGS("hotplug-pci", "vm1", "x", "--id", "n", "--bus", "b", "--prop",
		   "mac=52:54:00:00:00:01", "--prop", "queues=2", "--prop", "mq=on",
		   "--prop", "serial=\"7\""),
	      "(n)",
	      "device_add {\"driver\":\"x\",\"id\":\"n\",\"bus\":\"b\",\"mac\":\"52:54:"
	      "00:00:00:01\",\"queues\":2,\"mq\":true,\"serial\":\"7\"};ADD_PCI2;");
}

/* Nothing of a command line may get lost on its way to QEMU. */
static void what_cannot_be_passed_on_as_it_is_is_not_taken(void **state)
{
	char long_name[80];
	struct {
		char *args[2];
		const char *words;
	} bad[] = {
		{{"--prop", "serial=a\xff"}, "not UTF-8"},
		{{"--prop", "\xff=a"}, "not UTF-8"},
		{{"--prop", long_name}, "63 bytes at most"},
		{{"--prop", "mq=on"}, "given twice"},
		{{"--prop", "id=x"}, "DRIVER, --id or --bus"},
		{{"--prop", "=x"}, "NAME=VALUE"},
		{{"--id", "\xc3"}, "not UTF-8"},
		{{"--bus", "\xc3"}, "not UTF-8"},
	};
	struct output o;
	size_t i;

	(void)state;
	memset(long_name, 'n', sizeof(long_name));
	strcpy(long_name + CHANGE_ID_MAX, "=1");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = run(hotplug_pci_main,
			ARGS("hotplug-pci", "vm1", "x", "--prop", "mq=off",
			     bad[i].args[0], bad[i].args[1]));
		if (o.code != 2 || !strstr(o.err, bad[i].words) || *o.out)
			fail_msg("%s: %d %s", bad[i].args[1], o.code, o.err);
	}
}

static void a_signal_is_answered_with_the_way_back(void **state)
{
	struct fake_devices d = {.interrupt_add = true};
	struct timespec now = {0};
	sigset_t set = sigint_blocked();

	(void)state;
	fails(&d, hotplug_pci_main, PLUG_PCI, 130, "interrupted",
	      PCI_ADD "device_del;DEL_PCI2 eject;", false, false);
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGINT);
}

static struct fake_devices plugged_pci(void)
{
	return plugged("vmctl-pci0", UPCALL_CLASS_PCI, 0x100);
}

static void pci_leaves_the_guest_before_qemu_is_asked_for_it(void **state)
{
	struct fake_devices d = plugged_pci(), refused = d, absent = d, pending = d;

	(void)state;
	d.wants_device_del = true;
	works(&d, unplug_pci_main, UNPLUG_PCI, "unplugged", PCI_DEL);
	assert_false(d.in_guest || d.in_qemu);
	refused.del_ret = -EBUSY;
	fails(&refused, unplug_pci_main, UNPLUG_PCI, 9, "free it in the guest",
	      "DEL_PCI2;", true, true);
	/* What an earlier command, or somebody else, had begun. */
	absent.in_guest = false;
	absent.entries = 0;
	works(&absent, unplug_pci_main, UNPLUG_PCI, "unplugged", PCI_DEL);
	pending.in_guest = false;
	pending.entries = 0;
	pending.asked_back = true;
	works(&pending, unplug_pci_main, UNPLUG_PCI, "unplugged", PCI_DEL);
	assert_false(absent.in_qemu || pending.in_qemu);
}

static void what_qemu_does_not_want_the_guest_gets_back(void **state)
{
	struct fake_devices d = plugged_pci(), lost, absent;

	(void)state;
	d.refuse_del = "migration is in progress";
	lost = absent = d;
	fails(&d, unplug_pci_main, UNPLUG_PCI, 13,
	      "migration is in progress; the guest has taken it back",
	      "DEL_PCI2;device_del;ADD_PCI2;", true, true);
	lost.add_ret = -ENOSPC;
	fails(&lost, unplug_pci_main, UNPLUG_PCI, 12, "did not take it back: not ?[1m",
	      "DEL_PCI2;device_del;ADD_PCI2;", false, true);
	/* That is a state to go on from, too. */
	lost.refuse_del = NULL;
	works(&lost, unplug_pci_main, UNPLUG_PCI, "unplugged", PCI_DEL);
	absent.in_guest = false;
	absent.entries = 0;
	fails(&absent, unplug_pci_main, UNPLUG_PCI, 13, "nothing was changed",
	      "DEL_PCI2;device_del;", false, true);
}

static void what_cannot_go_at_all_stays_in_the_guest(void **state)
{
	struct fake_devices cold = plugged_pci(), part = cold, other = cold, d = cold;
	struct fake_vm vm = fake_with_devices(&d);
	struct output o;

	(void)state;
	cold.cold = true;
	fails(&cold, unplug_pci_main, UNPLUG_PCI, 13, "QEMU cannot take the PCI device",
	      "", true, true);
	part.function = 3;
	fails(&part, unplug_pci_main, UNPLUG_PCI, 9, "name what is function 0", "",
	      true, true);
	other.no_pci = true;
	fails(&other, unplug_pci_main, UNPLUG_PCI, 8, "no PCI device with the id", "",
	      true, true);
	vm.features &= ~(uint32_t)UPCALL_FEATURE_EJECT_PCI;
	fake_start(&vm, 0);
	o = run(unplug_pci_main, UNPLUG_PCI);
	fake_stop(&vm);
	check_failure(&o, 9, "cannot eject PCI devices");
	assert_string_equal(vm.log, "");
}

/* What fails, which state the message says it is in, and that a second run ends it. */
static void from_every_state_the_same_command_goes_on(void **state)
{
#define NOT_ASKED "QEMU still has it and was not asked for it back; to run the same"
	static const struct {
		struct fake_devices d;
		int code;
		const char *words, *log;
	} cases[] = {
		{{.drop_unread = true},
		 12,
		 "whether the guest has let go of it is not known, and " NOT_ASKED,
		 "DEL_PCI2;"},
		{{.drop_del = true},
		 12,
		 "the guest has let go of it, and " NOT_ASKED,
		 "DEL_PCI2;"},
		{{.late_ms = 1300},
		 12,
		 "the guest has let go of it, and " NOT_ASKED,
		 "DEL_PCI2;"},
		{{.late_ms = 1300, .del_ret = -EBUSY},
		 11,
		 "it refused later, and nothing was changed",
		 "DEL_PCI2;"},
		{{.interrupt_del = true},
		 12,
		 "interrupted before this step; the guest has let go of it, "
		 "and " NOT_ASKED,
		 "DEL_PCI2;"},
		{{.quit_del = true},
		 12,
		 "QEMU still has it and may have been asked for it back",
		 "DEL_PCI2;device_del;"},
		{{.ejects = true, .drop_unread = true},
		 12,
		 "the guest has let go of it, and QEMU still has it and wants it back",
		 PCI_DEL},
		{{.ejects = true, .drop_del = true},
		 6,
		 "0000:01:00.0 (vmctl-pci0) is out all the same",
		 PCI_DEL},
		{{.ejects = true, .late_ms = 1300}, 11, "is out all the same", PCI_DEL},
		{{.ejects = true, .del_ret = -EBUSY},
		 12,
		 "did not eject it: not ?[1mtoday (Device or resource busy); the guest "
		 "has let go of it, and QEMU still has it and wants it back",
		 PCI_DEL},
		{{.keeps = true},
		 12,
		 "QEMU did not free what the guest ejected within the --timeout; the "
		 "guest has let go of it, and QEMU still has it and wants it back",
		 PCI_DEL},
	};
	struct timespec now = {0};
	struct output o;
	sigset_t set = sigint_blocked();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake_devices d = cases[i].d, whole = plugged_pci();

		d.entries = 1;
		d.in_guest = d.in_qemu = true;
		strcpy(d.id, whole.id);
		d.entry[0] = whole.entry[0];
		o = on(&d, unplug_pci_main,
		       ARGS("unplug-pci", "vm1", "vmctl-pci0", "--timeout", "1"),
		       cases[i].log);
		check_failure(&o, cases[i].code, cases[i].words);
		sigtimedwait(&set, NULL, &now);
		whole.in_guest = d.in_guest;
		whole.entries = d.entries;
		whole.in_qemu = d.in_qemu;
		whole.asked_back = d.asked_back;
		if (whole.in_qemu)
			works(&whole, unplug_pci_main, UNPLUG_PCI, "unplugged",
			      PCI_DEL);
		assert_false(whole.in_guest || whole.in_qemu);
	}
}

/* Nothing that is no PCI device, and nothing that QEMU keeps, is called taken back. */
static void the_way_back_from_plugging_pci_looks_at_what_is_there(void **state)
{
	struct fake_devices usb = {.no_pci = true}, stays = usb, lost = {0};
	struct fake_devices refused = {.add_ret = -EBUSY};

	(void)state;
	fails(&usb, hotplug_pci_main, PLUG_PCI, 13,
	      "is virtio-rng-pci a PCI device?; it was taken back",
	      PCI_ADD "device_del;", false, false);
	stays.refuse_del = refused.refuse_del = "no hotplug here";
	fails(&stays, hotplug_pci_main, PLUG_PCI, 12, "CLEANUP FAILED",
	      PCI_ADD "device_del;", false, true);
	/* An eject would free what somebody else asked for. */
	fails(&refused, hotplug_pci_main, PLUG_PCI, 12,
	      "no hotplug here; see vmctl devices vm1, try vmctl unplug-pci, or",
	      PCI_ADD "ADD_PCI2;DEL_PCI2;device_del;", false, true);
	refused.refuse_del = NULL;
	works(&refused, unplug_pci_main, UNPLUG_PCI, "unplugged", PCI_DEL);
	/* The name is taken, whatever has it. */
	fails(&stays, hotplug_pci_main,
	      ARGS("hotplug-pci", "vm1", "x", "--id", "vmctl-pci0"), 8,
	      "a device with the id vmctl-pci0 already", "", false, true);
	lost.drop_add = true;
	fails(&lost, hotplug_pci_main, PLUG_PCI, 6, "taken back",
	      PCI_ADD "ADD_PCI2;" PCI_DEL, false, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pci_takes_a_free_port_and_the_first_free_name),
		cmocka_unit_test(properties_have_the_types_that_qmp_wants),
		cmocka_unit_test(what_cannot_be_passed_on_as_it_is_is_not_taken),
		cmocka_unit_test(a_signal_is_answered_with_the_way_back),
		cmocka_unit_test(pci_leaves_the_guest_before_qemu_is_asked_for_it),
		cmocka_unit_test(what_qemu_does_not_want_the_guest_gets_back),
		cmocka_unit_test(what_cannot_go_at_all_stays_in_the_guest),
		cmocka_unit_test(from_every_state_the_same_command_goes_on),
		cmocka_unit_test(the_way_back_from_plugging_pci_looks_at_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
