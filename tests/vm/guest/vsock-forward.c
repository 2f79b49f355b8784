// SPDX-License-Identifier: Apache-2.0
/*
 * vsockd's --forward, inside a guest: the daemon and a played driver, and over the
 * kernel's loopback (CID 1) the ports that it forwards to. It opens AF_VSOCK sockets,
 * so it runs in a test guest only.
 */
#include "../../unit/fake_guest.h"
#include "test_guest.h"

#include <linux/vm_sockets.h>

enum {
	PORT = 7000
};

static struct guest *forwarding(void)
{
	struct guest *g = guest_new_with((struct vsockd_options){.forward_cid = 1});

	alarm(PATIENCE * 3 / 1000);
	g->features |= 1 << 1; /* SEQPACKET */
	guest_start(g);
	return g;
}

static int setup(void **state)
{
	*state = forwarding();
	return 0;
}

static int listen_vsock(int type, unsigned int port)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
	int fd = socket(AF_VSOCK, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void ask(struct guest *g, enum packet_type type, uint32_t port)
{
	struct packet request = guest_packet(PACKET_REQUEST, 1234, port, 0);

	request.type = type;
	guest_send(g, &request, NULL);
}

static void an_unserved_port_is_forwarded(void **state)
{
	struct guest *g = *state;
	int listener = listen_vsock(SOCK_STREAM, PORT), fd;
	struct packet packet;
	char payload[4096];

	ask(g, PACKET_STREAM, PORT);
	fd = accept_port(listener);
	guest_expect(g, PACKET_RESPONSE, 1234, PORT);
	packet = guest_packet(PACKET_RW, 1234, PORT, 5);
	guest_send(g, &packet, "hello");
	host_expect(fd, "hello");
	host_send(fd, "world");
	guest_receive(g, &packet, payload);
	assert_memory_equal(payload, "world", 5);
	shutdown(fd, SHUT_WR);
	assert_int_equal(guest_expect(g, PACKET_SHUTDOWN, 1234, PORT).flags,
			 PACKET_SHUT_SEND);
	close(fd);
	close(listener);
}

static void messages_are_forwarded_whole_with_their_records(void **state)
{
	struct guest *g = *state;
	int listener = listen_vsock(SOCK_SEQPACKET, PORT), fd;
	char buf[64], payload[4096];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct packet packet;

	ask(g, PACKET_SEQPACKET, PORT);
	fd = accept_port(listener);
	guest_expect(g, PACKET_RESPONSE, 1234, PORT);
	for (uint32_t i = 0; i < 2; i++) {
		packet = guest_packet(PACKET_RW, 1234, PORT, 4);
		packet.type = PACKET_SEQPACKET;
		packet.flags = i ? PACKET_EOM | PACKET_EOR : 0;
		guest_send(g, &packet, i ? "sage" : "mess");
	}
	wait_fd(fd, POLLIN);
	assert_int_equal(recvmsg(fd, &msg, 0), 8);
	assert_true(msg.msg_flags & MSG_EOR);
	assert_int_equal(send(fd, "record", 6, MSG_EOR), 6);
	guest_receive(g, &packet, payload);
	assert_int_equal(packet.len, 6);
	assert_int_equal(packet.flags, PACKET_EOM | PACKET_EOR);
	close(fd);
	close(listener);
}

static void a_socket_or_nobody_comes_before_the_forward(void **state)
{
	struct guest *g = *state;
	int listener = listen_vsock(SOCK_STREAM, PORT), unix_listener, fd;

	unix_listener = listen_port(g, PORT);
	ask(g, PACKET_STREAM, PORT);
	fd = accept_port(unix_listener);
	guest_expect(g, PACKET_RESPONSE, 1234, PORT);
	assert_int_equal(poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, 0),
			 0);
	ask(g, PACKET_STREAM, PORT + 1);
	guest_expect(g, PACKET_RST, 1234, PORT + 1);
	close(fd);
	close(unix_listener);
	close(listener);
}

int main(void)
{
#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown_guest)
	const struct CMUnitTest tests[] = {
		t(an_unserved_port_is_forwarded),
		t(messages_are_forwarded_whole_with_their_records),
		t(a_socket_or_nobody_comes_before_the_forward),
	};

	want_test_guest();
	return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
