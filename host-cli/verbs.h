/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of vmctl, one file each. Each gets its own part of the command line
 * (argv[0] is the verb) and returns the exit code (status.h).
 */
#ifndef HOST_CLI_VERBS_H
#define HOST_CLI_VERBS_H

#include <stddef.h>
#include <stdio.h>

int hotplug_cpu_main(int argc, char **argv);
int unplug_cpu_main(int argc, char **argv);
int ping_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int info_main(int argc, char **argv);
int exec_main(int argc, char **argv);
int shell_main(int argc, char **argv);
int shutdown_main(int argc, char **argv);
int reboot_main(int argc, char **argv);
int suspend_main(int argc, char **argv);
int time_main(int argc, char **argv);
int hostname_main(int argc, char **argv);
int ssh_keys_main(int argc, char **argv);
int cp_main(int argc, char **argv);
int df_main(int argc, char **argv);
int freeze_main(int argc, char **argv);
int thaw_main(int argc, char **argv);
int trim_main(int argc, char **argv);
int status_main(int argc, char **argv);
int top_main(int argc, char **argv);
int events_main(int argc, char **argv);
int metrics_main(int argc, char **argv);
int cpus_main(int argc, char **argv);
int memory_main(int argc, char **argv);
int net_main(int argc, char **argv);
int wait_main(int argc, char **argv);
int nc_main(int argc, char **argv);
int proxy_main(int argc, char **argv);
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

/* The groups that --help shows them in. */
enum verb_group {
	VERB_PLUG,
	VERB_GUEST,
	VERB_FILES,
	VERB_PORTS,
	VERB_HOST,
	VERB_GROUPS,
};

struct verb {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
	enum verb_group group;
	const struct verb *sub; /* of a verb of two words: ended by a NULL name */
};

/* All of them, ended by a NULL name. */
extern const struct verb verbs_all[];

/* One of a table by its name, or NULL. */
const struct verb *verbs_find(const struct verb *table, const char *name);

/* The whole program: argv[0] is its name. */
int verbs_run(int argc, char **argv);

#endif
