// SPDX-License-Identifier: Apache-2.0
#include "net.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "netlink.h"

/* What libnl has read of one kind, and an array for as many. */
static int prepare(struct nl_cache *cache, size_t size, void **list, struct error *err)
{
	int n = nl_cache_nitems(cache);

	if (n > NET_LIST_MAX)
		return error_set(err, -ENOSPC, "%d entries; the limit is %d", n,
				 NET_LIST_MAX);
	*list = calloc(n + 1, size);
	return *list ? 0 : error_set(err, -ENOMEM, "no memory for a list");
}

/* An address as text, "" where there is none; without what is no address. */
static void format(struct nl_addr *addr, char to[NET_ADDRESS_MAX])
{
	char text[2 * NET_ADDRESS_MAX];

	*to = '\0';
	if (addr && nl_addr_get_len(addr))
		agent_log_printable(nl_addr2str(addr, text, sizeof(text)), to,
				    NET_ADDRESS_MAX);
}

static void take_link(struct rtnl_link *link, struct net_interface *to)
{
	const char *name = rtnl_link_get_name(link), *kind = rtnl_link_get_type(link);
	char state[sizeof(to->state)];

	to->index = rtnl_link_get_ifindex(link);
	to->mtu = rtnl_link_get_mtu(link);
	to->flags = rtnl_link_get_flags(link);
	to->up = to->flags & IFF_UP;
	agent_log_printable(name ? name : "", to->name, sizeof(to->name));
	agent_log_printable(kind ? kind : "", to->kind, sizeof(to->kind));
	rtnl_link_operstate2str(rtnl_link_get_operstate(link), state, sizeof(state));
	agent_log_printable(state, to->state, sizeof(to->state));
	format(rtnl_link_get_addr(link), to->mac);
	to->rx_bytes = rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES);
	to->rx_packets = rtnl_link_get_stat(link, RTNL_LINK_RX_PACKETS);
	to->rx_errors = rtnl_link_get_stat(link, RTNL_LINK_RX_ERRORS);
	to->rx_dropped = rtnl_link_get_stat(link, RTNL_LINK_RX_DROPPED);
	to->tx_bytes = rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES);
	to->tx_packets = rtnl_link_get_stat(link, RTNL_LINK_TX_PACKETS);
	to->tx_errors = rtnl_link_get_stat(link, RTNL_LINK_TX_ERRORS);
	to->tx_dropped = rtnl_link_get_stat(link, RTNL_LINK_TX_DROPPED);
}

static int take_addresses(struct nl_cache *cache, struct net_interface *to)
{
	struct nl_object *o;

	to->addresses = calloc(nl_cache_nitems(cache) + 1, sizeof(*to->addresses));
	if (!to->addresses)
		return -ENOMEM;
	for (o = nl_cache_get_first(cache); o; o = nl_cache_get_next(o)) {
		struct rtnl_addr *addr = (struct rtnl_addr *)o;

		if ((uint32_t)rtnl_addr_get_ifindex(addr) == to->index)
			format(rtnl_addr_get_local(addr),
			       to->addresses[to->n_addresses++]);
	}
	return 0;
}

void net_interfaces_free(struct net_interface *list, size_t n)
{
	while (n--)
		free(list[n].addresses);
	free(list);
}

static int take_interfaces(struct nl_cache *links, struct nl_cache *addresses,
			   struct net_interface **list, size_t *n, struct error *err)
{
	struct nl_object *o;
	void *room = NULL;
	int ret = prepare(links, sizeof(**list), &room, err);

	if (ret)
		return ret;
	*list = room;
	for (o = nl_cache_get_first(links); !ret && o; o = nl_cache_get_next(o)) {
		take_link((struct rtnl_link *)o, *list + *n);
		ret = take_addresses(addresses, *list + *n);
		++*n;
	}
	if (ret) {
		net_interfaces_free(*list, *n);
		error_set(err, ret, "no memory for a list of addresses");
	}
	return ret;
}

int net_interfaces(struct net_interface **list, size_t *n, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_ROUTE, err);
	struct nl_cache *links = NULL, *addresses = NULL;
	int ret;

	*n = 0;
	if (!sk)
		return err->code;
	ret = rtnl_link_alloc_cache(sk, AF_UNSPEC, &links);
	if (!ret)
		ret = rtnl_addr_alloc_cache(sk, &addresses);
	if (ret)
		ret = netlink_fail(err, ret, "reading the interfaces");
	else
		ret = take_interfaces(links, addresses, list, n, err);
	nl_cache_free(links);
	nl_cache_free(addresses);
	return ret;
}

/* By the kernel's table, so that the names need no cache of libnl's. */
static void name_of(int index, char name[NET_NAME_MAX])
{
	char text[IF_NAMESIZE];

	*name = '\0';
	if (index > 0 && if_indextoname(index, text))
		agent_log_printable(text, name, NET_NAME_MAX);
}

/* False: not one to be shown. */
static bool take_route(struct rtnl_route *route, struct net_route *to)
{
	struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, 0);
	struct nl_addr *destination = rtnl_route_get_dst(route);
	int family = rtnl_route_get_family(route);
	unsigned int mtu;

	if (rtnl_route_get_table(route) != RT_TABLE_MAIN ||
	    rtnl_route_get_flags(route) & RTM_F_CLONED ||
	    rtnl_route_get_type(route) != RTN_UNICAST ||
	    (family != AF_INET && family != AF_INET6))
		return false;
	to->ipv6 = family == AF_INET6;
	if (destination && nl_addr_get_len(destination))
		format(destination, to->destination);
	else
		strcpy(to->destination, "default");
	/* libnl leaves out the length of a host's address. */
	if (strcmp(to->destination, "default") && !strchr(to->destination, '/'))
		strncat(to->destination, to->ipv6 ? "/128" : "/32",
			sizeof(to->destination) - strlen(to->destination) - 1);
	format(rtnl_route_get_pref_src(route), to->source);
	if (hop) {
		format(rtnl_route_nh_get_gateway(hop), to->gateway);
		name_of(rtnl_route_nh_get_ifindex(hop), to->interface);
	}
	to->metric = rtnl_route_get_priority(route);
	to->scope = rtnl_route_get_scope(route);
	to->mtu = rtnl_route_get_metric(route, RTAX_MTU, &mtu) ? 0 : mtu;
	return true;
}

int net_routes(struct net_route **list, size_t *n, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_ROUTE, err);
	struct nl_cache *cache = NULL;
	struct nl_object *o;
	void *room = NULL;
	int ret;

	*n = 0;
	if (!sk)
		return err->code;
	ret = rtnl_route_alloc_cache(sk, AF_UNSPEC, 0, &cache);
	if (ret)
		return netlink_fail(err, ret, "reading the routes");
	ret = prepare(cache, sizeof(**list), &room, err);
	*list = room;
	for (o = nl_cache_get_first(cache); !ret && o; o = nl_cache_get_next(o))
		if (take_route((struct rtnl_route *)o, *list + *n))
			++*n;
	nl_cache_free(cache);
	return ret;
}

static void take_neighbor(struct rtnl_neigh *neigh, struct net_neighbor *to)
{
	char state[64];

	format(rtnl_neigh_get_dst(neigh), to->address);
	format(rtnl_neigh_get_lladdr(neigh), to->mac);
	name_of(rtnl_neigh_get_ifindex(neigh), to->interface);
	to->state_bits = rtnl_neigh_get_state(neigh);
	to->flags = (int)rtnl_neigh_get_flags(neigh);
	rtnl_neigh_state2str(to->state_bits, state, sizeof(state));
	agent_log_printable(state, to->state, sizeof(to->state));
}

/* Addresses that were resolved or tried; not those that a device needs not resolve. */
static bool is_neighbor(struct rtnl_neigh *neigh)
{
	int family = rtnl_neigh_get_family(neigh);

	return (family == AF_INET || family == AF_INET6) &&
	       !(rtnl_neigh_get_state(neigh) & NUD_NOARP);
}

int net_neighbors(struct net_neighbor **list, size_t *n, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_ROUTE, err);
	struct nl_cache *cache = NULL;
	struct nl_object *o;
	void *room = NULL;
	int ret;

	*n = 0;
	if (!sk)
		return err->code;
	ret = rtnl_neigh_alloc_cache(sk, &cache);
	if (ret)
		return netlink_fail(err, ret, "reading the neighbours");
	ret = prepare(cache, sizeof(**list), &room, err);
	*list = room;
	for (o = nl_cache_get_first(cache); !ret && o; o = nl_cache_get_next(o))
		if (is_neighbor((struct rtnl_neigh *)o))
			take_neighbor((struct rtnl_neigh *)o, *list + (*n)++);
	nl_cache_free(cache);
	return ret;
}
