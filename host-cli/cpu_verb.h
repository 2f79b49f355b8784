/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hotplug-cpu and unplug-cpu have in common: options and printing.
 */
#ifndef HOST_CLI_CPU_VERB_H
#define HOST_CLI_CPU_VERB_H

#include "options.h"
#include "plug.h"

struct cpu_verb {
	const char *name;
	const char *about;
	const char *nothing; /* said when there was nothing to do */
	enum status (*run)(struct plug *p);
	const struct option_spec *options;
};

/* The table of options for both; the word in the texts differs. */
#define CPU_VERB_OPTIONS(word, to)                                               \
	{"count", "N", word " N CPUs (1)", 0, cpu_verb_set_count},               \
		{"to", "N", to, 0, cpu_verb_set_to},                             \
		{"apic-id", "LIST", word " these: 1,3-5", 0, cpu_verb_set_list}, \
		{"qmp", "PATH", "QEMU's QMP socket, if VM is an address", 0,     \
		 cpu_verb_set_qmp},                                              \
	{                                                                        \
		NULL, NULL, NULL, 0, NULL                                        \
	}

int cpu_verb_set_count(void *into, const char *value, struct error *err);
int cpu_verb_set_to(void *into, const char *value, struct error *err);
int cpu_verb_set_list(void *into, const char *value, struct error *err);
int cpu_verb_set_qmp(void *into, const char *value, struct error *err);

/* The whole verb; returns the exit code. */
int cpu_verb_main(int argc, char **argv, const struct cpu_verb *verb);

#endif
