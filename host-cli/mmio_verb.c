/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-mmio and unplug-mmio: a virtio-mmio device that the VMM has, and that the
 * guest has not been told of. QEMU cannot make one in a running machine, so there
 * is no QEMU's half.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "verbs.h"
#include "window.h"

static const struct option_spec specs[] = {WINDOW_OPTIONS, {NULL, NULL, NULL, 0, NULL}};

static const struct change_step steps[] = {
	{"module", change_greet, false},
	{"upcall", change_ask, true},
};

static int mmio_main(int argc, char **argv, bool adds,
		     const struct options_syntax *syntax)
{
	struct window window = {0};
	struct change c = {.adds = adds,
			   .feature = UPCALL_FEATURE_MMIO,
			   .base = true,
			   .verb_phrase = "plug virtio-mmio devices",
			   .class_number = UPCALL_CLASS_MMIO};
	int ret = options_parse(argc, argv, syntax, &c.options, &window);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	change_begin(&c, syntax->verb);
	if (window_check(&window, &c.report) == STATUS_OK) {
		c.key = window.base;
		c.add.payload.mmio = (struct upcall_mmio){
			.base = htole64(window.base),
			.size = htole64(window.size),
			.irq = htole32((uint32_t)window.irq),
		};
		c.add.type = UPCALL_ADD_MMIO;
		c.add.len = sizeof(c.add.payload.mmio);
		c.del = c.add;
		c.del.type = UPCALL_DEL_MMIO;
		snprintf(c.what, sizeof(c.what),
			 "virtio-mmio device at %#llx, %llu bytes, IRQ %u",
			 (unsigned long long)window.base,
			 (unsigned long long)window.size, (unsigned int)window.irq);
		if (change_run(&c, steps, sizeof(steps) / sizeof(steps[0])) ==
		    STATUS_OK) {
			change_print(&c);
			window_json(&window, &c.report);
		}
	}
	return change_end(&c);
}

int hotplug_mmio_main(int argc, char **argv)
{
	static const struct options_syntax syntax = {
		.verb = "hotplug-mmio",
		.operands = "VM",
		.about = "Tells the guest of a virtio-mmio device that the VMM has. "
			 "--base,\n"
			 "--size and --irq must be given.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return mmio_main(argc, argv, true, &syntax);
}

int unplug_mmio_main(int argc, char **argv)
{
	static const struct options_syntax syntax = {
		.verb = "unplug-mmio",
		.operands = "VM",
		.about = "Takes a virtio-mmio device from the guest; the options are "
			 "those that\n"
			 "it was plugged with.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return mmio_main(argc, argv, false, &syntax);
}
