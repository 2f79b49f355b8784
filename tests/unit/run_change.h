/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs for MMIO, PCI, memory and virtio-iommu against a VM that goes along, and
 * against ones that fail at each step (fake_devices.h): what is asked of whom in
 * which order, what is left, and the exit code.
 */
#ifndef RUN_CHANGE_H
#define RUN_CHANGE_H

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

__attribute__((unused)) static void works(struct fake_devices *d,
					  int (*verb)(int, char **), char **argv,
					  const char *words, const char *log)
{
	struct output o = on(d, verb, argv, log);

	if (o.code || *o.err || !strstr(o.out, words))
		fail_msg("%d: '%s' is not in: %s%s", o.code, words, o.out, o.err);
}

/* A failure that leaves the guest and QEMU with the device, or not. */
__attribute__((unused)) static void fails(struct fake_devices *d,
					  int (*verb)(int, char **), char **argv,
					  int code, const char *words, const char *log,
					  bool in_guest, bool in_qemu)
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

/* To be called before there are threads that the signal could kill. */
__attribute__((unused)) static sigset_t sigint_blocked(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return set;
}

#endif
