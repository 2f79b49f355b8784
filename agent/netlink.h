/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that use libnl share. */
#ifndef AGENT_NETLINK_H
#define AGENT_NETLINK_H

#include <netlink/netlink.h>

#include "error.h"

/* The errno that comes nearest to an error of libnl's (positive or negative). */
int netlink_errno(int nl_error);
/* Fills err with what was being done and libnl's words; returns the negative errno. */
int netlink_fail(struct error *err, int nl_error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A connected socket, or NULL with err filled. To be freed with nl_socket_free(). */
struct nl_sock *netlink_open(int protocol, struct error *err);

static inline void netlink_closep(struct nl_sock **sk)
{
	if (*sk)
		nl_socket_free(*sk);
}

#define cleanup_netlink __attribute__((cleanup(netlink_closep)))

#endif
