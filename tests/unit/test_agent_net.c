// SPDX-License-Identifier: Apache-2.0
/*
 * The network, in a namespace of the test's own: its loopback interface is there
 * everywhere, and nobody else's. Where no namespace can be had, the tests are skipped.
 */
#include "test_agent_common.h"

#include <net/if.h>
#include <sched.h>

#include "kata/agent.pb-c.h"
#include "vmctl/agent/v1/network.pb-c.h"

#define KATA "grpc.AgentService"

typedef Vmctl__Agent__V1__GetNetworkResponse Network;
typedef Vmctl__Agent__V1__SetInterfaceRequest Set;

static bool have_namespace;

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	have_namespace = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
}

static int enter_namespace(void **state)
{
	char map[64];

	(void)state;
	snprintf(map, sizeof(map), "0 %u 1", geteuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 0;
	write_text("/proc/self/uid_map", map);
	return 0;
}

static int start(void **state)
{
	test_services = agent_services_kata;
	return have_namespace ? start_agent(state) : 0;
}

static int stop(void **state)
{
	return have_namespace ? stop_agent(state) : 0;
}

static int dial_or_skip(void **state)
{
	if (!have_namespace)
		skip();
	return dial(*state);
}

static Network *get(int fd, uint32_t id)
{
	send_call(fd, id, SERVICE, "GetNetwork", NULL, 0);
	return take_message(fd, id,
			    &vmctl__agent__v1__get_network_response__descriptor);
}

static const Vmctl__Agent__V1__NetworkInterface *loopback(const Network *network)
{
	for (size_t i = 0; i < network->n_interfaces; i++)
		if (!strcmp(network->interfaces[i]->name, "lo"))
			return network->interfaces[i];
	fail_msg("no loopback interface");
	return NULL;
}

static bool has_address(const Vmctl__Agent__V1__NetworkInterface *interface,
			const char *address)
{
	for (size_t i = 0; i < interface->n_addresses; i++)
		if (!strcmp(interface->addresses[i], address))
			return true;
	return false;
}

static const Vmctl__Agent__V1__NetworkRoute *find_route(const Network *network,
							const char *destination)
{
	for (size_t i = 0; i < network->n_routes; i++)
		if (!strcmp(network->routes[i]->destination, destination))
			return network->routes[i];
	return NULL;
}

static void set_well(int fd, uint32_t id, const Set *request)
{
	send_call(fd, id, SERVICE, "SetInterface", &request->base, 0);
	free_message(take_message(
		fd, id, &vmctl__agent__v1__set_interface_response__descriptor));
}

static void refuse_set(int fd, uint32_t id, const Set *request, int status)
{
	send_call(fd, id, SERVICE, "SetInterface", &request->base, 0);
	expect_status(fd, id, status);
}

static void an_interface_is_set_up_and_down(void **state)
{
	Set request = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__INIT;
	char *add[] = {(char *)"10.1.2.3/24", (char *)"fd00::5/64"};
	char *remove_them[] = {add[0]};
	const Vmctl__Agent__V1__NetworkInterface *lo;
	int fd = dial_or_skip(state);
	Network *network;

	request.name = (char *)"lo";
	request.mtu = 1400;
	request.add_addresses = add;
	request.n_add_addresses = 2;
	request.link = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_UP;
	set_well(fd, 1, &request);
	set_well(fd, 3, &request); /* what is so already is no error */
	network = get(fd, 5);
	lo = loopback(network);
	assert_true(lo->up);
	assert_int_equal(lo->mtu, 1400);
	assert_int_equal(lo->index, 1);
	assert_true(has_address(lo, "10.1.2.3/24"));
	assert_true(has_address(lo, "fd00::5/64"));
	assert_non_null(lo->statistics);
	free_message(network);
	request.mtu = 0;
	request.n_add_addresses = 0;
	request.remove_addresses = remove_them;
	request.n_remove_addresses = 1;
	request.link = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_DOWN;
	set_well(fd, 7, &request);
	network = get(fd, 9);
	lo = loopback(network);
	assert_false(lo->up);
	assert_int_equal(lo->mtu, 1400);
	assert_false(has_address(lo, "10.1.2.3/24"));
	free_message(network);
	close(fd);
}

static void what_is_no_interface_or_address_is_refused(void **state)
{
	Set request = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__INIT;
	char long_text[400], *addresses[] = {(char *)"10.1.2.300/24"};
	int fd = dial_or_skip(state);

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	request.name = (char *)"eth77";
	refuse_set(fd, 1, &request, TTRPC_NOT_FOUND);
	request.name = long_text;
	refuse_set(fd, 3, &request, TTRPC_NOT_FOUND);
	request.name = (char *)"lo";
	request.add_addresses = addresses;
	request.n_add_addresses = 1;
	refuse_set(fd, 5, &request, TTRPC_INVALID_ARGUMENT);
	addresses[0] = long_text;
	refuse_set(fd, 7, &request, TTRPC_INVALID_ARGUMENT);
	addresses[0] = (char *)"02:00:00:00:00:01";
	refuse_set(fd, 9, &request, TTRPC_INVALID_ARGUMENT);
	expect_works(fd, 11);
	close(fd);
}

static void change_route(int fd, uint32_t id, const char *method,
			 Vmctl__Agent__V1__NetworkRoute *route, int status)
{
	Vmctl__Agent__V1__ChangeRouteRequest request =
		VMCTL__AGENT__V1__CHANGE_ROUTE_REQUEST__INIT;

	request.route = route;
	send_call(fd, id, SERVICE, method, &request.base, 0);
	expect_status(fd, id, status);
}

static void routes_come_and_go(void **state)
{
	Vmctl__Agent__V1__NetworkRoute route = VMCTL__AGENT__V1__NETWORK_ROUTE__INIT;
	Set up = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__INIT;
	char *address[] = {(char *)"10.1.2.3/24"};
	const Vmctl__Agent__V1__NetworkRoute *found;
	int fd = dial_or_skip(state);
	Network *network;

	up.name = (char *)"lo";
	up.add_addresses = address;
	up.n_add_addresses = 1;
	up.link = VMCTL__AGENT__V1__SET_INTERFACE_REQUEST__LINK__LINK_UP;
	set_well(fd, 1, &up);
	route.destination = (char *)"192.0.2.0/24";
	route.interface = (char *)"lo";
	route.source = (char *)"10.1.2.3";
	route.metric = 7;
	change_route(fd, 3, "AddRoute", &route, TTRPC_OK);
	change_route(fd, 5, "AddRoute", &route, TTRPC_OK);
	network = get(fd, 7);
	found = find_route(network, "192.0.2.0/24");
	assert_non_null(found);
	assert_string_equal(found->interface, "lo");
	assert_string_equal(found->source, "10.1.2.3");
	assert_string_equal(found->gateway, "");
	assert_int_equal(found->metric, 7);
	free_message(network);
	change_route(fd, 9, "RemoveRoute", &route, TTRPC_OK);
	change_route(fd, 11, "RemoveRoute", &route, TTRPC_OK);
	network = get(fd, 13);
	assert_null(find_route(network, "192.0.2.0/24"));
	free_message(network);
	change_route(fd, 15, "AddRoute", NULL, TTRPC_INVALID_ARGUMENT);
	route.interface = (char *)"";
	change_route(fd, 17, "AddRoute", &route, TTRPC_INVALID_ARGUMENT);
	route.interface = (char *)"eth77";
	change_route(fd, 19, "AddRoute", &route, TTRPC_NOT_FOUND);
	close(fd);
}

static void kata_sets_an_interface_by_its_address(void **state)
{
	Grpc__UpdateInterfaceRequest request = GRPC__UPDATE_INTERFACE_REQUEST__INIT;
	Grpc__Interface interface = GRPC__INTERFACE__INIT, *answered;
	Grpc__IPAddress ip = GRPC__IPADDRESS__INIT, *ips[] = {&ip};
	int fd = dial_or_skip(state);
	Grpc__Interfaces *list;
	Network *network;

	ip.address = (char *)"10.9.8.7";
	ip.mask = (char *)"16";
	interface.hw_addr = (char *)"00:00:00:00:00:00";
	interface.name = (char *)"lo";
	interface.mtu = 1500;
	interface.ip_addresses = ips;
	interface.n_ip_addresses = 1;
	request.interface = &interface;
	send_call(fd, 1, KATA, "UpdateInterface", &request.base, 0);
	answered = take_message(fd, 1, &grpc__interface__descriptor);
	assert_string_equal(answered->name, "lo");
	free_message(answered);
	/* Those of before have gone. */
	network = get(fd, 3);
	assert_true(has_address(loopback(network), "10.9.8.7/16"));
	assert_false(has_address(loopback(network), "10.1.2.3/24"));
	assert_true(loopback(network)->up);
	free_message(network);
	send_call(fd, 5, KATA, "ListInterfaces", NULL, 0);
	list = take_message(fd, 5, &grpc__interfaces__descriptor);
	assert_true(list->n_interfaces >= 1);
	assert_string_equal(list->interfaces[0]->name, "lo");
	assert_int_equal(list->interfaces[0]->mtu, 1500);
	assert_true(list->interfaces[0]->n_ip_addresses >= 1);
	assert_string_equal(list->interfaces[0]->ip_addresses[0]->address, "10.9.8.7");
	assert_string_equal(list->interfaces[0]->ip_addresses[0]->mask, "16");
	free_message(list);
	interface.hw_addr = (char *)"02:77:00:00:00:01";
	send_call(fd, 7, KATA, "UpdateInterface", &request.base, 0);
	expect_status(fd, 7, TTRPC_NOT_FOUND);
	close(fd);
}

static void kata_replaces_all_routes(void **state)
{
	Grpc__UpdateRoutesRequest request = GRPC__UPDATE_ROUTES_REQUEST__INIT;
	Grpc__Routes routes = GRPC__ROUTES__INIT, *answered;
	Grpc__Route far = GRPC__ROUTE__INIT, near = GRPC__ROUTE__INIT;
	Grpc__Route *list[] = {&far, &near};
	int fd = dial_or_skip(state);

	/* The gateway's route comes last, and has to be there first. */
	far.gateway = (char *)"198.51.100.1";
	far.device = (char *)"lo";
	near.dest = (char *)"198.51.100.0/24";
	near.device = (char *)"lo";
	near.scope = 253;
	routes.routes = list;
	routes.n_routes = 2;
	request.routes = &routes;
	for (uint32_t id = 1; id < 5; id += 2) {
		send_call(fd, id, KATA, "UpdateRoutes", &request.base, 0);
		answered = take_message(fd, id, &grpc__routes__descriptor);
		assert_int_equal(answered->n_routes, 2);
		free_message(answered);
	}
	routes.n_routes = 0;
	send_call(fd, 5, KATA, "UpdateRoutes", &request.base, 0);
	answered = take_message(fd, 5, &grpc__routes__descriptor);
	assert_int_equal(answered->n_routes, 0);
	free_message(answered);
	send_call(fd, 7, KATA, "ListRoutes", NULL, 0);
	answered = take_message(fd, 7, &grpc__routes__descriptor);
	assert_int_equal(answered->n_routes, 0);
	free_message(answered);
	close(fd);
}

static void a_neighbour_that_cannot_be_is_refused(void **state)
{
	Grpc__AddARPNeighborsRequest request = GRPC__ADD_ARPNEIGHBORS_REQUEST__INIT;
	Grpc__ARPNeighbors neighbors = GRPC__ARPNEIGHBORS__INIT;
	Grpc__ARPNeighbor neighbor = GRPC__ARPNEIGHBOR__INIT, *list[] = {&neighbor};
	Grpc__IPAddress ip = GRPC__IPADDRESS__INIT;
	int fd = dial_or_skip(state);

	neighbors.neighbors = list;
	neighbors.n_neighbors = 1;
	request.neighbors = &neighbors;
	send_call(fd, 1, KATA, "AddARPNeighbors", &request.base, 0);
	expect_status(fd, 1, TTRPC_INVALID_ARGUMENT);
	ip.address = (char *)"10.9.8.1";
	neighbor.to_ip_address = &ip;
	neighbor.device = (char *)"eth77";
	neighbor.lladdr = (char *)"02:00:00:00:00:01";
	send_call(fd, 3, KATA, "AddARPNeighbors", &request.base, 0);
	expect_status(fd, 3, TTRPC_NOT_FOUND);
	neighbor.device = (char *)"lo";
	send_call(fd, 5, KATA, "AddARPNeighbors", &request.base, 0);
	free_message(take_message(fd, 5, &grpc__empty__descriptor));
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_interface_is_set_up_and_down),
		test(what_is_no_interface_or_address_is_refused),
		test(routes_come_and_go),
		test(kata_sets_an_interface_by_its_address),
		test(kata_replaces_all_routes),
		test(a_neighbour_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests_name("agent_net", tests, enter_namespace, NULL);
}
