/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_verb.h"
#include "verbs.h"

static const struct option_spec specs[] = {
	CPU_VERB_OPTIONS("unplug", "unplug until there are N in all")};

static const struct cpu_verb verb = {
	.name = "unplug-cpu",
	.about = "Takes CPUs out of a running VM, the highest APIC id first and never "
		 "the\n"
		 "boot CPU: the guest's kernel lets go of them, and QEMU frees them. "
		 "All\n"
		 "of them or none.",
	.nothing = "nothing to do, there are no more CPUs than that",
	.run = plug_run_out,
	.options = specs,
};

int unplug_cpu_main(int argc, char **argv)
{
	return cpu_verb_main(argc, argv, &verb);
}
