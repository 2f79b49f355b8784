/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A class of devices: what it takes to plug and unplug one kind of thing. Each has
 * a file of its own and a line in devmgr.c's table; the messages that ask for it
 * are rows of request.c's.
 */
#ifndef UPCALL_CLASS_H
#define UPCALL_CLASS_H

#include <linux/types.h>

#include "report.h"
#include "request.h"

struct device_class {
	const char *name;

	/* At load and unload; may be NULL. An error keeps the module from loading. */
	int (*init)(void);
	void (*exit)(void);

	/*
	 * UPCALL_FEATURE_* of what this guest, as it is, can do. Without the
	 * class's own bit, add and del return -EOPNOTSUPP and why.
	 */
	u32 (*features)(void);

	/*
	 * Carries out a request: everything it asks for, or nothing. What was
	 * plugged is handed to plugged_add(), what was unplugged to
	 * plugged_del(). Returns 0, or a negative errno with the report filled.
	 * May sleep; one request at a time, of all the classes.
	 */
	int (*add)(const struct request *request, struct report *report);
	int (*del)(const struct request *request, struct report *report);

	/*
	 * Whether the kernel still has what a record is about. Looks and changes
	 * nothing; called with the records locked, also while a request is carried
	 * out, so it must not wait for the locks of hotplug.
	 */
	bool (*present)(const struct upcall_list_entry *entry);
};

extern const struct device_class cpu_class;
extern const struct device_class mmio_class;
extern const struct device_class pci_class;
extern const struct device_class mem_class;
extern const struct device_class viommu_class;

/* devmgr.c: the class with that number (enum upcall_class), or NULL. */
const struct device_class *class_find(u32 number);

#endif
