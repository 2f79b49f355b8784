/* SPDX-License-Identifier: Apache-2.0 */
#include "inventory.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESTARTS 16 /* of a list that changes while it is read */

/* One part, from entry `start` on: whether it fits what came before. */
static int check_part(const char *what, uint32_t start, uint32_t total, uint32_t count,
		      uint32_t max, struct error *err)
{
	if (total > INVENTORY_MAX)
		return error_set(err, -EPROTO, "%s of %u entries cannot be", what,
				 total);
	if (start > total || count > max || count > total - start ||
	    (!count && start < total))
		return error_set(err, -EPROTO, "%s has %u entries from %u of %u on",
				 what, count, start, total);
	return 0;
}

/* Makes room for all when the first part came. */
static int make_room(void **list, uint32_t total, size_t size, struct error *err)
{
	if (!*list)
		*list = calloc(total ? total : 1, size);
	return *list ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int read_once(struct inventory *inventory, struct upcall *u, deadline_t deadline,
		     struct error *err)
{
	uint32_t total = 0, count;
	uint64_t generation = 0;
	struct upcall_list part;
	int ret;

	do {
		ret = upcall_query(u, UPCALL_LIST, (uint32_t)inventory->count, &part,
				   sizeof(part), deadline, err);
		if (ret)
			return ret;
		if (inventory->entry &&
		    (part.generation != generation || le32toh(part.total) != total))
			return error_set(err, -EAGAIN,
					 "the guest's list changes all the time");
		generation = part.generation;
		total = le32toh(part.total);
		count = le32toh(part.count);
		ret = check_part("a list", (uint32_t)inventory->count, total, count,
				 UPCALL_LIST_MAX, err);
		if (!ret)
			ret = make_room((void **)&inventory->entry, total,
					sizeof(part.entry[0]), err);
		if (ret)
			return ret;
		memcpy(inventory->entry + inventory->count, part.entry,
		       count * sizeof(part.entry[0]));
		inventory->count += count;
	} while (inventory->count < total);
	return 0;
}

int inventory_read(struct inventory *inventory, struct upcall *u, deadline_t deadline,
		   struct error *err)
{
	int i, ret = -EAGAIN;

	memset(inventory, 0, sizeof(*inventory));
	for (i = 0; i < RESTARTS && ret == -EAGAIN; i++) {
		inventory_free(inventory);
		ret = read_once(inventory, u, deadline, err);
	}
	return ret;
}

void inventory_free(struct inventory *inventory)
{
	free(inventory->entry);
	memset(inventory, 0, sizeof(*inventory));
}

const struct upcall_list_entry *inventory_find(const struct inventory *inventory,
					       uint32_t class_number, uint64_t key)
{
	size_t i;

	for (i = 0; i < inventory->count; i++)
		if (le32toh(inventory->entry[i].class_number) == class_number &&
		    le64toh(inventory->entry[i].key) == key)
			return &inventory->entry[i];
	return NULL;
}

int module_status_read(struct module_status *status, struct upcall *u,
		       deadline_t deadline, struct error *err)
{
	struct upcall_status part;
	uint32_t total, count;
	int ret;

	memset(status, 0, sizeof(*status));
	do {
		ret = upcall_query(u, UPCALL_STATUS, (uint32_t)status->count, &part,
				   sizeof(part), deadline, err);
		if (ret)
			return ret;
		if (!status->type)
			status->head = part;
		total = le32toh(part.total);
		count = le32toh(part.count);
		if (part.total != status->head.total)
			return error_set(err, -EPROTO, "a status of %u types, then %u",
					 le32toh(status->head.total), total);
		ret = check_part("a status", (uint32_t)status->count, total, count,
				 UPCALL_STATUS_MAX, err);
		if (!ret)
			ret = make_room((void **)&status->type, total,
					sizeof(part.type[0]), err);
		if (ret)
			return ret;
		memcpy(status->type + status->count, part.type,
		       count * sizeof(part.type[0]));
		status->count += count;
	} while (status->count < total);
	return 0;
}

void module_status_free(struct module_status *status)
{
	free(status->type);
	memset(status, 0, sizeof(*status));
}
