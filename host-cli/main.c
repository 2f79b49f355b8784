/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "status.h"
#include "verbs.h"

static const struct verb verbs[] = {
	{"hotplug-cpu", hotplug_cpu_main, "plug CPUs into a running VM"},
	{"unplug-cpu", unplug_cpu_main, "take CPUs out of a running VM"},
	{"hotplug-pci", hotplug_pci_main, "plug a PCI device into a running VM"},
	{"unplug-pci", unplug_pci_main, "take a PCI device out of a running VM"},
	{"hotplug-mem", hotplug_mem_main, "plug memory into a running VM"},
	{"unplug-mem", unplug_mem_main, "take plugged memory out of a running VM"},
	{"hotplug-mmio", hotplug_mmio_main, "tell a guest of a virtio-mmio device"},
	{"unplug-mmio", unplug_mmio_main, "take a virtio-mmio device from a guest"},
	{"hotplug-iommu", hotplug_iommu_main, "tell a guest of a virtio-iommu"},
	{"unplug-iommu", unplug_iommu_main, "take a virtio-iommu from a guest"},
	{"devices", devices_main, "what the guest's module has plugged"},
	{"module-status", module_status_main, "the guest's module and its counters"},
	{"info", info_main, "what the guest is and has"},
	{"ping", ping_main, "round trips to the guest's agent"},
	{"vsock", vsock_main, "a VM's vsock device: vsock stats, vsock list"},
	{"list", list_main, "the VMs of the registry and how they are"},
	{"qemu-args", qemu_args_main, "the arguments that QEMU needs for a VM"},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(FILE *to)
{
	size_t i;

	fputs("usage: vmctl VERB [options] [VM]\n\n", to);
	for (i = 0; i < VERBS; i++)
		fprintf(to, "  %-13s  %s\n", verbs[i].name, verbs[i].help);
	fputs("\nVM is a name in the registry or an address (unix:PATH, vsock:CID,\n"
	      "tcp:HOST:PORT). vmctl VERB --help has more, man vmctl has all.\n",
	      to);
}

/*
 * A caller may have closed 0, 1 or 2. A socket would then get that number, and
 * QEMU or the guest what is meant for a terminal.
 */
static int fill_standard_fds(void)
{
	int fd = 0;

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
	return fd;
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	size_t i;

	/* A reader of our output that goes must not kill us between two states. */
	signal(SIGPIPE, SIG_IGN);
	if (fill_standard_fds() < 0)
		return STATUS_FAILURE;
	for (i = 0; i < VERBS; i++)
		if (!strcmp(word, verbs[i].name))
			return verbs[i].fn(argc - 1, argv + 1);
	if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
		print_help(stdout);
		return STATUS_OK;
	}
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		puts("vmctl " VMCTL_VERSION);
		return STATUS_OK;
	}
	if (*word)
		fprintf(stderr, "vmctl: there is no verb '%s'; see vmctl --help\n",
			word);
	else
		print_help(stderr);
	return STATUS_USAGE;
}
