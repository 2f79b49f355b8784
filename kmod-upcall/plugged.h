/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is plugged, with the parameters that it was plugged with: a record of each
 * thing, kept in the kernel's device tree as a platform device "upcall-plugged.N",
 * so that it outlives the module and the next load finds it.
 *
 * All calls may sleep and take the records' own lock; they are made without locks of
 * hotplug.
 */
#ifndef UPCALL_PLUGGED_H
#define UPCALL_PLUGGED_H

#include <linux/types.h>

#include "report.h"
#include "upcall_wire.h"

/* A thing: its entry, and those that belong to it (VIOMMU_RANGE). */
struct plugged {
	struct list_head list;
	struct platform_device *device;
	u32 count; /* entries, 1.. */
	struct upcall_list_entry entry[];
};

/* Finds the records of an earlier load; drops those of what has gone meanwhile. */
int plugged_init(void);

/* Forgets them; they stay in the kernel. */
void plugged_exit(void);

/*
 * A request to change something begins: the records of what went by itself are dropped
 * now, and no more until it ends, so that what it takes out and brings back keeps its
 * record, whoever looks meanwhile.
 */
void plugged_hold(void);
void plugged_release(void);

/*
 * Records a thing that has been plugged. Only class_number, key and the class's own
 * members of the entries are read; type and request come from the report, the time
 * from the clock. -ENOMEM and others, with the report filled: take the thing back.
 */
int plugged_add(const struct upcall_list_entry *entries, u32 count,
		struct report *report);

/*
 * Records a thing that a request which fails could not take back, so that it is listed
 * and can be unplugged. What is in the report stays.
 */
void plugged_keep(const struct upcall_list_entry *entries, u32 count,
		  const struct report *report);

/*
 * Takes the record of a thing that has been unplugged into report->gone. One that
 * was never recorded, such as a CPU of the boot, goes there as `entry` says.
 */
void plugged_del(const struct upcall_list_entry *entry, struct report *report);

/*
 * Copies up to `size` entries of a record, the thing's own first, and returns how
 * many there are: 0, no such record.
 */
u32 plugged_find(u32 class_number, u64 key, struct upcall_list_entry *entries,
		 u32 size);

/*
 * Calls visit() for each record, in the order they were plugged, until one returns
 * not 0. Returns the generation, which changes with the records. The records are locked
 * meanwhile.
 */
u64 plugged_visit(int (*visit)(const struct plugged *plugged, void *data), void *data);

/*
 * Fills the reply to a LIST request. This and the two counts below drop the records of
 * what has gone by itself first.
 */
void plugged_list(u32 start, struct upcall_list *list);

/* Changes with the records. */
u64 plugged_generation(void);

/* The highest number of a request that any record has. */
u64 plugged_last_request(void);

/* How many entries there are. */
u32 plugged_count(void);

#endif
