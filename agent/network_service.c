// SPDX-License-Identifier: Apache-2.0
#include "network_service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "guest_vsock.h"
#include "net.h"
#include "net_change.h"
#include "vmctl/agent/v1/network.pb-c.h"

static Vmctl__Agent__V1__NetworkInterface *interface_message(
	const struct net_interface *from)
{
	Vmctl__Agent__V1__NetworkInterface *to = agent_answer_alloc(1, sizeof(*to));
	Vmctl__Agent__V1__NetworkStatistics *statistics =
		agent_answer_alloc(1, sizeof(*statistics));

	vmctl__agent__v1__network_interface__init(to);
	vmctl__agent__v1__network_statistics__init(statistics);
	to->index = from->index;
	to->name = (char *)from->name;
	to->mac = (char *)from->mac;
	to->mtu = from->mtu;
	to->up = from->up;
	to->state = (char *)from->state;
	to->kind = (char *)from->kind;
	to->addresses = agent_answer_alloc(from->n_addresses, sizeof(*to->addresses));
	for (size_t i = 0; i < from->n_addresses; i++)
		to->addresses[to->n_addresses++] = from->addresses[i];
	statistics->rx_bytes = from->rx_bytes;
	statistics->rx_packets = from->rx_packets;
	statistics->rx_errors = from->rx_errors;
	statistics->rx_dropped = from->rx_dropped;
	statistics->tx_bytes = from->tx_bytes;
	statistics->tx_packets = from->tx_packets;
	statistics->tx_errors = from->tx_errors;
	statistics->tx_dropped = from->tx_dropped;
	to->statistics = statistics;
	return to;
}

static Vmctl__Agent__V1__NetworkRoute *route_message(const struct net_route *from)
{
	Vmctl__Agent__V1__NetworkRoute *to = agent_answer_alloc(1, sizeof(*to));

	vmctl__agent__v1__network_route__init(to);
	to->destination = (char *)from->destination;
	to->gateway = (char *)from->gateway;
	to->interface = (char *)from->interface;
	to->source = (char *)from->source;
	to->metric = from->metric;
	to->ipv6 = from->ipv6;
	return to;
}

static Vmctl__Agent__V1__NetworkNeighbor *neighbor_message(
	const struct net_neighbor *from)
{
	Vmctl__Agent__V1__NetworkNeighbor *to = agent_answer_alloc(1, sizeof(*to));

	vmctl__agent__v1__network_neighbor__init(to);
	to->address = (char *)from->address;
	to->mac = (char *)from->mac;
	to->interface = (char *)from->interface;
	to->state = (char *)from->state;
	return to;
}

static int make_network(struct agent_answer *answer, const struct agent *agent,
			const ProtobufCMessage *request, struct error *err)
{
	Vmctl__Agent__V1__GetNetworkResponse r =
		VMCTL__AGENT__V1__GET_NETWORK_RESPONSE__INIT;
	struct net_interface *interfaces;
	struct net_neighbor *neighbors;
	struct net_route *routes;
	int ret;

	(void)agent;
	(void)request;
	ret = net_interfaces(&interfaces, &r.n_interfaces, err);
	if (!ret)
		ret = net_routes(&routes, &r.n_routes, err);
	if (!ret)
		ret = net_neighbors(&neighbors, &r.n_neighbors, err);
	if (ret)
		return ret;
	r.interfaces = agent_answer_alloc(r.n_interfaces, sizeof(*r.interfaces));
	for (size_t i = 0; i < r.n_interfaces; i++)
		r.interfaces[i] = interface_message(&interfaces[i]);
	r.routes = agent_answer_alloc(r.n_routes, sizeof(*r.routes));
	for (size_t i = 0; i < r.n_routes; i++)
		r.routes[i] = route_message(&routes[i]);
	r.neighbors = agent_answer_alloc(r.n_neighbors, sizeof(*r.neighbors));
	for (size_t i = 0; i < r.n_neighbors; i++)
		r.neighbors[i] = neighbor_message(&neighbors[i]);
	return agent_answer_send(answer, &r.base, err);
}

static int make_set(struct agent_answer *answer, const struct agent *agent,
		    const ProtobufCMessage *message, struct error *err)
{
	const Vmctl__Agent__V1__SetInterfaceRequest *request =
		(const Vmctl__Agent__V1__SetInterfaceRequest *)message;
	Vmctl__Agent__V1__SetInterfaceResponse response =
		VMCTL__AGENT__V1__SET_INTERFACE_RESPONSE__INIT;
	struct net_change change = {
		.interface = request->name,
		.mtu = request->mtu,
		.remove = request->remove_addresses,
		.n_remove = request->n_remove_addresses,
		.add = request->add_addresses,
		.n_add = request->n_add_addresses,
	};
	int ret;

	(void)agent;
	if (request->link == VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_UP)
		change.link = NET_LINK_UP;
	else if (request->link ==
		 VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_DOWN)
		change.link = NET_LINK_DOWN;
	ret = net_change_interface(&change, err);
	return ret ? ret : agent_answer_send(answer, &response.base, err);
}

static int take_word(char *to, size_t size, const char *from, struct error *err)
{
	if (strlen(from) >= size)
		return error_set(err, -EINVAL, "'%.80s' is too long", from);
	strcpy(to, from);
	return 0;
}

static int take_route(const Vmctl__Agent__V1__NetworkRoute *from, struct net_route *to,
		      struct error *err)
{
	int ret;

	if (!from)
		return error_set(err, -EINVAL, "there is no route in the request");
	*to = (struct net_route){.metric = from->metric, .ipv6 = from->ipv6};
	ret = take_word(to->destination, sizeof(to->destination), from->destination,
			err);
	if (!ret)
		ret = take_word(to->gateway, sizeof(to->gateway), from->gateway, err);
	if (!ret)
		ret = take_word(to->source, sizeof(to->source), from->source, err);
	if (!ret)
		ret = take_word(to->interface, sizeof(to->interface), from->interface,
				err);
	return ret;
}

static int make_route(struct agent_answer *answer, const ProtobufCMessage *message,
		      int (*change)(const struct net_route *route, struct error *err),
		      struct error *err)
{
	Vmctl__Agent__V1__ChangeRouteResponse response =
		VMCTL__AGENT__V1__CHANGE_ROUTE_RESPONSE__INIT;
	struct net_route route;
	int ret = take_route(
		((const Vmctl__Agent__V1__ChangeRouteRequest *)message)->route, &route,
		err);

	if (!ret)
		ret = change(&route, err);
	return ret ? ret : agent_answer_send(answer, &response.base, err);
}

static int make_add_route(struct agent_answer *answer, const struct agent *agent,
			  const ProtobufCMessage *message, struct error *err)
{
	(void)agent;
	return make_route(answer, message, net_add_route, err);
}

static int make_remove_route(struct agent_answer *answer, const struct agent *agent,
			     const ProtobufCMessage *message, struct error *err)
{
	(void)agent;
	return make_route(answer, message, net_remove_route, err);
}

static int make_vsock(struct agent_answer *answer, const struct agent *agent,
		      const ProtobufCMessage *request, struct error *err)
{
	Vmctl__Agent__V1__ListVsockSocketsResponse r =
		VMCTL__AGENT__V1__LIST_VSOCK_SOCKETS_RESPONSE__INIT;
	struct guest_vsock *list;
	int ret = guest_vsock_list(&list, &r.n_sockets, err);

	(void)agent;
	(void)request;
	if (ret)
		return ret;
	r.sockets = agent_answer_alloc(r.n_sockets, sizeof(*r.sockets));
	for (size_t i = 0; i < r.n_sockets; i++) {
		Vmctl__Agent__V1__VsockSocket *to = agent_answer_alloc(1, sizeof(*to));

		vmctl__agent__v1__vsock_socket__init(to);
		to->type = (char *)list[i].type;
		to->state = (char *)list[i].state;
		to->local_cid = list[i].local_cid;
		to->local_port = list[i].local_port;
		to->peer_cid = list[i].peer_cid;
		to->peer_port = list[i].peer_port;
		to->inode = list[i].inode;
		r.sockets[i] = to;
	}
	return agent_answer_send(answer, &r.base, err);
}

static void get_network(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_network);
}

static void set_interface(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_set);
}

static void add_route(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_add_route);
}

static void remove_route(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_remove_route);
}

static void list_vsock(struct agent_call *call, const ProtobufCMessage *request)
{
	agent_answer_start(call, request, make_vsock);
}

static const struct agent_method methods[] = {
	{
		.name = "GetNetwork",
		.request = &vmctl__agent__v1__get_network_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__get_network_response__descriptor,
		.handle = get_network,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "SetInterface",
		.request = &vmctl__agent__v1__set_interface_request__descriptor,
		.request_max = 16384,
		.response = &vmctl__agent__v1__set_interface_response__descriptor,
		.changes = true,
		.handle = set_interface,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "AddRoute",
		.request = &vmctl__agent__v1__change_route_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__change_route_response__descriptor,
		.changes = true,
		.handle = add_route,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "RemoveRoute",
		.request = &vmctl__agent__v1__change_route_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__change_route_response__descriptor,
		.changes = true,
		.handle = remove_route,
		.cancel = agent_answer_cancel,
	},
	{
		.name = "ListVsockSockets",
		.request = &vmctl__agent__v1__list_vsock_sockets_request__descriptor,
		.request_max = 4096,
		.response = &vmctl__agent__v1__list_vsock_sockets_response__descriptor,
		.handle = list_vsock,
		.cancel = agent_answer_cancel,
	},
};

const struct agent_service network_service = {
	.name = "vmctl.agent.v1.GuestAgent",
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
