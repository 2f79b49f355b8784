/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's network through libnl-route, for jobs (job.h): the kernel may make one
 * wait, and what libnl reads takes memory. Each function opens and closes its own
 * netlink socket, so that an agent that is not asked has none.
 */
#ifndef AGENT_NET_H
#define AGENT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define NET_NAME_MAX	16
#define NET_ADDRESS_MAX 64 /* "2001:db8::1/64" and more */
#define NET_LIST_MAX	16384

struct net_interface {
	uint32_t index, mtu;
	char name[NET_NAME_MAX];
	char mac[NET_ADDRESS_MAX]; /* "": none */
	char state[16];
	char kind[32];
	bool up;
	uint32_t flags; /* IFF_* */
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
	char (*addresses)[NET_ADDRESS_MAX];
	size_t n_addresses;
};

struct net_route {
	char destination[NET_ADDRESS_MAX]; /* "default" */
	char gateway[NET_ADDRESS_MAX];	   /* "": none, as in the two below */
	char source[NET_ADDRESS_MAX];
	char interface[NET_NAME_MAX];
	uint32_t metric;
	uint32_t scope; /* RT_SCOPE_* */
	uint32_t mtu;	/* 0: none of its own */
	bool ipv6;
};

struct net_neighbor {
	char address[NET_ADDRESS_MAX];
	char mac[NET_ADDRESS_MAX]; /* "": not known */
	char interface[NET_NAME_MAX];
	char state[32];
	int state_bits; /* NUD_*, to be set; 0: permanent */
	int flags;	/* NTF_* */
};

/* Lists, which the caller frees: net_interfaces() with net_interfaces_free(). */
int net_interfaces(struct net_interface **list, size_t *n, struct error *err);
void net_interfaces_free(struct net_interface *list, size_t n);
/* Of the main table, without the kernel's cloned ones. */
int net_routes(struct net_route **list, size_t *n, struct error *err);
int net_neighbors(struct net_neighbor **list, size_t *n, struct error *err);

#endif
