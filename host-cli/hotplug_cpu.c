/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_verb.h"
#include "verbs.h"

static const struct option_spec specs[] = {
	CPU_VERB_OPTIONS("plug", "plug, or unplug, until there are N in all")};

static const struct cpu_verb verb = {
	.name = "hotplug-cpu",
	.about = "Plugs CPUs into a running VM: QEMU creates them, the guest's kernel\n"
		 "takes them, and its agent has them online. All of them or none.",
	.nothing = "nothing to do, the CPUs are there",
	.run = plug_run,
	.options = specs,
};

int hotplug_cpu_main(int argc, char **argv)
{
	return cpu_verb_main(argc, argv, &verb);
}
