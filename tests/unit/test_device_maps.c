/* SPDX-License-Identifier: Apache-2.0 */
/* Ports with addresses of their own: --listen and --connect, over Unix and TCP. */
#include "fake_flow.h"

#include <arpa/inet.h>
#include <sys/stat.h>

#include "../../transport/map.h"

struct mapped {
	struct guest *g;
	struct vsockd_options options;
	char dir[64];
};

static struct mapped *make(void)
{
	struct mapped *m = calloc(1, sizeof(*m));

	alarm(PATIENCE * 3 / 1000);
	strcpy(m->dir, "/tmp/vsockd-maps-XXXXXX");
	assert_non_null(mkdtemp(m->dir));
	return m;
}

static int setup(void **state)
{
	*state = make();
	return 0;
}

static int teardown(void **state)
{
	struct mapped *m = *state;

	if (m->g)
		guest_free(m->g);
	maps_free(&m->options.listen);
	maps_free(&m->options.connect);
	run_command("rm -rf", m->dir);
	free(m);
	return 0;
}

__attribute__((format(printf, 2, 3))) static void add(struct maps *maps,
						      const char *fmt, ...)
{
	char text[200];
	struct error err;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (maps_add(maps, text, true, &err) < 0)
		fail_msg("%s: %s", text, err.text);
}

static struct guest *start(struct mapped *m)
{
	m->g = guest_new_with(m->options);
	m->g->features |= 1 << 1; /* SEQPACKET */
	guest_start(m->g);
	return m->g;
}

/* A TCP socket on a loopback address, and its port. */
static int bind_tcp(int family, uint16_t *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *addr = family == AF_INET ? (void *)&in : (void *)&in6;
	socklen_t len = family == AF_INET ? sizeof(in) : sizeof(in6);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, addr, len) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, addr, &len), 0);
	*port = ntohs(family == AF_INET ? in.sin_port : in6.sin6_port);
	return fd;
}

static int connect_tcp(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr = {htonl(INADDR_LOOPBACK)},
				 .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* The guest accepts what comes to the port; returns the host's port. */
static uint32_t let_in(struct guest *g, uint32_t port)
{
	struct packet packet, answer;

	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_REQUEST);
	assert_int_equal(packet.dst_port, port);
	answer = guest_packet(PACKET_RESPONSE, port, packet.src_port, 0);
	guest_send(g, &answer, NULL);
	return packet.src_port;
}

static void ask(struct guest *g, uint32_t from, uint32_t port)
{
	struct packet request = guest_packet(PACKET_REQUEST, from, port, 0);

	guest_send(g, &request, NULL);
}

/* Much both ways at once, and both half-closes. */
static void exchange(struct guest *g, int fd, uint32_t guest_port, uint32_t host_port)
{
	struct flow f = flow_of(guest_port, host_port);
	struct packet shut = guest_packet(PACKET_SHUTDOWN, guest_port, host_port, 0);
	uint64_t total = 1 << 20;

	while (f.received < total || f.host_received < total) {
		if (f.sent < total)
			flow_send(g, &f, 32768, 2);
		flow_receive(g, &f);
		host_write_some(fd, &f, total);
		host_read_some(fd, &f);
	}
	shut.flags = PACKET_SHUT_SEND;
	shut.fwd_cnt = (uint32_t)f.received;
	guest_send(g, &shut, NULL);
	host_expect_eof(fd);
	close(fd);
	do
		guest_receive(g, &shut, NULL);
	while (shut.op == PACKET_CREDIT_UPDATE || shut.op == PACKET_CREDIT_REQUEST);
	assert_int_equal(shut.op, PACKET_SHUTDOWN);
	assert_int_equal(shut.flags, PACKET_SHUT_BOTH);
}

static void a_unix_socket_leads_straight_to_a_port(void **state)
{
	struct mapped *m = *state;
	struct stat st;
	char path[100];
	uint32_t port;
	int fd;

	snprintf(path, sizeof(path), "%s/direct", m->dir);
	add(&m->options.listen, "5000=unix:%s", path);
	start(m);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	fd = connect_unix(path);
	port = let_in(m->g, 5000);
	exchange(m->g, fd, 5000, port);
	guest_free(m->g);
	m->g = NULL;
	assert_int_not_equal(access(path, F_OK), 0);
}

static void a_tcp_port_leads_straight_to_a_port(void **state)
{
	struct mapped *m = *state;
	uint16_t tcp;
	uint32_t port;
	int fd;

	close(bind_tcp(AF_INET, &tcp));
	add(&m->options.listen, "22=tcp:127.0.0.1:%u", tcp);
	start(m);
	fd = connect_tcp(tcp);
	port = let_in(m->g, 22);
	/* Nobody knows who that is. */
	assert_true(port >= 1u << 30);
	exchange(m->g, fd, 22, port);
}

static void a_listener_that_cannot_be_had_is_an_error(void **state)
{
	struct mapped *m = *state;
	struct vsockd_options *o = &m->options;
	char front[100], uds[100];
	struct error err;
	uint16_t tcp;
	int fd = bind_tcp(AF_INET, &tcp);

	assert_int_equal(listen(fd, 1), 0);
	add(&o->listen, "22=tcp:127.0.0.1:%u", tcp);
	snprintf(front, sizeof(front), "%s/vu", m->dir);
	snprintf(uds, sizeof(uds), "%s/v", m->dir);
	o->cid = GUEST_CID;
	o->vhost_user = front;
	o->uds = uds;
	o->limits = (struct limits)LIMITS_DEFAULT;
	assert_int_equal(vsockd_run(o, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "tcp:127.0.0.1:"));
	/* What was there already is taken back. */
	assert_int_not_equal(access(uds, F_OK), 0);
	close(fd);
}

static void a_port_of_the_host_has_another_address(void **state)
{
	struct mapped *m = *state;
	struct guest *g;
	uint16_t tcp;
	int listener = bind_tcp(AF_INET, &tcp), fd, unserved;

	assert_int_equal(listen(listener, 8), 0);
	add(&m->options.connect, "6000=tcp:127.0.0.1:%u", tcp);
	add(&m->options.connect, "6001=unix:%s/service", m->dir);
	g = start(m);
	/* The socket that it would be without a map is none of it. */
	unserved = listen_port(g, 6000);
	ask(g, 1234, 6000);
	fd = accept_port(listener);
	guest_expect(g, PACKET_RESPONSE, 1234, 6000);
	exchange(g, fd, 1234, 6000);
	close(unserved);

	ask(g, 1234, 6001);
	guest_expect(g, PACKET_RST, 1234, 6001);
	/* The daemon was forked with a copy of it. */
	shutdown(listener, SHUT_RDWR);
	close(listener);
	ask(g, 1235, 6000);
	guest_expect(g, PACKET_RST, 1235, 6000);
}

static void messages_go_to_unix_sockets_only(void **state)
{
	struct mapped *m = *state;
	struct packet request = guest_packet(PACKET_REQUEST, 1234, 6000, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct guest *g;
	uint16_t tcp;
	int listener = bind_tcp(AF_INET, &tcp), fd;

	assert_int_equal(listen(listener, 8), 0);
	add(&m->options.connect, "6000=tcp:127.0.0.1:%u", tcp);
	add(&m->options.connect, "6001=unix:%s/service", m->dir);
	g = start(m);
	request.type = PACKET_SEQPACKET;
	guest_send(g, &request, NULL);
	assert_int_equal(guest_expect(g, PACKET_RST, 1234, 6000).type,
			 PACKET_SEQPACKET);
	close(listener);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/service", m->dir);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	request.dst_port = 6001;
	guest_send(g, &request, NULL);
	fd = accept_port(listener);
	guest_expect(g, PACKET_RESPONSE, 1234, 6001);
	close(fd);
	close(listener);
}

static void all_addresses_of_a_name_are_tried(void **state)
{
	struct mapped *m = *state;
	uint16_t tcp;
	int listener = bind_tcp(AF_INET, &tcp), fd;

	/* localhost may be ::1 first, where nobody listens. */
	assert_int_equal(listen(listener, 8), 0);
	add(&m->options.connect, "6000=tcp:localhost:%u", tcp);
	start(m);
	ask(m->g, 1234, 6000);
	fd = accept_port(listener);
	guest_expect(m->g, PACKET_RESPONSE, 1234, 6000);
	close(fd);
	close(listener);
}

static void ipv6_addresses_stand_in_brackets(void **state)
{
	struct mapped *m = *state;
	uint16_t tcp;
	int listener = bind_tcp(AF_INET6, &tcp), fd;

	if (listener < 0)
		skip(); /* this machine has no IPv6 */
	assert_int_equal(listen(listener, 8), 0);
	add(&m->options.connect, "6000=tcp:[::1]:%u", tcp);
	start(m);
	ask(m->g, 1234, 6000);
	fd = accept_port(listener);
	guest_expect(m->g, PACKET_RESPONSE, 1234, 6000);
	exchange(m->g, fd, 1234, 6000);
	close(listener);
}

/* With a full queue the kernel leaves a connection on its way, for seconds. */
static void a_connection_on_its_way_holds_nobody_up(void **state)
{
	struct mapped *m = *state;
	struct packet rst;
	struct guest *g;
	uint16_t tcp;
	uint32_t port;
	int listener = bind_tcp(AF_INET, &tcp), filler[2], fd;

	assert_int_equal(listen(listener, 0), 0);
	add(&m->options.connect, "6000=tcp:127.0.0.1:%u", tcp);
	g = start(m);
	filler[0] = connect_tcp(tcp);
	ask(g, 1234, 6000);
	ask(g, 1235, 6000);
	guest_expect_nothing(g);
	fd = join_in(g, 5000, &port);
	part(g, fd, 5000, port);
	/* One is given up by the guest, the other comes through. */
	rst = guest_packet(PACKET_RST, 1235, 6000, 0);
	guest_send(g, &rst, NULL);
	filler[1] = accept_port(listener);
	fd = accept_port(listener);
	guest_expect(g, PACKET_RESPONSE, 1234, 6000);
	close(fd);
	close(filler[0]);
	close(filler[1]);
	close(listener);
}

static void without_a_forward_unserved_ports_are_refused(void **state)
{
	struct mapped *m = *state;

	add(&m->options.connect, "6000=unix:%s/nobody", m->dir);
	start(m);
	ask(m->g, 1, 6000);
	guest_expect(m->g, PACKET_RST, 1, 6000);
	ask(m->g, 2, 6001);
	guest_expect(m->g, PACKET_RST, 2, 6001);
}

static void maps_are_a_port_and_an_address(void **state)
{
	static const char *const wrong[] = {
		"",
		"5000",
		"5000=",
		"=unix:/a",
		"x=unix:/a",
		" 1=unix:/a",
		"+1=unix:/a",
		"-1=unix:/a",
		"4294967295=unix:/a",
		"4294967296=unix:/a",
		"5000 =unix:/a",
		"5000=unix:",
		"5000=/a",
		"5000=vm1",
		"5000=vsock:3",
		"5000=tcp:localhost",
		"5000=tcp:127.0.0.1:0",
		"5000=tcp:127.0.0.1:65536",
		"5000=tcp:::1:22",
		"5000=tcp:256.0.0.1:22",
	};
	struct maps maps = {.count = 0};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (maps_add(&maps, wrong[i], true, &err) == 0)
			fail_msg("%s", wrong[i]);
	}
	assert_int_equal(maps_add(&maps, "0=unix:/a", false, &err), 0);
	assert_int_equal(maps_add(&maps, "0=unix:/b", false, &err), -EEXIST);
	assert_int_equal(maps_add(&maps, "0=unix:/b", true, &err), 0);
	assert_int_equal(maps_add(&maps, "4294967294=tcp:[::1]:22", false, &err), 0);
	assert_string_equal(maps_find(&maps, 4294967294)->text, "tcp:[::1]:22");
	assert_int_equal(maps_find(&maps, 4294967294)->count, 1);
	assert_null(maps_find(&maps, 1));
	while (maps.count < MAPS_MAX)
		assert_int_equal(maps_add(&maps, "1=unix:/a", true, &err), 0);
	assert_int_equal(maps_add(&maps, "1=unix:/a", true, &err), -ENOSPC);
	maps_free(&maps);
}

int main(void)
{
#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(a_unix_socket_leads_straight_to_a_port),
		t(a_tcp_port_leads_straight_to_a_port),
		t(a_listener_that_cannot_be_had_is_an_error),
		t(a_port_of_the_host_has_another_address),
		t(messages_go_to_unix_sockets_only),
		t(all_addresses_of_a_name_are_tried),
		t(ipv6_addresses_stand_in_brackets),
		t(a_connection_on_its_way_holds_nobody_up),
		t(without_a_forward_unserved_ports_are_refused),
		cmocka_unit_test(maps_are_a_port_and_an_address),
	};

	return cmocka_run_group_tests_name("device: maps", tests, NULL, NULL);
}
