/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each vhost-user request does, for vhost_user.c.
 */
#ifndef TRANSPORT_VHOST_USER_HANDLERS_H
#define TRANSPORT_VHOST_USER_HANDLERS_H

#include "vhost_user.h"

struct vhost_user_handler {
	const char *name;
	uint32_t min, max; /* payload bytes */
	uint8_t fds;	   /* at most */
	bool replies;	   /* always answers: msg, as the handler leaves it */
	/* Takes a descriptor by leaving -1 in its place. Negative errno. */
	int (*handle)(struct vhost_user *vu, struct vhost_user_message *msg,
		      struct error *err);
};

/* NULL for a request that is not known. */
const struct vhost_user_handler *vhost_user_handler(uint32_t request);

const char *vhost_user_name(uint32_t request);

#endif
