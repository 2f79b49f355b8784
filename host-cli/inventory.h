/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest's module says of itself: LIST and STATUS, put together from their
 * parts and checked. The fields stay as on the wire (upcall_wire.h).
 */
#ifndef HOST_CLI_INVENTORY_H
#define HOST_CLI_INVENTORY_H

#include "upcall.h"

#define INVENTORY_MAX 65536 /* entries taken; the guest may say any number */

struct inventory {
	struct upcall_list_entry *entry;
	size_t count;
};

struct module_status {
	struct upcall_status head; /* of the first part; without its types */
	struct upcall_status_type *type;
	size_t count;
};

/*
 * Both need UPCALL_FEATURE_QUERY, and fill what has to be freed, also after a
 * failure. Errors: those of upcall_query(); -EPROTO for parts that do not fit
 * together; -EAGAIN for a list that changed each time it was read.
 */
int inventory_read(struct inventory *inventory, struct upcall *u, deadline_t deadline,
		   struct error *err);
void inventory_free(struct inventory *inventory);
int module_status_read(struct module_status *status, struct upcall *u,
		       deadline_t deadline, struct error *err);
void module_status_free(struct module_status *status);

/* The entry of that class (enum upcall_class) and key, or NULL. */
const struct upcall_list_entry *inventory_find(const struct inventory *inventory,
					       uint32_t class_number, uint64_t key);

#endif
