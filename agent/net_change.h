/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the guest's network, for jobs, like net.h. */
#ifndef AGENT_NET_CHANGE_H
#define AGENT_NET_CHANGE_H

#include "net.h"

enum net_link {
	NET_LINK_KEEP,
	NET_LINK_UP,
	NET_LINK_DOWN,
};

struct net_change {
	const char *interface;
	const char *new_name; /* NULL: as it is */
	uint32_t mtu;	      /* 0: as it is */
	char *const *remove, *const *add;
	size_t n_remove, n_add;
	enum net_link link;
};

/*
 * Makes the changes in the order of the fields, the new name before the link is
 * brought up. -ENOENT: no such interface; -EINVAL: what is no address.
 */
int net_change_interface(const struct net_change *change, struct error *err);
/* Finds an interface by its MAC address: its name. -ENOENT. */
int net_find_by_mac(const char *mac, char name[NET_NAME_MAX], struct error *err);

/* Adds a route, or replaces the same one; removes it, which may have gone. */
int net_add_route(const struct net_route *route, struct error *err);
int net_remove_route(const struct net_route *route, struct error *err);
int net_add_neighbor(const struct net_neighbor *neighbor, struct error *err);

#endif
