// SPDX-License-Identifier: Apache-2.0
#include "net_change.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>
#include <strings.h>

#include "netlink.h"

/* An address of a family (AF_UNSPEC: either), which the caller puts. */
static struct nl_addr *parse(const char *text, int family, struct error *err)
{
	struct nl_addr *addr = NULL;
	int ret;

	if (strlen(text) >= NET_ADDRESS_MAX) {
		error_set(err, -EINVAL, "an address of %zu bytes", strlen(text));
		return NULL;
	}
	ret = nl_addr_parse(text, family, &addr);
	if (!ret && family == AF_UNSPEC && nl_addr_get_family(addr) != AF_INET &&
	    nl_addr_get_family(addr) != AF_INET6) {
		nl_addr_put(addr);
		ret = -1;
	}
	if (ret) {
		error_set(err, -EINVAL, "'%s' is no address here", text);
		return NULL;
	}
	return addr;
}

static int find(const char *name, int *index, struct error *err)
{
	*index = strlen(name) < IF_NAMESIZE ? (int)if_nametoindex(name) : 0;
	if (!*index)
		return error_set(err, -ENOENT, "there is no interface '%.32s'", name);
	return 0;
}

static int change_address(struct nl_sock *sk, int index, const char *text, bool add,
			  struct error *err)
{
	struct nl_addr *local = parse(text, AF_UNSPEC, err);
	struct rtnl_addr *addr;
	int ret;

	if (!local)
		return err->code;
	addr = rtnl_addr_alloc();
	if (!addr) {
		nl_addr_put(local);
		return error_set(err, -ENOMEM, "no memory for an address");
	}
	rtnl_addr_set_ifindex(addr, index);
	ret = rtnl_addr_set_local(addr, local);
	if (!ret && add)
		ret = rtnl_addr_add(sk, addr, NLM_F_REPLACE | NLM_F_CREATE);
	else if (!ret)
		ret = rtnl_addr_delete(sk, addr, 0);
	rtnl_addr_put(addr);
	nl_addr_put(local);
	if (!ret || (add && netlink_errno(ret) == EEXIST))
		return 0;
	return netlink_fail(err, ret, "%s address %s", add ? "adding" : "removing",
			    text);
}

/* Sends what was set in `change` of a link. */
static int change_link(struct nl_sock *sk, int index, struct rtnl_link *change,
		       const char *what, struct error *err)
{
	struct rtnl_link *old = rtnl_link_alloc();
	int ret = -NLE_NOMEM;

	if (old && change) {
		rtnl_link_set_ifindex(old, index);
		rtnl_link_set_family(old, AF_UNSPEC);
		ret = rtnl_link_change(sk, old, change, 0);
	}
	rtnl_link_put(old);
	rtnl_link_put(change);
	return ret ? netlink_fail(err, ret, "setting the %s", what) : 0;
}

static int set_mtu(struct nl_sock *sk, int index, uint32_t mtu, struct error *err)
{
	struct rtnl_link *change = rtnl_link_alloc();

	if (change)
		rtnl_link_set_mtu(change, mtu);
	return change_link(sk, index, change, "MTU", err);
}

static int set_name(struct nl_sock *sk, int index, const char *name, struct error *err)
{
	struct rtnl_link *change;

	if (!*name || strlen(name) >= IF_NAMESIZE)
		return error_set(err, -EINVAL, "'%.32s' can be no interface's name",
				 name);
	change = rtnl_link_alloc();
	if (change)
		rtnl_link_set_name(change, name);
	return change_link(sk, index, change, "name", err);
}

static int set_link(struct nl_sock *sk, int index, enum net_link link,
		    struct error *err)
{
	struct rtnl_link *change = rtnl_link_alloc();

	if (change && link == NET_LINK_UP)
		rtnl_link_set_flags(change, IFF_UP);
	else if (change)
		rtnl_link_unset_flags(change, IFF_UP);
	return change_link(sk, index, change, "link", err);
}

int net_change_interface(const struct net_change *change, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_ROUTE, err);
	int index, ret;
	size_t i;

	if (!sk)
		return err->code;
	ret = find(change->interface, &index, err);
	if (!ret && change->new_name && strcmp(change->new_name, change->interface))
		ret = set_name(sk, index, change->new_name, err);
	if (!ret && change->mtu)
		ret = set_mtu(sk, index, change->mtu, err);
	for (i = 0; !ret && i < change->n_remove; i++)
		ret = change_address(sk, index, change->remove[i], false, err);
	for (i = 0; !ret && i < change->n_add; i++)
		ret = change_address(sk, index, change->add[i], true, err);
	if (!ret && change->link != NET_LINK_KEEP)
		ret = set_link(sk, index, change->link, err);
	return ret;
}

int net_find_by_mac(const char *mac, char name[NET_NAME_MAX], struct error *err)
{
	struct net_interface *list;
	size_t n, i;
	int ret = net_interfaces(&list, &n, err);

	if (ret)
		return ret;
	ret = -ENOENT;
	for (i = 0; ret && i < n; i++)
		if (*list[i].mac && !strcasecmp(list[i].mac, mac)) {
			strcpy(name, list[i].name);
			ret = 0;
		}
	net_interfaces_free(list, n);
	/* On these words Kata's runtime asks again: a device may be on its way. */
	if (ret)
		error_set(err, ret, "Link not found (Address: %.32s)", mac);
	return ret;
}

/* A hop, as far as the route has one; it goes to the route. */
static int set_hop(struct rtnl_route *route, const struct net_route *from, int family,
		   struct error *err)
{
	struct rtnl_nexthop *hop;
	struct nl_addr *gateway;
	int index = 0, ret = 0;

	if (*from->interface)
		ret = find(from->interface, &index, err);
	if (ret)
		return ret;
	hop = rtnl_route_nh_alloc();
	if (!hop)
		return error_set(err, -ENOMEM, "no memory for a route");
	if (index)
		rtnl_route_nh_set_ifindex(hop, index);
	if (*from->gateway) {
		gateway = parse(from->gateway, family, err);
		if (!gateway) {
			rtnl_route_nh_free(hop);
			return err->code;
		}
		rtnl_route_nh_set_gateway(hop, gateway);
		nl_addr_put(gateway);
	}
	rtnl_route_add_nexthop(route, hop);
	return 0;
}

static struct nl_addr *parse_destination(const struct net_route *from,
					 struct error *err)
{
	if (!*from->destination || !strcmp(from->destination, "default"))
		return parse(from->ipv6 || strchr(from->gateway, ':') ? "::/0"
								      : "0.0.0.0/0",
			     AF_UNSPEC, err);
	return parse(from->destination, AF_UNSPEC, err);
}

static int fill_route(struct rtnl_route *route, const struct net_route *from,
		      struct error *err)
{
	struct nl_addr *destination = parse_destination(from, err), *source;
	int family, ret;

	if (!destination)
		return err->code;
	family = nl_addr_get_family(destination);
	ret = rtnl_route_set_dst(route, destination);
	nl_addr_put(destination);
	if (ret)
		return netlink_fail(err, ret, "route to %s", from->destination);
	if (*from->source) {
		source = parse(from->source, family, err);
		if (!source)
			return err->code;
		rtnl_route_set_pref_src(route, source);
		nl_addr_put(source);
	}
	if (from->metric)
		rtnl_route_set_priority(route, from->metric);
	if (from->mtu)
		rtnl_route_set_metric(route, RTAX_MTU, from->mtu);
	if (from->scope || family == AF_INET6)
		rtnl_route_set_scope(route, from->scope);
	else
		rtnl_route_set_scope(route, *from->gateway ? RT_SCOPE_UNIVERSE
							   : RT_SCOPE_LINK);
	return set_hop(route, from, family, err);
}

static int change_route(const struct net_route *from, bool add, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_ROUTE, err);
	struct rtnl_route *route;
	int ret;

	if (!sk)
		return err->code;
	if (!*from->gateway && !*from->interface)
		return error_set(err, -EINVAL,
				 "a route needs a gateway or an interface");
	route = rtnl_route_alloc();
	if (!route)
		return error_set(err, -ENOMEM, "no memory for a route");
	ret = fill_route(route, from, err);
	if (ret) {
		rtnl_route_put(route);
		return ret;
	}
	if (add)
		ret = rtnl_route_add(sk, route, NLM_F_REPLACE);
	else
		ret = rtnl_route_delete(sk, route, 0);
	rtnl_route_put(route);
	/* ESRCH of the kernel is NLE_OBJ_NOTFOUND here. */
	if (!ret || (!add && netlink_errno(ret) == ENOENT))
		return 0;
	return netlink_fail(err, ret, "%s the route to %s", add ? "adding" : "removing",
			    from->destination);
}

int net_add_route(const struct net_route *route, struct error *err)
{
	return change_route(route, true, err);
}

int net_remove_route(const struct net_route *route, struct error *err)
{
	return change_route(route, false, err);
}

static int fill_neighbor(struct rtnl_neigh *neigh, const struct net_neighbor *from,
			 struct error *err)
{
	struct nl_addr *address, *mac;
	int index, ret = find(from->interface, &index, err);

	if (ret)
		return ret;
	address = parse(from->address, AF_UNSPEC, err);
	if (!address)
		return err->code;
	rtnl_neigh_set_ifindex(neigh, index);
	rtnl_neigh_set_dst(neigh, address);
	nl_addr_put(address);
	rtnl_neigh_set_state(neigh,
			     from->state_bits ? from->state_bits : NUD_PERMANENT);
	rtnl_neigh_set_flags(neigh, from->flags);
	if (!*from->mac)
		return 0;
	mac = parse(from->mac, AF_LLC, err);
	if (!mac)
		return err->code;
	rtnl_neigh_set_lladdr(neigh, mac);
	nl_addr_put(mac);
	return 0;
}

int net_add_neighbor(const struct net_neighbor *neighbor, struct error *err)
{
	cleanup_netlink struct nl_sock *sk = netlink_open(NETLINK_ROUTE, err);
	struct rtnl_neigh *neigh;
	int ret;

	if (!sk)
		return err->code;
	neigh = rtnl_neigh_alloc();
	if (!neigh)
		return error_set(err, -ENOMEM, "no memory for a neighbour");
	ret = fill_neighbor(neigh, neighbor, err);
	if (!ret) {
		ret = rtnl_neigh_add(sk, neigh, NLM_F_CREATE | NLM_F_REPLACE);
		if (ret)
			ret = netlink_fail(err, ret, "adding the neighbour %s",
					   neighbor->address);
	}
	rtnl_neigh_put(neigh);
	return ret;
}
