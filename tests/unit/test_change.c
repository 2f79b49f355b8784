/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs for MMIO, PCI, memory and virtio-iommu against a VM that goes along, and
 * against ones that fail at each step (fake_devices.h): what is asked of whom in
 * which order, what is left, and the exit code.
 */
#include "fake_devices.h"
#include "run_verb.h"

#include "../../host-cli/change.h"
#include "../../host-cli/verbs.h"

#define WINDOW "vm1", "--base", "0xfeb00c00", "--size", "0x200", "--irq", "11"
#define PCI_ADD       \
	"device_add " \
	"{\"driver\":\"virtio-rng-pci\",\"id\":\"vmctl-pci0\",\"bus\":\"rp0\"};"
#define MEM_ADD                                                                \
	"object-add;device_add {\"driver\":\"pc-dimm\",\"id\":\"vmctl-mem0\"," \
	"\"memdev\":\"vmctl-mem0-ram\"};"

#define PCI_DEL "DEL_PCI2;device_del;DEL_PCI2 eject;"

#define PLUG_MMIO   ARGS("hotplug-mmio", WINDOW)
#define UNPLUG_MMIO ARGS("unplug-mmio", WINDOW)
#define PLUG_PCI    ARGS("hotplug-pci", "vm1", "virtio-rng-pci")
#define UNPLUG_PCI  ARGS("unplug-pci", "vm1", "vmctl-pci0")
#define PLUG_MEM    ARGS("hotplug-mem", "vm1", "256M")
#define UNPLUG_MEM  ARGS("unplug-mem", "vm1")

/* Runs the verb on a VM that is as *d says, and compares what it was asked. */
static struct output on(struct fake_devices *d, int (*verb)(int, char **), char **argv,
			const char *log)
{
	struct fake_vm vm = fake_with_devices(d);
	struct output o;

	fake_start(&vm, 0);
	o = run(verb, argv);
	fake_stop(&vm);
	assert_string_equal(vm.log, log);
	return o;
}

static void works(struct fake_devices *d, int (*verb)(int, char **), char **argv,
		  const char *words, const char *log)
{
	struct output o = on(d, verb, argv, log);

	if (o.code || *o.err || !strstr(o.out, words))
		fail_msg("%d: '%s' is not in: %s%s", o.code, words, o.out, o.err);
}

/* A failure that leaves the guest and QEMU with the device, or not. */
static void fails(struct fake_devices *d, int (*verb)(int, char **), char **argv,
		  int code, const char *words, const char *log, bool in_guest,
		  bool in_qemu)
{
	struct output o = on(d, verb, argv, log);

	check_failure(&o, code, words);
	assert_int_equal(d->in_guest, in_guest);
	assert_int_equal(d->in_qemu, in_qemu);
}

/* As after a good hotplug. */
static struct fake_devices plugged(const char *id, uint32_t class_number, uint64_t key)
{
	struct fake_devices d = {.entries = 1, .in_guest = true};

	d.in_qemu = d.backend = *id;
	strcpy(d.id, id);
	d.entry[0].class_number = htole32(class_number);
	d.entry[0].key = htole64(key);
	return d;
}

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
	struct fake_devices kept = del, late = del, late_add = {.late_ms = 500};

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
	late.late_ms = 500;
	fails(&late, unplug_mmio_main, ARGS("unplug-mmio", WINDOW, "--timeout", "0.2"),
	      11, "is out all the same", "DEL_MMIO;", false, false);
	fails(&late_add, hotplug_mmio_main,
	      ARGS("hotplug-mmio", WINDOW, "--timeout", "0.2"), 11, "taken back",
	      "ADD_MMIO;DEL_MMIO;", false, false);
}

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

static void a_signal_is_answered_with_the_way_back(void **state)
{
	struct fake_devices d = {.interrupt_add = true};
	struct timespec now = {0};
	sigset_t set;

	(void)state;
	/* Blocked before there are threads that it could kill. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fails(&d, hotplug_pci_main, PLUG_PCI, 130, "interrupted",
	      PCI_ADD "device_del;DEL_PCI2 eject;", false, false);
	assert_int_equal(sigtimedwait(&set, NULL, &now), SIGINT);
}

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
	sigset_t set;
	size_t i;

	(void)state;
	/* Blocked before there are threads that it could kill. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
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
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
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

static void a_refused_unplug_asks_qemu_for_nothing(void **state)
{
	struct fake_devices d = plugged("vmctl-mem0", UPCALL_CLASS_MEM, 0x100000000);

	(void)state;
	d.del_ret = -EBUSY;
	fails(&d, unplug_mem_main, UNPLUG_MEM, 9, "the guest refused to unplug",
	      "DEL_MEM2;", true, true);
	assert_true(d.backend);
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
		cmocka_unit_test(pci_takes_a_free_port_and_the_first_free_name),
		cmocka_unit_test(properties_have_the_types_that_qmp_wants),
		cmocka_unit_test(what_cannot_be_passed_on_as_it_is_is_not_taken),
		cmocka_unit_test(options_that_would_have_no_effect_are_refused),
		cmocka_unit_test(a_device_that_the_guest_refuses_leaves_qemu_too),
		cmocka_unit_test(what_qemu_refuses_leaves_nothing),
		cmocka_unit_test(a_signal_is_answered_with_the_way_back),
		cmocka_unit_test(memory_comes_and_goes_with_its_backend),
		cmocka_unit_test(memory_reaches_a_total),
		cmocka_unit_test(a_dry_run_changes_nothing),
		cmocka_unit_test(what_qemu_keeps_is_asked_for_by_device_del),
		cmocka_unit_test(pci_leaves_the_guest_before_qemu_is_asked_for_it),
		cmocka_unit_test(what_qemu_does_not_want_the_guest_gets_back),
		cmocka_unit_test(what_cannot_go_at_all_stays_in_the_guest),
		cmocka_unit_test(from_every_state_the_same_command_goes_on),
		cmocka_unit_test(the_way_back_from_plugging_pci_looks_at_what_is_there),
		cmocka_unit_test(memory_that_was_left_without_a_dimm_is_freed),
		cmocka_unit_test(a_signal_does_not_keep_memory_from_being_freed),
		cmocka_unit_test(memory_goes_to_the_node_that_was_named),
		cmocka_unit_test(json_has_what_the_device_has),
		cmocka_unit_test(a_refused_unplug_asks_qemu_for_nothing),
		cmocka_unit_test(an_iommu_has_its_endpoints_and_goes_without_them),
		cmocka_unit_test(endpoints_that_make_no_sense_are_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
