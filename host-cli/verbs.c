/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs.h"

#include <string.h>

#include "complete.h"
#include "fleet.h"
#include "status.h"
#include "text.h"
#include "vsock_verb.h"

#define SCREEN 79 /* columns of --help */

const struct verb verbs_all[] = {
	{"hotplug-cpu", hotplug_cpu_main, "plug CPUs into a running VM", VERB_PLUG,
	 NULL},
	{"unplug-cpu", unplug_cpu_main, "take CPUs out of a running VM", VERB_PLUG,
	 NULL},
	{"hotplug-mem", hotplug_mem_main, "plug memory into a running VM", VERB_PLUG,
	 NULL},
	{"unplug-mem", unplug_mem_main, "take plugged memory out of a running VM",
	 VERB_PLUG, NULL},
	{"hotplug-pci", hotplug_pci_main, "plug a PCI device into a running VM",
	 VERB_PLUG, NULL},
	{"unplug-pci", unplug_pci_main, "take a PCI device out of a running VM",
	 VERB_PLUG, NULL},
	{"hotplug-mmio", hotplug_mmio_main, "tell a guest of a virtio-mmio device",
	 VERB_PLUG, NULL},
	{"unplug-mmio", unplug_mmio_main, "take a virtio-mmio device from a guest",
	 VERB_PLUG, NULL},
	{"hotplug-iommu", hotplug_iommu_main, "tell a guest of a virtio-iommu",
	 VERB_PLUG, NULL},
	{"unplug-iommu", unplug_iommu_main, "take a virtio-iommu from a guest",
	 VERB_PLUG, NULL},
	{"devices", devices_main, "what the guest's module has plugged", VERB_PLUG,
	 NULL},
	{"wait", wait_main, "wait until a guest answers", VERB_GUEST, NULL},
	{"ping", ping_main, "round trips to the guest's agent", VERB_GUEST, NULL},
	{"bench", bench_main, "how fast a guest's agent answers, and bytes go",
	 VERB_GUEST, NULL},
	{"info", info_main, "what the guest is and has", VERB_GUEST, NULL},
	{"exec", exec_main, "run a command in the guest", VERB_GUEST, NULL},
	{"shell", shell_main, "a login shell in the guest", VERB_GUEST, NULL},
	{"shutdown", shutdown_main, "switch a guest off", VERB_GUEST, NULL},
	{"reboot", reboot_main, "start a guest again", VERB_GUEST, NULL},
	{"suspend", suspend_main, "suspend a guest to its memory", VERB_GUEST, NULL},
	{"time", time_main, "the guest's clock", VERB_GUEST, NULL},
	{"hostname", hostname_main, "the guest's host name", VERB_GUEST, NULL},
	{"ssh-keys", ssh_keys_main, "who may log in to a guest by ssh", VERB_GUEST,
	 NULL},
	{"status", status_main, "all of a VM on one screen", VERB_GUEST, NULL},
	{"top", top_main, "how busy a guest is, live", VERB_GUEST, NULL},
	{"events", events_main, "what happens in a guest, as it happens", VERB_GUEST,
	 NULL},
	{"metrics", metrics_main, "a guest's figures as OpenMetrics", VERB_GUEST, NULL},
	{"cpus", cpus_main, "a guest's CPUs; online and offline", VERB_GUEST, NULL},
	{"memory", memory_main, "a guest's memory blocks; online and offline",
	 VERB_GUEST, NULL},
	{"net", net_main, "a guest's network, and changes of it", VERB_GUEST, NULL},
	{"module-status", module_status_main, "the guest's module and its counters",
	 VERB_GUEST, NULL},
	{"cp", cp_main, "copy files to a guest or from it", VERB_FILES, NULL},
	{"df", df_main, "the guest's file systems, and how full they are", VERB_FILES,
	 NULL},
	{"freeze", freeze_main, "keep a guest's file systems as they are", VERB_FILES,
	 NULL},
	{"thaw", thaw_main, "let a guest write again", VERB_FILES, NULL},
	{"trim", trim_main, "give free blocks of the guest back to the host",
	 VERB_FILES, NULL},
	{"nc", nc_main, "standard input and output joined to a guest's port",
	 VERB_PORTS, NULL},
	{"proxy", proxy_main, "TCP and Unix sockets of the host joined to guest ports",
	 VERB_PORTS, NULL},
	{"list", list_main, "the VMs of the registry and how they are", VERB_HOST,
	 NULL},
	{"qemu-args", qemu_args_main, "the arguments that QEMU needs for a VM",
	 VERB_HOST, NULL},
	{"vsock", vsock_main, "a VM's vsock device: vsock stats, vsock list", VERB_HOST,
	 vsock_verbs},
	{NULL, NULL, NULL, VERB_GROUPS, NULL},
};

static const struct {
	const char *name, *about;
} groups[VERB_GROUPS] = {
	[VERB_PLUG] = {"plug", "CPUs, memory and devices of a running VM"},
	[VERB_GUEST] = {"guest", "what is in it, and how it does"},
	[VERB_FILES] = {"files", "files of the guest, and its file systems"},
	[VERB_PORTS] = {"ports", "connections to the guest's vsock ports"},
	[VERB_HOST] = {"host", "the VMs of this host"},
};

const struct verb *verbs_find(const struct verb *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(name, table->name))
			return table;
	return NULL;
}

/* The names of a group, as many a line as fit. */
static void print_names(FILE *to, enum verb_group group)
{
	const struct verb *v;
	size_t column = 0;

	for (v = verbs_all; v->name; v++) {
		size_t len = strlen(v->name) + 2;

		if (v->group != group)
			continue;
		if (column && column + len > SCREEN) {
			putc('\n', to);
			column = 0;
		}
		column += len + (column ? 0 : 2);
		fprintf(to, "%s  %s", column == len + 2 ? "  " : "", v->name);
	}
	putc('\n', to);
}

static void print_help(FILE *to)
{
	size_t i;

	fputs("usage: vmctl VERB [options] [VM] [...]\n\n", to);
	for (i = 0; i < VERB_GROUPS; i++) {
		fprintf(to, "%s: %s\n", groups[i].name, groups[i].about);
		print_names(to, (enum verb_group)i);
	}
	fputs("\nVM is a name in the registry or an address (unix:PATH, vsock:CID,\n"
	      "tcp:HOST:PORT); --all and --vm NAME,NAME stand for several.\n"
	      "vmctl help VERB, or a group's name, has more; man vmctl has all.\n",
	      to);
}

static void print_group(enum verb_group group)
{
	const struct verb *v;

	for (v = verbs_all; v->name; v++)
		if (v->group == group)
			printf("  %-13s  %s\n", v->name, v->help);
}

static int no_verb(const char *word)
{
	char printable[64];

	text_copy(printable, sizeof(printable), word, strlen(word));
	fprintf(stderr, "vmctl: there is no verb '%s'; see vmctl --help\n", printable);
	return STATUS_USAGE;
}

/* "help", "help VERB", "help VERB WORD", "help GROUP". */
static int help(int argc, char **argv)
{
	char *line[] = {NULL, "--help", NULL};
	const struct verb *v;
	size_t i;

	if (argc < 2 || *argv[1] == '-') {
		print_help(stdout);
		return STATUS_OK;
	}
	v = verbs_find(verbs_all, argv[1]);
	if (v && v->sub && argc > 2)
		v = verbs_find(v->sub, argv[2]);
	if (v) {
		line[0] = (char *)v->name;
		return v->fn(2, line);
	}
	for (i = 0; i < VERB_GROUPS; i++) {
		if (strcmp(argv[1], groups[i].name))
			continue;
		print_group((enum verb_group)i);
		return STATUS_OK;
	}
	return no_verb(argc > 2 ? argv[2] : argv[1]);
}

static int run_line(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";
	const struct verb *v = verbs_find(verbs_all, word);
	int code;

	if (v) {
		code = v->fn(argc - 1, argv + 1);
		/* With several VMs that was only the reading of the command line. */
		if (code != STATUS_OK || !fleet_ready())
			return code;
		return fleet_run(v->sub ? verbs_find(v->sub, argv[2])->fn : v->fn);
	}
	if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
		return help(argc - 1, argv + 1);
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		puts("vmctl " VMCTL_VERSION);
		return STATUS_OK;
	}
	if (!strcmp(word, COMPLETE_VERB))
		return complete_main(argc - 1, argv + 1);
	if (*word)
		return no_verb(word);
	print_help(stderr);
	return STATUS_USAGE;
}

int verbs_run(int argc, char **argv)
{
	int code = run_line(argc, argv);

	/* A verb that asked something has looked itself; help and the like have not. */
	if (code == STATUS_OK && (fflush(stdout) || ferror(stdout))) {
		perror("vmctl: writing to standard output");
		code = STATUS_FAILURE;
	}
	return code;
}
