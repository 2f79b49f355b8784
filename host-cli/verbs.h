/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of vmctl, one file each. Each gets its own part of the command line
 * (argv[0] is the verb) and returns the exit code (status.h).
 */
#ifndef HOST_CLI_VERBS_H
#define HOST_CLI_VERBS_H

int hotplug_cpu_main(int argc, char **argv);
int unplug_cpu_main(int argc, char **argv);
int ping_main(int argc, char **argv);
int info_main(int argc, char **argv);
int vsock_main(int argc, char **argv);
int list_main(int argc, char **argv);
int qemu_args_main(int argc, char **argv);
int devices_main(int argc, char **argv);
int module_status_main(int argc, char **argv);
int hotplug_mmio_main(int argc, char **argv);
int unplug_mmio_main(int argc, char **argv);
int hotplug_iommu_main(int argc, char **argv);
int unplug_iommu_main(int argc, char **argv);
int hotplug_pci_main(int argc, char **argv);
int unplug_pci_main(int argc, char **argv);
int hotplug_mem_main(int argc, char **argv);
int unplug_mem_main(int argc, char **argv);

struct verb {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
};

#endif
