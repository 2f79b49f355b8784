/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "text.h"
#include "verbs.h"
#include "vmctl/agent/v1/network.pb-c.h"

#define ADDRESSES_MAX 32

typedef unsigned long long ull;

struct net {
	const char *interface;
	uint64_t mtu;
	bool up, down, vsock;
	char *add[ADDRESSES_MAX], *remove[ADDRESSES_MAX];
	size_t n_add, n_remove;
	const char *add_route, *remove_route, *via;
};

static int set_interface(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct net *)into)->interface = value;
	return 0;
}

static int set_mtu(void *into, const char *value, struct error *err)
{
	if (text_number(value, 1, UINT32_MAX, &((struct net *)into)->mtu))
		return error_set(err, -EINVAL, "--mtu %s: give a number of bytes",
				 value);
	return 0;
}

static int set_up(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct net *)into)->up = true;
	return 0;
}

static int set_down(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct net *)into)->down = true;
	return 0;
}

static int set_vsock(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct net *)into)->vsock = true;
	return 0;
}

static int append(char **list, size_t *n, const char *value, struct error *err)
{
	if (*n == ADDRESSES_MAX)
		return error_set(err, -EINVAL, "more than %d addresses", ADDRESSES_MAX);
	list[(*n)++] = (char *)value;
	return 0;
}

static int set_add(void *into, const char *value, struct error *err)
{
	struct net *net = into;

	return append(net->add, &net->n_add, value, err);
}

static int set_remove(void *into, const char *value, struct error *err)
{
	struct net *net = into;

	return append(net->remove, &net->n_remove, value, err);
}

static int set_add_route(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct net *)into)->add_route = value;
	return 0;
}

static int set_remove_route(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct net *)into)->remove_route = value;
	return 0;
}

static int set_via(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct net *)into)->via = value;
	return 0;
}

static const struct option_spec specs[] = {
	{"vsock", NULL, "the guest's vsock sockets instead", 0, set_vsock},
	{"interface", "NAME", "the one to change, or a route's", 0, set_interface},
	{"mtu", "BYTES", "set its MTU", 0, set_mtu},
	{"add", "ADDRESS", "give it an address, such as 10.0.0.2/24", 0, set_add},
	{"remove", "ADDRESS", "take one from it", 0, set_remove},
	{"up", NULL, "bring it up", 0, set_up},
	{"down", NULL, "take it down", 0, set_down},
	{"add-route", "NET", "a route to 10.1.0.0/16, say, or default", 0,
	 set_add_route},
	{"remove-route", "NET", "take one away", 0, set_remove_route},
	{"via", "GATEWAY", "the route's gateway", 0, set_via},
	{NULL, NULL, NULL, 0, NULL},
};

static const struct options_syntax syntax = {
	.verb = "net",
	.operands = "VM",
	.about = "Shows the guest's interfaces with their addresses and traffic, its "
		 "routes\n"
		 "and neighbours; or changes an interface or a route.",
	.own = specs,
	.min_args = 1,
	.max_args = 1,
	.changes = true,
};

static void print_interface(const Vmctl__Agent__V1__NetworkInterface *i)
{
	printf("%-12s %-5s %-8s mtu %-6u %-17s", i->name, i->up ? "up" : "down",
	       i->state, i->mtu, *i->mac ? i->mac : "-");
	for (size_t a = 0; a < i->n_addresses; a++)
		printf(" %s", i->addresses[a]);
	putchar('\n');
	if (i->statistics)
		printf("%-12s received %llu bytes, %llu packets, %llu dropped; sent "
		       "%llu bytes, %llu packets, %llu dropped\n",
		       "", (ull)i->statistics->rx_bytes, (ull)i->statistics->rx_packets,
		       (ull)i->statistics->rx_dropped, (ull)i->statistics->tx_bytes,
		       (ull)i->statistics->tx_packets, (ull)i->statistics->tx_dropped);
}

static void print_network(const Vmctl__Agent__V1__GetNetworkResponse *n)
{
	size_t i;

	for (i = 0; i < n->n_interfaces; i++)
		print_interface(n->interfaces[i]);
	for (i = 0; i < n->n_routes; i++) {
		const Vmctl__Agent__V1__NetworkRoute *r = n->routes[i];

		printf("%sroute %s%s", i ? "" : "\n", r->destination,
		       r->ipv6 && !strcmp(r->destination, "default") ? " (IPv6)" : "");
		if (*r->gateway)
			printf(" via %s", r->gateway);
		if (*r->interface)
			printf(" dev %s", r->interface);
		if (*r->source)
			printf(" src %s", r->source);
		printf(" metric %u\n", r->metric);
	}
	for (i = 0; i < n->n_neighbors; i++) {
		const Vmctl__Agent__V1__NetworkNeighbor *b = n->neighbors[i];

		printf("%sneighbour %s %s dev %s %s\n", i ? "" : "\n", b->address,
		       *b->mac ? b->mac : "-", b->interface, b->state);
	}
}

static enum status ask_network(const struct vm *vm, deadline_t deadline,
			       ProtobufCMessage **m, struct report *r)
{
	Vmctl__Agent__V1__GetNetworkRequest request =
		VMCTL__AGENT__V1__GET_NETWORK_REQUEST__INIT;
	struct ask ask = {
		.method = "GetNetwork",
		.request = &request.base,
		.type = &vmctl__agent__v1__get_network_response__descriptor,
	};

	return ask_agent(&ask, vm, deadline, m, r);
}

static void show(const struct vm *vm, deadline_t deadline, struct report *r)
{
	ProtobufCMessage *m;

	if (ask_network(vm, deadline, &m, r) != STATUS_OK)
		return;
	ask_report(r, m);
	if (!r->options->json)
		print_network((const Vmctl__Agent__V1__GetNetworkResponse *)m);
	message_free(m);
}

static const char *format_end(uint32_t cid, uint32_t port, char text[static 32])
{
	char number[12];

	snprintf(number, sizeof(number), "%u", port);
	if (cid == UINT32_MAX)
		snprintf(text, 32, "*:%s", port == UINT32_MAX ? "*" : number);
	else
		snprintf(text, 32, "%u:%s", cid, port == UINT32_MAX ? "*" : number);
	return text;
}

static void show_vsock(const struct vm *vm, deadline_t deadline, struct report *r)
{
	Vmctl__Agent__V1__ListVsockSocketsRequest request =
		VMCTL__AGENT__V1__LIST_VSOCK_SOCKETS_REQUEST__INIT;
	struct ask ask = {
		.method = "ListVsockSockets",
		.request = &request.base,
		.type = &vmctl__agent__v1__list_vsock_sockets_response__descriptor,
	};
	const Vmctl__Agent__V1__ListVsockSocketsResponse *answer;
	ProtobufCMessage *m;

	if (ask_agent(&ask, vm, deadline, &m, r) != STATUS_OK)
		return;
	answer = (const Vmctl__Agent__V1__ListVsockSocketsResponse *)m;
	ask_report(r, m);
	if (!r->options->json)
		printf("%-10s %-12s %-22s %s\n", "TYPE", "STATE", "LOCAL", "PEER");
	for (size_t i = 0; !r->options->json && i < answer->n_sockets; i++) {
		const Vmctl__Agent__V1__VsockSocket *s = answer->sockets[i];
		char local[32], peer[32];

		printf("%-10s %-12s %-22s %s\n", s->type, s->state,
		       format_end(s->local_cid, s->local_port, local),
		       format_end(s->peer_cid, s->peer_port, peer));
	}
	message_free(m);
}

/* With --dry-run: fails as the change would, as far as that is known before. */
static enum status look(const char *interface, const struct vm *vm, deadline_t deadline,
			struct report *r)
{
	const Vmctl__Agent__V1__GetNetworkResponse *n;
	ProtobufCMessage *m;
	size_t i = 0;

	if (!r->options->dry_run || !interface ||
	    ask_network(vm, deadline, &m, r) != STATUS_OK)
		return r->status;
	n = (const Vmctl__Agent__V1__GetNetworkResponse *)m;
	while (i < n->n_interfaces && strcmp(n->interfaces[i]->name, interface))
		i++;
	if (i == n->n_interfaces)
		report_fail(r, STATUS_REFUSED, "there is no interface '%s'", interface);
	message_free(m);
	return r->status;
}

static void send_change(const char *method, const ProtobufCMessage *request,
			const ProtobufCMessageDescriptor *type, const struct vm *vm,
			deadline_t deadline, struct report *r)
{
	struct ask ask = {
		.method = method,
		.request = request,
		.type = type,
		.changes = true,
	};
	ProtobufCMessage *m;

	ask_agent(&ask, vm, deadline, &m, r);
	message_free(m);
}

static void change_interface(const struct net *net, const struct vm *vm,
			     deadline_t deadline, struct report *r)
{
	Vmctl__Agent__V1__SetInterfaceRequest request =
		VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__INIT;

	request.name = (char *)net->interface;
	request.mtu = (uint32_t)net->mtu;
	request.add_addresses = (char **)net->add;
	request.n_add_addresses = net->n_add;
	request.remove_addresses = (char **)net->remove;
	request.n_remove_addresses = net->n_remove;
	if (net->up)
		request.link = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_UP;
	else if (net->down)
		request.link = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_DOWN;
	send_change("SetInterface", &request.base,
		    &vmctl__agent__v1__set_interface_response__descriptor, vm, deadline,
		    r);
}

static void change_route(const struct net *net, const struct vm *vm,
			 deadline_t deadline, struct report *r)
{
	Vmctl__Agent__V1__ChangeRouteRequest request =
		VMCTL__AGENT__V1__CHANGE_ROUTE_REQUEST__INIT;
	Vmctl__Agent__V1__NetworkRoute route = VMCTL__AGENT__V1__NETWORK_ROUTE__INIT;

	route.destination =
		(char *)(net->add_route ? net->add_route : net->remove_route);
	if (net->via)
		route.gateway = (char *)net->via;
	if (net->interface)
		route.interface = (char *)net->interface;
	request.route = &route;
	send_change(net->add_route ? "AddRoute" : "RemoveRoute", &request.base,
		    &vmctl__agent__v1__change_route_response__descriptor, vm, deadline,
		    r);
}

/* What is wrong with these options together, or NULL: none is without a meaning. */
static const char *find_fault(const struct net *net, bool link, bool route)
{
	if (net->vsock + link + route > 1 || (net->up && net->down) ||
	    (net->add_route && net->remove_route))
		return "one thing at a time: --vsock, a change of an interface, or of "
		       "a route";
	if (net->vsock && (net->interface || net->via))
		return "--vsock shows all sockets, and goes with neither --interface "
		       "nor --via";
	if (net->via && !route)
		return "--via is a route's: it goes with --add-route or --remove-route";
	if (net->interface && !link && !route)
		return "--interface names the one to change, and goes with --mtu, "
		       "--add, --remove, --up, --down, --add-route or "
		       "--remove-route; without it all are shown";
	if (link && !net->interface)
		return "name the one to change: --interface";
	if (route && !net->via && !net->interface)
		return "say where the route leads: --via, --interface or both";
	return NULL;
}

static void run(const struct net *net, const struct vm *vm, deadline_t deadline,
		struct report *r)
{
	bool link = net->mtu || net->up || net->down || net->n_add || net->n_remove;
	bool route = net->add_route || net->remove_route;
	const char *fault = find_fault(net, link, route);

	if (fault)
		report_fail(r, STATUS_USAGE, "%s", fault);
	else if (net->vsock)
		show_vsock(vm, deadline, r);
	else if ((route || link) && look(net->interface, vm, deadline, r) != STATUS_OK)
		return;
	else if (route)
		change_route(net, vm, deadline, r);
	else if (link)
		change_interface(net, vm, deadline, r);
	else
		show(vm, deadline, r);
}

int net_main(int argc, char **argv)
{
	struct net net = {0};
	struct options options;
	deadline_t deadline;
	struct report r;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &net);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	deadline = deadline_after_ms(options.timeout_ms);
	report_begin(&r, &options, syntax.verb, options.args[0]);
	if (vm_resolve(&vm, options.args[0], NULL, &r) == STATUS_OK)
		run(&net, &vm, deadline, &r);
	return report_finish(&r);
}
