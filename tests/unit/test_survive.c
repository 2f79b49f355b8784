/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's worker is killed at any time, again and again: the guest's connections
 * are reset, new ones carry the right bytes, no request of the front-end is answered
 * twice or never, and the vhost-user connection stays.
 *
 * SURVIVE_KILLS says how often (default: 100), SURVIVE_SEED repeats a run.
 */
#include "fake_control.h"
#include "fake_flow.h"
#include "fake_worker.h"

enum {
	GUEST_PORT = 5000,
	HOST_PORT = 6000,
	MAX_DELAY_US = 3000,
};

static unsigned int seed;

static unsigned int kills(void)
{
	return number_of("SURVIVE_KILLS", 100);
}

/* Kills the worker within the next milliseconds, whatever it is about then. */
static pid_t kill_soon(const struct guest *g)
{
	unsigned int delay = rand_r(&seed) % MAX_DELAY_US;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		usleep(delay);
		kill_worker(g);
		_exit(0);
	}
	return pid;
}

static bool was_killed(pid_t killer)
{
	int status;
	pid_t pid = waitpid(killer, &status, WNOHANG);

	assert_true(pid >= 0);
	if (pid)
		assert_int_equal(status, 0);
	return pid > 0;
}

struct both {
	int fd;
	struct flow flow;
	bool reset; /* the guest was told */
};

static unsigned int under_way; /* chains of the transmit ring */

static void reap_sent(struct guest *g)
{
	uint32_t id, len;

	while (fake_reap(g, 1, &id, &len))
		under_way--;
}

/* Sends without waiting for the chain to come back: the worker may be gone. */
static void send_soon(struct guest *g, const struct packet *packet, const void *payload)
{
	uint8_t head[PACKET_HEADER_SIZE];

	packet_encode(packet, head);
	guest_offer_tx(g, g->ring[1].next % TX_SLOTS, head, payload, packet->len, 2);
	under_way++;
}

static void receive_all(struct guest *g, struct both *both, size_t count)
{
	static uint8_t payload[RX_STRIDE];
	struct packet packet;

	while (guest_try_receive(g, &packet, payload)) {
		struct both *b = NULL;

		for (size_t i = 0; i < count; i++)
			if (both[i].flow.guest_port == packet.dst_port &&
			    both[i].flow.host_port == packet.src_port)
				b = &both[i];
		/* Answers to what was sent on the way to the reset. */
		if (packet.op == PACKET_RST) {
			if (b)
				b->reset = true;
			continue;
		}
		assert_non_null(b);
		assert_false(b->reset);
		b->flow.peer_fwd = packet.fwd_cnt;
		b->flow.peer_alloc = packet.buf_alloc;
		if (packet.op != PACKET_RW)
			continue;
		check(payload, packet.len, b->flow.received);
		b->flow.received += packet.len;
	}
}

static void move(struct guest *g, struct both *b)
{
	static uint8_t payload[4096];
	struct packet rw;
	uint32_t len = 1 + rand_r(&seed) % (uint32_t)sizeof(payload);

	host_write_some(b->fd, &b->flow, UINT64_MAX);
	host_read_some(b->fd, &b->flow);
	reap_sent(g);
	rw = guest_packet(PACKET_RW, b->flow.guest_port, b->flow.host_port, len);
	rw.fwd_cnt = (uint32_t)b->flow.received;
	if (b->flow.peer_alloc - ((uint32_t)b->flow.sent - b->flow.peer_fwd) < len ||
	    under_way >= TX_SLOTS)
		return;
	fill(payload, len, b->flow.sent);
	send_soon(g, &rw, payload);
	b->flow.sent += len;
}

/* The host program sees the end, behind nothing but right bytes. */
static void expect_host_end(struct both *b)
{
	static uint8_t buf[65536];
	ssize_t n;

	do {
		wait_fd(b->fd, POLLIN);
		n = recv(b->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0) {
			check(buf, n, b->flow.host_received);
			b->flow.host_received += n;
		}
	} while (n > 0);
	close(b->fd);
}

/* Nothing is on its way to the guest then but what a new question brings. */
static void receive_the_last_resets(struct guest *g)
{
	struct packet probe = guest_packet(PACKET_CREDIT_REQUEST, 1, 0xfffffff0, 0);
	struct packet packet;

	guest_send(g, &probe, NULL);
	do {
		guest_receive(g, &packet, NULL);
		assert_int_equal(packet.op, PACKET_RST);
	} while (packet.dst_port != 1);
}

static void killed_in_mid_transfer(void **state)
{
	struct guest *g = *state;
	unsigned int times = kills();
	uint64_t moved = 0;

	for (unsigned int i = 0; i < times; i++) {
		uint32_t out_port = 10000 + i, in_port;
		struct both both[2] = {{.fd = -1}};
		pid_t killer;

		both[0].fd = join_out(g, out_port, HOST_PORT);
		both[0].flow = flow_of(out_port, HOST_PORT);
		both[1].fd = join_in(g, GUEST_PORT, &in_port);
		both[1].flow = flow_of(GUEST_PORT, in_port);
		killer = kill_soon(g);
		while (!was_killed(killer)) {
			for (size_t b = 0; b < 2; b++)
				move(g, &both[b]);
			receive_all(g, both, 2);
		}
		wait_until((receive_all(g, both, 2), both[0].reset && both[1].reset));
		for (size_t b = 0; b < 2; b++)
			expect_host_end(&both[b]);
		for (size_t b = 0; b < 2; b++)
			moved += both[b].flow.received + both[b].flow.host_received;
		/* Every chain that was under way comes back. */
		wait_until((receive_all(g, both, 2), reap_sent(g), !under_way));
		receive_the_last_resets(g);
	}
	assert_true(moved > 0);
	/* What is left of it answers, and nothing else comes. */
	guest_expect_nothing(g);
	front_get_u64(g, VHOST_USER_GET_FEATURES);
}

static void killed_between_request_and_answer(void **state)
{
	struct guest *g = *state;
	unsigned int times = kills();
	uint64_t asked = 0;

	for (unsigned int i = 0; i < times; i++) {
		pid_t killer = kill_soon(g);

		while (!was_killed(killer)) {
			unsigned int r = rand_r(&seed) % 2;

			/* Each answer is the next one's only if none came twice. */
			front_get_u64(g, VHOST_USER_GET_QUEUE_NUM);
			front_ok_fd(g, VHOST_USER_SET_VRING_CALL, r, g->ring[r].call);
			front_get_u64(g, VHOST_USER_GET_FEATURES);
			guest_share_memory(g);
			front_ok_state(g, VHOST_USER_SET_VRING_ENABLE, r, 1);
			asked += 5;
		}
	}
	print_message("%llu requests, %u kills\n", (unsigned long long)asked, times);
	assert_true(asked > 0);
	guest_expect_nothing(g);
}

static void killed_while_the_guest_is_paused(void **state)
{
	struct guest *g = *state;
	uint32_t base[2];
	uint32_t port;
	int fd;

	for (int i = 0; i < 3; i++) {
		fd = join_in(g, GUEST_PORT, &port);
		for (unsigned int r = 0; r < 2; r++)
			base[r] = guest_stop_ring(g, r);
		kill_worker(g);
		host_expect_closed(fd);
		close(fd);
		for (unsigned int r = 0; r < 2; r++)
			guest_start_ring(g, r, base[r]);
		guest_expect(g, PACKET_RST, GUEST_PORT, port);
		expect_service(g);
	}
}

static void replaced_by_another_version(void **state)
{
	struct guest *g = *state;
	uint32_t port;

	for (int i = 0; i < 5; i++) {
		int fd = join_in(g, GUEST_PORT, &port);
		pid_t before = worker_of(g);

		kill(g->pid, SIGHUP);
		wait_until(worker_of(g) > 0 && worker_of(g) != before);
		host_expect_closed(fd);
		close(fd);
		guest_expect(g, PACKET_RST, GUEST_PORT, port);
	}
	expect_service(g);
	assert_true(log_has(g, "made room"));
}

/*
 * More are lost than resets can wait at once, and receive buffers are few. The guest
 * heard of it by other means, as the event ring tells it, and takes the same ports
 * again: what is said of the lost ones comes before anything of their successors.
 */
static void resets_of_the_lost_come_before_what_takes_their_ports(void **state)
{
	enum {
		LOST = 300,
		AGAIN = 280,
		FIRST = 20000
	};
	struct guest *g = *state;
	int listener, lost[LOST], fd[LOST];
	bool reset[LOST] = {false}, open[LOST] = {false};
	unsigned int resets = 0, opened = 0;

	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	g->rx_slots = 24;
	guest_start(g);
	for (uint32_t i = 0; i < LOST; i++)
		lost[i] = join_out(g, FIRST + i, HOST_PORT);
	listener = listen_port(g, HOST_PORT);
	kill_worker(g);
	/* The next one has said what there is room for. */
	wait_until(fake_unseen(g, 0) == g->rx_slots);
	for (uint32_t i = AGAIN; i < LOST; i++) {
		struct packet request =
			guest_packet(PACKET_REQUEST, FIRST + i, HOST_PORT, 0);

		guest_send(g, &request, NULL);
		fd[i] = accept_port(listener);
	}
	while (resets < LOST || opened < LOST - AGAIN) {
		struct packet packet;
		bool wrong = false;

		/* The worker is done with its turn; the next one finds all buffers. */
		front_get_u64(g, VHOST_USER_GET_FEATURES);
		kill(worker_of(g), SIGSTOP);
		while (!wrong && guest_try_receive(g, &packet, NULL)) {
			uint32_t i = packet.dst_port - FIRST;
			bool rst = packet.op == PACKET_RST;

			wrong = i >= LOST || open[i] || reset[i] == rst;
			resets += rst;
			opened += packet.op == PACKET_RESPONSE;
			if (!wrong)
				reset[i] = true, open[i] = !rst;
		}
		kill(worker_of(g), SIGCONT);
		assert_false(wrong);
	}
	guest_expect_nothing(g);
	for (uint32_t i = 0; i < LOST; i++) {
		host_expect_closed(lost[i]);
		close(lost[i]);
		if (i >= AGAIN)
			part(g, fd[i], FIRST + i, HOST_PORT);
	}
	close(listener);
}

/* As Cloud Hypervisor and crosvm do, the front-end hands the event ring over too. */
static void the_event_ring_tells_of_the_reset(void **state)
{
	struct guest *g = *state;
	uint64_t at = RING_AT(2) + 0xf000;
	uint32_t port, id, len;
	int fd;

	fake_ring_clear(g, 2);
	g->ring[2].desc[0] =
		(struct vring_desc){.addr = at, .len = 8, .flags = VRING_DESC_WRITE};
	memset(guest_ptr(g, at), 0xff, 8);
	guest_start_ring(g, 2, fake_first_base(g));
	fake_offer(g, 2, 0);
	fd = join_in(g, GUEST_PORT, &port);
	kill_worker(g);
	wait_until(fake_reap(g, 2, &id, &len));
	assert_int_equal(len, 4);
	/* VIRTIO_VSOCK_EVENT_TRANSPORT_RESET */
	assert_memory_equal(guest_ptr(g, at), "\0\0\0\0", 4);
	host_expect_closed(fd);
	close(fd);
	guest_expect(g, PACKET_RST, GUEST_PORT, port);
	expect_service(g);
}

static void the_control_socket_outlives_the_worker(void **state)
{
	struct guest *g = *state;
	uint64_t before = control_stat(g, "restarts");

	for (int i = 0; i < 5; i++) {
		uint32_t port;
		int fd = join_in(g, GUEST_PORT, &port);

		assert_int_equal(control_stat(g, "connections"), 1);
		kill_worker(g);
		host_expect_closed(fd);
		close(fd);
		guest_expect(g, PACKET_RST, GUEST_PORT, port);
		/* Who asks in between waits for the next worker, and has an answer. */
		assert_int_equal(control_stat(g, "restarts"), before + i + 1);
		assert_int_equal(control_stat(g, "front_end_connected"), 1);
		assert_int_equal(control_stat(g, "resets restart"), 1);
		assert_int_equal(control_stat(g, "connections"), 0);
	}
}

static void a_reboot_after_a_kill_tells_nothing_of_before(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd = join_in(g, GUEST_PORT, &port);

	guest_stop_ring(g, 0);
	guest_stop_ring(g, 1);
	kill_worker(g);
	host_expect_closed(fd);
	close(fd);
	guest_start(g);
	guest_expect_nothing(g);
}

static void a_front_end_that_leaves_and_one_that_comes_leave_nothing_held(void **state)
{
	struct guest *g = *state;
	unsigned int held;

	/* Once another worker answers, all that the first one sent was heard. */
	kill_worker(g);
	front_get_u64(g, VHOST_USER_GET_FEATURES);
	held = proc_count_files(g->pid);
	for (int i = 0; i < 5; i++) {
		close(g->front);
		g->front = -1;
		wait_until(proc_count_files(g->pid) < held);
		kill_worker(g);
		wait_until(worker_of(g) > 0);
		guest_start(g);
		wait_until(proc_count_files(g->pid) == held);
	}
}

static void a_worker_that_keeps_crashing_is_given_up(void **state)
{
	struct guest *g = *state;
	int status = 0;

	/* As a bug would; the last one takes the holder with it. */
	wait_until(({
		pid_t worker = worker_of(g);

		if (worker > 0 && !log_has(g, "giving up"))
			kill(worker, SIGABRT);
		waitpid(g->pid, &status, WNOHANG) == g->pid;
	}));
	g->pid = 0;
	/* The exit status 1. */
	assert_int_equal(status, 1 << 8);
	assert_true(log_has(g, "giving up"));
	assert_true(front_is_closed(g));
}

static void what_the_first_worker_cannot_do_ends_the_program(void **state)
{
	struct guest *g = *state;
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		dup2(open(g->log, O_WRONLY | O_APPEND), STDERR_FILENO);
		front_exec(g);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_true(log_has(g, "another process listens"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(killed_in_mid_transfer),
		test_guest(killed_between_request_and_answer),
		test_guest(killed_while_the_guest_is_paused),
		test_guest(replaced_by_another_version),
		test_guest(resets_of_the_lost_come_before_what_takes_their_ports),
		test_guest(the_event_ring_tells_of_the_reset),
		test_guest(the_control_socket_outlives_the_worker),
		test_guest(a_reboot_after_a_kill_tells_nothing_of_before),
		test_guest(
			a_front_end_that_leaves_and_one_that_comes_leave_nothing_held),
		test_guest(a_worker_that_keeps_crashing_is_given_up),
		test_guest(what_the_first_worker_cannot_do_ends_the_program),
	};

	run_the_program();
	seed = number_of("SURVIVE_SEED", (unsigned int)now_ms());
	print_message("SURVIVE_SEED=%u\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
