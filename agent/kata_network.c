// SPDX-License-Identifier: Apache-2.0
#include "kata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kata/agent.pb-c.h"
#include "net.h"
#include "net_change.h"

/* "10.0.0.1/24" in Kata's two halves. */
static Grpc__IPAddress *address_message(const char *text)
{
	Grpc__IPAddress *to = agent_answer_alloc(1, sizeof(*to));
	char *address = agent_answer_text(text), *slash = strchr(address, '/');
	bool ipv6 = strchr(address, ':');

	grpc__ipaddress__init(to);
	to->family = ipv6 ? GRPC__IPFAMILY__v6 : GRPC__IPFAMILY__v4;
	to->address = address;
	to->mask = slash ? slash + 1 : agent_answer_text(ipv6 ? "128" : "32");
	if (slash)
		*slash = '\0';
	return to;
}

static Grpc__Interface *interface_message(const struct net_interface *from)
{
	Grpc__Interface *to = agent_answer_alloc(1, sizeof(*to));

	grpc__interface__init(to);
	to->device = (char *)from->name;
	to->name = (char *)from->name;
	to->mtu = from->mtu;
	to->hw_addr = (char *)from->mac;
	to->type = (char *)from->kind;
	to->raw_flags = from->flags;
	to->ip_addresses =
		agent_answer_alloc(from->n_addresses, sizeof(*to->ip_addresses));
	for (size_t i = 0; i < from->n_addresses; i++)
		to->ip_addresses[to->n_ip_addresses++] =
			address_message(from->addresses[i]);
	return to;
}

static int make_interfaces(struct agent_answer *answer, const struct agent *agent,
			   const ProtobufCMessage *message, struct error *err)
{
	Grpc__Interfaces response = GRPC__INTERFACES__INIT;
	struct net_interface *list;
	int ret = net_interfaces(&list, &response.n_interfaces, err);

	(void)agent;
	(void)message;
	if (ret)
		return ret;
	response.interfaces =
		agent_answer_alloc(response.n_interfaces, sizeof(*response.interfaces));
	for (size_t i = 0; i < response.n_interfaces; i++)
		response.interfaces[i] = interface_message(&list[i]);
	return agent_answer_send(answer, &response.base, err);
}

/* Kata's address as one text. */
static int join_address(const Grpc__IPAddress *from, char to[NET_ADDRESS_MAX],
			struct error *err)
{
	int n = snprintf(to, NET_ADDRESS_MAX, "%s%s%s", from->address,
			 *from->mask ? "/" : "", from->mask);

	if (n >= NET_ADDRESS_MAX)
		return error_set(err, -EINVAL, "an address of %d bytes", n);
	return 0;
}

/* Those of the interface now, but for IPv6's own of the link, which are to go. */
static int old_addresses(const char *name, char ***old, size_t *n, struct error *err)
{
	struct net_interface *list;
	size_t n_list, i, j;
	int ret = net_interfaces(&list, &n_list, err);

	*n = 0;
	for (i = 0; !ret && i < n_list; i++) {
		if (strcmp(list[i].name, name))
			continue;
		*old = agent_answer_alloc(list[i].n_addresses, sizeof(**old));
		for (j = 0; j < list[i].n_addresses; j++)
			if (strncmp(list[i].addresses[j], "fe80:", 5))
				(*old)[(*n)++] = list[i].addresses[j];
	}
	return ret;
}

static int update_interface(const Grpc__Interface *from, struct error *err)
{
	struct net_change change = {.link = NET_LINK_UP, .mtu = from->mtu};
	char(*added)[NET_ADDRESS_MAX] =
		agent_answer_alloc(from->n_ip_addresses, sizeof(*added));
	char **add = agent_answer_alloc(from->n_ip_addresses, sizeof(*add));
	char **old = NULL, name[NET_NAME_MAX];
	int ret = 0;

	if (from->mtu > UINT32_MAX)
		return error_set(err, -EINVAL, "an MTU of %llu",
				 (unsigned long long)from->mtu);
	for (size_t i = 0; !ret && i < from->n_ip_addresses; i++) {
		ret = join_address(from->ip_addresses[i], added[i], err);
		add[i] = added[i];
	}
	if (!ret)
		ret = net_find_by_mac(from->hw_addr, name, err);
	if (!ret)
		ret = old_addresses(name, &old, &change.n_remove, err);
	if (ret)
		return ret;
	change.interface = name;
	change.new_name = *from->name ? from->name : NULL;
	change.remove = old;
	change.add = add;
	change.n_add = from->n_ip_addresses;
	/* The kernel lets only a link that is down have another name. */
	if (change.new_name && strcmp(change.new_name, name)) {
		const struct net_change down = {.interface = name,
						.link = NET_LINK_DOWN};

		ret = net_change_interface(&down, err);
	}
	return ret ? ret : net_change_interface(&change, err);
}

static int make_update_interface(struct agent_answer *answer, const struct agent *agent,
				 const ProtobufCMessage *message, struct error *err)
{
	const Grpc__Interface *interface =
		((const Grpc__UpdateInterfaceRequest *)message)->interface;
	int ret;

	(void)agent;
	if (!interface)
		return error_set(err, -EINVAL, "there is no interface in the request");
	ret = update_interface(interface, err);
	return ret ? ret : agent_answer_send(answer, &interface->base, err);
}

static Grpc__Route *route_message(const struct net_route *from)
{
	Grpc__Route *to = agent_answer_alloc(1, sizeof(*to));

	grpc__route__init(to);
	/* In Kata's words the default route has no destination. */
	if (strcmp(from->destination, "default"))
		to->dest = (char *)from->destination;
	to->gateway = (char *)from->gateway;
	to->device = (char *)from->interface;
	to->source = (char *)from->source;
	to->scope = from->scope;
	to->family = from->ipv6 ? GRPC__IPFAMILY__v6 : GRPC__IPFAMILY__v4;
	to->mtu = from->mtu;
	return to;
}

static int send_routes(struct agent_answer *answer, struct error *err)
{
	Grpc__Routes response = GRPC__ROUTES__INIT;
	struct net_route *list;
	int ret = net_routes(&list, &response.n_routes, err);

	if (ret)
		return ret;
	response.routes =
		agent_answer_alloc(response.n_routes, sizeof(*response.routes));
	for (size_t i = 0; i < response.n_routes; i++)
		response.routes[i] = route_message(&list[i]);
	return agent_answer_send(answer, &response.base, err);
}

static int make_routes(struct agent_answer *answer, const struct agent *agent,
		       const ProtobufCMessage *message, struct error *err)
{
	(void)agent;
	(void)message;
	return send_routes(answer, err);
}

static int take_route(const Grpc__Route *from, struct net_route *to, struct error *err)
{
	memset(to, 0, sizeof(*to));
	if (strlen(from->dest) >= sizeof(to->destination) ||
	    strlen(from->gateway) >= sizeof(to->gateway) ||
	    strlen(from->source) >= sizeof(to->source) ||
	    strlen(from->device) >= sizeof(to->interface))
		return error_set(err, -EINVAL,
				 "the route to '%.64s' has a word that "
				 "is too long",
				 from->dest);
	strcpy(to->destination, *from->dest ? from->dest : "default");
	strcpy(to->gateway, from->gateway);
	strcpy(to->source, from->source);
	strcpy(to->interface, from->device);
	to->scope = from->scope;
	to->mtu = from->mtu;
	to->ipv6 = from->family == GRPC__IPFAMILY__v6;
	return 0;
}

/* All but IPv6's own of the links. */
static int remove_routes(struct error *err)
{
	struct net_route *list;
	size_t n, i;
	int ret = net_routes(&list, &n, err);

	for (i = 0; !ret && i < n; i++)
		if (strncmp(list[i].destination, "fe80:", 5) &&
		    strncmp(list[i].destination, "ff00:", 5))
			ret = net_remove_route(&list[i], err);
	return ret;
}

/* Those without a gateway come first: gateways are found through them. */
static int add_routes(const struct net_route *routes, size_t n, struct error *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < n; i++)
		if (!*routes[i].gateway)
			ret = net_add_route(&routes[i], err);
	for (size_t i = 0; !ret && i < n; i++)
		if (*routes[i].gateway)
			ret = net_add_route(&routes[i], err);
	return ret;
}

static int make_update_routes(struct agent_answer *answer, const struct agent *agent,
			      const ProtobufCMessage *message, struct error *err)
{
	const Grpc__Routes *request =
		((const Grpc__UpdateRoutesRequest *)message)->routes;
	struct net_route *routes;
	int ret = 0;

	(void)agent;
	if (!request)
		return error_set(err, -EINVAL, "there are no routes in the request");
	routes = agent_answer_alloc(request->n_routes, sizeof(*routes));
	for (size_t i = 0; !ret && i < request->n_routes; i++)
		ret = take_route(request->routes[i], &routes[i], err);
	if (!ret)
		ret = remove_routes(err);
	if (!ret)
		ret = add_routes(routes, request->n_routes, err);
	return ret ? ret : send_routes(answer, err);
}

static int add_neighbor(const Grpc__ARPNeighbor *from, struct error *err)
{
	struct net_neighbor neighbor = {.state_bits = from->state,
					.flags = from->flags};

	if (!from->to_ip_address)
		return error_set(err, -EINVAL, "a neighbour without an address");
	if (strlen(from->to_ip_address->address) >= sizeof(neighbor.address) ||
	    strlen(from->device) >= sizeof(neighbor.interface) ||
	    strlen(from->lladdr) >= sizeof(neighbor.mac))
		return error_set(err, -EINVAL,
				 "a neighbour with a word that is too "
				 "long");
	strcpy(neighbor.address, from->to_ip_address->address);
	strcpy(neighbor.interface, from->device);
	strcpy(neighbor.mac, from->lladdr);
	return net_add_neighbor(&neighbor, err);
}

static int make_neighbors(struct agent_answer *answer, const struct agent *agent,
			  const ProtobufCMessage *message, struct error *err)
{
	const Grpc__ARPNeighbors *neighbors =
		((const Grpc__AddARPNeighborsRequest *)message)->neighbors;
	int ret = 0;

	(void)agent;
	if (!neighbors)
		return error_set(err, -EINVAL,
				 "there are no neighbours in the request");
	for (size_t i = 0; !ret && i < neighbors->n_neighbors; i++)
		ret = add_neighbor(neighbors->neighbors[i], err);
	return ret ? ret : kata_send_empty(answer, err);
}

static void list_interfaces(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_interfaces);
}

static void change_interface(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_update_interface);
}

static void list_routes(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_routes);
}

static void update_routes(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_update_routes);
}

static void add_neighbors(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_neighbors);
}

static const struct agent_method methods[] = {
	{
		.name = "UpdateInterface",
		.request = &grpc__update_interface_request__descriptor,
		.request_max = 65536,
		.response = &grpc__interface__descriptor,
		.changes = true,
		.handle = change_interface,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "ListInterfaces",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__interfaces__descriptor,
		.handle = list_interfaces,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "UpdateRoutes",
		.request = &grpc__update_routes_request__descriptor,
		.request_max = 256 << 10,
		.response = &grpc__routes__descriptor,
		.changes = true,
		.handle = update_routes,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "ListRoutes",
		.request = &grpc__empty__descriptor,
		.request_max = 4096,
		.response = &grpc__routes__descriptor,
		.handle = list_routes,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "AddARPNeighbors",
		.request = &grpc__add_arpneighbors_request__descriptor,
		.request_max = 256 << 10,
		.response = &grpc__empty__descriptor,
		.changes = true,
		.handle = add_neighbors,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service kata_network_service = {
	.name = KATA_AGENT_SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
