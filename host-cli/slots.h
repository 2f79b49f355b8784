/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CPU slots of a VM: query-hotpluggable-cpus with the APIC id of each, which
 * is the only name that QEMU and the guest's kernel have in common for a CPU.
 */
#ifndef HOST_CLI_SLOTS_H
#define HOST_CLI_SLOTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmp.h"

#define SLOTS_MAX 4096 /* what QEMU's x86 machines allow */

struct slot {
	uint32_t apic_id;
	uint32_t index;	      /* place among all slots by APIC id: QEMU's CPU index */
	bool boot;	      /* the boot CPU, which cannot go */
	const char *type;     /* the driver for device_add; lives in slots.reply */
	const json_t *props;  /* likewise */
	const char *qom_path; /* likewise; NULL: the slot is free */
};

/* By APIC id, ascending. */
struct slots {
	struct slot *slot;
	size_t count;
	size_t plugged;
	json_t *reply;
};

/*
 * Reads them. -EOPNOTSUPP with a machine whose topology is not understood: each
 * APIC id is computed from the ids in props, and must agree with what QEMU says
 * about the CPUs that exist. Other errors as qmp_execute(). To be freed with
 * slots_free(), also after a failure.
 */
int slots_read(struct slots *s, struct qmp *q, deadline_t deadline, struct error *err);
void slots_free(struct slots *s);

/* From a reply alone, with no QEMU asked: the parsing half of slots_read(). */
int slots_parse(struct slots *s, json_t *reply, struct error *err);

/* The slot with that APIC id, or NULL. */
const struct slot *slots_find(const struct slots *s, uint32_t apic_id);

/* What to plug or unplug. */
struct slots_wish {
	enum slots_wish_kind {
		SLOTS_COUNT, /* count of them, lowest first (plug), highest (unplug) */
		SLOTS_TO,    /* as many as it takes for `count` in all */
		SLOTS_LIST,  /* these APIC ids */
	} kind;
	uint32_t count;
	uint32_t apic_id[256];
};

/*
 * Picks slots to fill, or filled slots to empty (never the boot CPU). picked has
 * room for SLOTS_MAX. *n may be 0 with SLOTS_TO: nothing is to be done. -ENOSPC
 * when there are not so many, -EINVAL when --to points the other way.
 */
int slots_pick_free(const struct slots *s, const struct slots_wish *wish,
		    const struct slot **picked, size_t *n, struct error *err);
int slots_pick_plugged(const struct slots *s, const struct slots_wish *wish,
		       const struct slot **picked, size_t *n, struct error *err);

#endif
