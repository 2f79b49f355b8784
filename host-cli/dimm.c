/* SPDX-License-Identifier: Apache-2.0 */
#include "dimm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The number of a dimm that vmctl made; -1 of another. */
static int64_t number_of(const struct dimm *dimm)
{
	size_t prefix = strlen(DIMM_PREFIX);
	uint64_t n;

	if (strncmp(dimm->id, DIMM_PREFIX, prefix) ||
	    text_number(dimm->id + prefix, 0, 65535, &n))
		return -1;
	return (int64_t)n;
}

int dimm_find_last(struct qmp *q, uint64_t size, struct dimm *dimm,
		   unsigned int *number, deadline_t deadline, struct error *err)
{
	json_t *reply = NULL, *entry;
	int ret = qmp_execute(q, "query-memory-devices", NULL, deadline, &reply, err);
	int64_t n, last = 0;
	bool found = false;
	struct dimm one;
	size_t i;

	if (ret)
		return ret;
	json_array_foreach (reply, i, entry) {
		n = take(entry, &one) ? number_of(&one) : -1;
		if (n < 0 || (size && one.size != size) || (found && n < last))
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

static int last_first(const void *a, const void *b)
{
	int64_t x = number_of(a), y = number_of(b);

	return (x < y) - (x > y);
}

int dimm_pick(struct qmp *q, uint64_t bytes, struct dimm picked[static DIMMS_MAX],
	      size_t *count, uint64_t *nearest, deadline_t deadline, struct error *err)
{
	json_t *reply = NULL, *entry;
	int ret = qmp_execute(q, "query-memory-devices", NULL, deadline, &reply, err);
	size_t i, n = 0;

	if (ret)
		return ret;
	json_array_foreach (reply, i, entry) {
		if (n < DIMMS_MAX && take(entry, &picked[n]) &&
		    number_of(&picked[n]) >= 0)
			n++;
	}
	json_decref(reply);
	qsort(picked, n, sizeof(*picked), last_first);
	*nearest = 0;
	for (i = 0; i < n && *nearest + picked[i].size <= bytes; i++)
		*nearest += picked[i].size;
	*count = i;
	return *nearest == bytes;
}

int dimm_total(struct qmp *q, uint64_t *bytes, deadline_t deadline, struct error *err)
{
	json_t *reply = NULL;
	int ret = qmp_execute(q, "query-memory-size-summary", NULL, deadline, &reply,
			      err);
	json_int_t base = json_integer_value(json_object_get(reply, "base-memory"));
	json_int_t plugged =
		json_integer_value(json_object_get(reply, "plugged-memory"));

	json_decref(reply);
	if (ret)
		return ret;
	if (base <= 0 || plugged < 0 || base > INT64_MAX - plugged)
		return error_set(err, -EPROTO,
				 "query-memory-size-summary gives no sizes");
	*bytes = (uint64_t)base + (uint64_t)plugged;
	return 0;
}
