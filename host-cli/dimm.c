/* SPDX-License-Identifier: Apache-2.0 */
#include "dimm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define OBJECTS "/objects/" /* where QEMU keeps what object-add made */

/* One entry of the reply; false for what is no dimm, such as virtio-mem. */
static bool take(const json_t *entry, struct dimm *dimm)
{
	const json_t *data = json_object_get(entry, "data");
	const char *type = json_string_value(json_object_get(entry, "type"));
	const char *id = json_string_value(json_object_get(data, "id"));
	const char *memdev = json_string_value(json_object_get(data, "memdev"));
	json_int_t base = json_integer_value(json_object_get(data, "addr"));
	json_int_t size = json_integer_value(json_object_get(data, "size"));

	memset(dimm, 0, sizeof(*dimm));
	if (!type || strcmp(type, "dimm") || !id || strlen(id) >= DIMM_ID_MAX ||
	    base <= 0 || size <= 0)
		return false;
	strcpy(dimm->id, id);
	if (memdev && !strncmp(memdev, OBJECTS, strlen(OBJECTS)))
		snprintf(dimm->backend, sizeof(dimm->backend), "%s",
			 memdev + strlen(OBJECTS));
	dimm->base = (uint64_t)base;
	dimm->size = (uint64_t)size;
	dimm->node = (int)json_integer_value(json_object_get(data, "node"));
	return true;
}

int dimm_find(struct qmp *q, const char *id, struct dimm *dimm, deadline_t deadline,
	      struct error *err)
{
	json_t *reply = NULL, *entry;
	int ret = qmp_execute(q, "query-memory-devices", NULL, deadline, &reply, err);
	struct dimm one;
	size_t i;

	if (ret)
		return ret;
	json_array_foreach (reply, i, entry) {
		if (!take(entry, &one) || strcmp(one.id, id))
			continue;
		*dimm = one;
		ret = 1;
	}
	json_decref(reply);
	return ret;
}

int dimm_find_last(struct qmp *q, uint64_t size, struct dimm *dimm,
		   unsigned int *number, deadline_t deadline, struct error *err)
{
	json_t *reply = NULL, *entry;
	int ret = qmp_execute(q, "query-memory-devices", NULL, deadline, &reply, err);
	uint64_t n, last = 0;
	bool found = false;
	struct dimm one;
	size_t i;

	if (ret)
		return ret;
	json_array_foreach (reply, i, entry) {
		if (!take(entry, &one) ||
		    strncmp(one.id, DIMM_PREFIX, strlen(DIMM_PREFIX)) ||
		    text_number(one.id + strlen(DIMM_PREFIX), 0, 65535, &n) ||
		    (size && one.size != size) || (found && n < last))
			continue;
		*dimm = one;
		last = n;
		found = true;
	}
	if (found && number)
		*number = (unsigned int)last;
	json_decref(reply);
	return found;
}
