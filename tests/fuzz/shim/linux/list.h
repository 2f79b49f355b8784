/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHIM_LIST_H
#define SHIM_LIST_H

#include <linux/types.h>

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

#endif
