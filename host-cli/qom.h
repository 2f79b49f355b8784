/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU's tree of objects: what stands at a path, whatever it is.
 */
#ifndef HOST_CLI_QOM_H
#define HOST_CLI_QOM_H

#include "qmp.h"

#define QOM_DEVICES "/machine/peripheral" /* what device_add made, by id */
#define QOM_OBJECTS "/objects"		  /* what object-add made, by id */

/* *list becomes a new reference to what is at the path. */
int qom_list(struct qmp *q, const char *path, deadline_t deadline, json_t **list,
	     struct error *err);
/* The name of entry i, NULL behind the last; "" for what has none. */
const char *qom_name(const json_t *list, size_t i);
/* Whether the path has that name: 1, 0 or -errno. */
int qom_has(struct qmp *q, const char *path, const char *name, deadline_t deadline,
	    struct error *err);
/* Whether a device can be unplugged at all: 1, 0 or -errno. */
int qom_hotpluggable(struct qmp *q, const char *id, deadline_t deadline,
		     struct error *err);

#endif
