/* SPDX-License-Identifier: Apache-2.0 */
/* vhost-user messages, as QEMU sends them and as nobody should. */
#include "fake_guest.h"

#define V VHOST_USER_VERSION

struct mem_message {
	uint32_t count, padding;
	struct memory_layout region[9];
};

/* The front-end is disconnected, with a reason in the log, and the next is served. */
static void expect_end(struct guest *g, const char *why)
{
	assert_true(front_is_closed(g));
	wait_until(log_has(g, why));
	guest_connect(g);
}

static void qemus_first_questions_are_answered(void **state)
{
	struct guest *g = *state;
	uint64_t features;
	struct {
		uint32_t offset, size, flags;
		uint8_t bytes[8];
	} __attribute__((packed)) config = {.size = 8};
	uint64_t cid;

	g->front = connect_unix(g->vhost_user);
	features = front_get_u64(g, VHOST_USER_GET_FEATURES);
	/* INDIRECT_DESC, EVENT_IDX, PROTOCOL_FEATURES, VERSION_1, RING_PACKED. */
	assert_int_equal(features & 0x570000000, 0x570000000);
	/* MQ, REPLY_ACK and CONFIG. */
	assert_int_equal(front_get_u64(g, VHOST_USER_GET_PROTOCOL_FEATURES) & 0x209,
			 0x209);
	assert_true(front_get_u64(g, VHOST_USER_GET_QUEUE_NUM) >= 2);
	front_message(g, VHOST_USER_GET_CONFIG, V, &config, sizeof(config), NULL, 0);
	assert_int_equal(front_reply(g, VHOST_USER_GET_CONFIG, &config, sizeof(config)),
			 sizeof(config));
	memcpy(&cid, config.bytes, sizeof(cid));
	assert_int_equal(le64toh(cid), GUEST_CID);
}

static void configuration_beyond_its_end_is_refused(void **state)
{
	static const uint32_t bad[][2] = {
		{0, 9}, {8, 1}, {4, 5}, {UINT32_MAX, 1}, {1, UINT32_MAX}};
	struct guest *g = *state;
	uint8_t reply[300];

	guest_connect(g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t message[3 + 64] = {bad[i][0], bad[i][1], 0};
		uint32_t size = bad[i][1] <= 256 ? bad[i][1] : 8;

		front_message(g, VHOST_USER_GET_CONFIG, V, message, 12 + size, NULL, 0);
		assert_int_equal(front_reply(g, VHOST_USER_GET_CONFIG, reply, 300), 0);
	}
	/* Part of it is all right. */
	uint32_t message[3 + 1] = {2, 4, 0};
	front_message(g, VHOST_USER_GET_CONFIG, V, message, 16, NULL, 0);
	assert_int_equal(front_reply(g, VHOST_USER_GET_CONFIG, reply, 300), 16);
}

static void a_message_may_come_in_pieces(void **state)
{
	struct guest *g = *state;
	uint32_t message[5] = {VHOST_USER_SET_FEATURES, V | VHOST_USER_NEED_REPLY, 8, 0,
			       1};
	uint64_t ack = 1;

	guest_connect(g);
	for (size_t i = 0; i < sizeof(message); i++) {
		front_send_fds(g, (uint8_t *)message + i, 1, NULL, 0);
		usleep(200);
	}
	front_reply(g, VHOST_USER_SET_FEATURES, &ack, 8);
	assert_int_equal(ack, 0);
}

static void half_a_message_and_a_close_are_survived(void **state)
{
	struct guest *g = *state;
	int fd = eventfd(0, EFD_CLOEXEC);
	unsigned int before;

	guest_connect(g);
	before = proc_count_files(g->pid);
	front_send_fds(g, "\x0c\0\0", 3, &fd, 1);
	guest_connect(g);
	front_send_fds(g, (uint32_t[4]){VHOST_USER_SET_VRING_KICK, V, 8}, 16, &fd, 1);
	guest_connect(g);
	wait_until(proc_count_files(g->pid) == before);
	close(fd);
}

static void a_wrong_header_ends_the_connection(void **state)
{
	struct guest *g = *state;

	guest_connect(g);
	front_message(g, VHOST_USER_GET_FEATURES, 2, NULL, 0, NULL, 0);
	expect_end(g, "a message of version 2");
	front_message(g, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
	expect_end(g, "a message of version 0");
	front_message(g, VHOST_USER_GET_FEATURES, V | VHOST_USER_REPLY, NULL, 0, NULL,
		      0);
	expect_end(g, "a reply that nobody asked for");
	front_send_fds(g, (uint32_t[3]){VHOST_USER_SET_MEM_TABLE, V, 513}, 12, NULL, 0);
	expect_end(g, "announces 513 bytes");
	front_send_fds(g, (uint32_t[3]){VHOST_USER_SET_MEM_TABLE, V, UINT32_MAX}, 12,
		       NULL, 0);
	expect_end(g, "announces 4294967295 bytes");
}

static void a_wrong_size_ends_the_connection_or_is_refused(void **state)
{
	static const struct {
		uint32_t request, size;
	} bad[] = {
		{VHOST_USER_GET_FEATURES, 8},	{VHOST_USER_SET_FEATURES, 7},
		{VHOST_USER_SET_FEATURES, 16},	{VHOST_USER_SET_VRING_NUM, 4},
		{VHOST_USER_SET_VRING_ADDR, 8}, {VHOST_USER_SET_VRING_KICK, 0},
		{VHOST_USER_GET_CONFIG, 11},	{VHOST_USER_SET_MEM_TABLE, 7},
		{VHOST_USER_GET_VRING_BASE, 9}, {VHOST_USER_RESET_DEVICE, 1},
	};
	struct guest *g = *state;
	uint8_t zeros[64] = {0};

	guest_connect(g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		front_message(g, bad[i].request, V, zeros, bad[i].size, NULL, 0);
		expect_end(g, "were expected");
	}
	/* Where an answer was asked for, it is no, and the connection goes on. */
	assert_int_equal(front_ask(g, VHOST_USER_SET_FEATURES, zeros, 7, NULL, 0), 1);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, 0);
}

static void unknown_requests_are_refused_and_logged(void **state)
{
	static const uint32_t request[] = {0,  19, 20, 26, 30,
					   33, 35, 39, 99, UINT32_MAX};
	struct guest *g = *state;
	uint64_t zero = 0;

	guest_connect(g);
	for (size_t i = 0; i < sizeof(request) / sizeof(request[0]); i++)
		assert_int_equal(front_ask(g, request[i], &zero, 8, NULL, 0), 1);
	assert_true(log_has(g, "request 99, which is not known"));
	front_message(g, 99, V, &zero, 8, NULL, 0);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, 0);
}

/* What the ring is refused for must not be found out only by the next packet. */
static void a_refused_kick_stops_a_running_ring(void **state)
{
	struct guest *g = *state;
	uint64_t value = 0;
	uint32_t port;
	int fd, pair[2];

	guest_start(g);
	fd = join_in(g, 5000, &port);
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_VRING_KICK, &value, 8, &g->memfd, 1), 1);
	/* This wants to be told to the guest. */
	close(fd);
	/* A socket might be the front-end's own end of the connection. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_VRING_KICK, &value, 8, &pair[0], 1), 1);
	close(pair[0]);
	close(pair[1]);
	/* The device stands still, and whoever comes now is turned away. */
	fd = connect_unix(g->uds);
	host_expect_closed(fd);
	close(fd);
	front_get_u64(g, VHOST_USER_GET_FEATURES);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	struct guest *g = *state;
	uint64_t bit = 1ULL << 35; /* IN_ORDER */

	guest_connect(g);
	assert_int_equal(front_ask(g, VHOST_USER_SET_FEATURES, &bit, 8, NULL, 0), 1);
	bit = 1ULL << 40;
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_PROTOCOL_FEATURES, &bit, 8, NULL, 0), 1);
	bit = 1ULL << 35;
	front_message(g, VHOST_USER_SET_FEATURES, V, &bit, 8, NULL, 0);
	expect_end(g, "were never offered");
}

static void descriptors_in_excess_are_closed_and_refused(void **state)
{
	struct guest *g = *state;
	uint64_t index = 0;
	unsigned int before;
	int fds[60];

	guest_connect(g);
	before = proc_count_files(g->pid);
	for (int i = 0; i < 60; i++)
		fds[i] = g->memfd;
	/* Where none, or one, belongs. */
	assert_int_equal(front_ask(g, VHOST_USER_SET_OWNER, NULL, 0, fds, 1), 1);
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_CALL, &index, 8, fds, 2), 1);
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_CALL, &index, 8, NULL, 0),
			 1);
	index = 0x100;
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_CALL, &index, 8, fds, 1), 1);
	wait_until(proc_count_files(g->pid) == before);
	/* More than any message has. */
	for (size_t count = 9; count <= 60; count += 51) {
		front_message(g, VHOST_USER_SET_OWNER, V, NULL, 0, fds, count);
		expect_end(g, "more than 8 descriptors");
		wait_until(proc_count_files(g->pid) == before);
	}
}

static void ring_indexes_are_checked_in_every_message(void **state)
{
	struct guest *g = *state;
	uint32_t state_[2], addr[10] = {0}, i;
	static const uint32_t request[] = {VHOST_USER_SET_VRING_NUM,
					   VHOST_USER_SET_VRING_BASE,
					   VHOST_USER_SET_VRING_ENABLE};
	static const uint32_t index[] = {3, 255, 0x80000000, UINT32_MAX};

	guest_connect(g);
	for (i = 0; i < 4; i++) {
		state_[0] = index[i];
		state_[1] = 1;
		for (int r = 0; r < 3; r++)
			assert_int_equal(front_ask(g, request[r], state_, 8, NULL, 0),
					 1);
		addr[0] = index[i];
		assert_int_equal(
			front_ask(g, VHOST_USER_SET_VRING_ADDR, addr, 40, NULL, 0), 1);
		front_message(g, VHOST_USER_GET_VRING_BASE, V, state_, 8, NULL, 0);
		expect_end(g, "there are 3");
	}
	for (uint32_t r = VHOST_USER_SET_VRING_KICK; r <= VHOST_USER_SET_VRING_ERR;
	     r++) {
		uint64_t value = 3;

		assert_int_equal(front_ask(g, r, &value, 8, &g->memfd, 1), 1);
		value = 255;
		assert_int_equal(front_ask(g, r, &value, 8, &g->memfd, 1), 1);
	}
}

static void ring_sizes_are_checked(void **state)
{
	static const uint32_t bad[] = {0, 3, 100, 65536, UINT32_MAX};
	struct guest *g = *state;

	guest_connect(g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t num[2] = {0, bad[i]};

		assert_int_equal(
			front_ask(g, VHOST_USER_SET_VRING_NUM, num, 8, NULL, 0), 1);
	}
	front_ok_state(g, VHOST_USER_SET_VRING_NUM, 0, 32768);
	uint32_t base[2] = {0, 65536};
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_BASE, base, 8, NULL, 0), 1);
}

/* The ring's parts must be in the memory, whole and aligned, when it starts. */
static void rings_outside_the_memory_do_not_start(void **state)
{
	struct guest *g = *state;
	static const uint64_t bad[] = {
		0,	    USER_A - 16,     USER_A + REGION_SIZE - 16,
		USER_A + 1, UINT64_MAX - 15, REGION_A};
	int kick = eventfd(0, EFD_CLOEXEC);

	guest_connect(g);
	guest_share_memory(g);
	front_ok_u64(g, VHOST_USER_SET_FEATURES, g->features);
	front_ok_state(g, VHOST_USER_SET_VRING_NUM, 0, 128);
	for (int part = 0; part < 3; part++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			uint64_t index = 0,
				 addr[5] = {0, USER_A, USER_A + 8192, USER_A + 4096, 0};

			addr[1 + part] = bad[i];
			assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_ADDR, addr,
						   40, NULL, 0),
					 0);
			assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_KICK, &index,
						   8, &kick, 1),
					 1);
		}
	}
	/* Nor without a kick, nor with one that cannot be watched. */
	uint64_t value = 0x100, addr[5] = {0, USER_A, USER_A + 8192, USER_A + 4096, 0};
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_ADDR, addr, 40, NULL, 0), 0);
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_KICK, &value, 8, NULL, 0),
			 1);
	value = 0;
	assert_int_equal(
		front_ask(g, VHOST_USER_SET_VRING_KICK, &value, 8, &g->memfd, 1), 1);
	front_ok_fd(g, VHOST_USER_SET_VRING_KICK, 0, kick);
	/* A ring that runs is not to be changed. */
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_NUM, (uint32_t[2]){0, 64}, 8,
				   NULL, 0),
			 1);
	close(kick);
}

static uint64_t set_memory(struct guest *g, struct mem_message *m, size_t fd_count)
{
	int fds[9];

	for (size_t i = 0; i < 9; i++)
		fds[i] = g->memfd;
	return front_ask(g, VHOST_USER_SET_MEM_TABLE, m,
			 8 + m->count * sizeof(m->region[0]), fds, fd_count);
}

static void memory_that_cannot_be_is_refused(void **state)
{
	static const struct memory_layout bad[] = {
		{REGION_A, 0, USER_A, 0},
		{UINT64_MAX - 10, REGION_SIZE, USER_A, 0},
		{REGION_A, REGION_SIZE, UINT64_MAX - 10, 0},
		{REGION_A, REGION_SIZE, USER_A, UINT64_MAX - 10},
		{REGION_A, REGION_SIZE, USER_A, REGION_SIZE + 1},
		{REGION_A, 2 * REGION_SIZE + 1, USER_A, 0},
		{REGION_A, 1ULL << 63, USER_A, 0},
		{REGION_B - 1, REGION_SIZE, USER_A, 0},
		{REGION_A, REGION_SIZE, USER_B + 1, 0},
	};
	struct guest *g = *state;
	struct mem_message m = {.count = 2};

	guest_connect(g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		m.region[0] = bad[i];
		m.region[1] =
			(struct memory_layout){REGION_B, REGION_SIZE, USER_B, FILE_B};
		assert_int_equal(set_memory(g, &m, 2), 1);
	}
	m.region[0] = (struct memory_layout){REGION_A, REGION_SIZE, USER_A, FILE_A};
	assert_int_equal(set_memory(g, &m, 1), 1);
	assert_int_equal(set_memory(g, &m, 3), 1);
	assert_int_equal(set_memory(g, &m, 2), 0);
	/* Nine regions, or a count that the size does not bear out. */
	m.count = 9;
	assert_int_equal(set_memory(g, &m, 8), 1);
	m.count = 1;
	assert_int_equal(front_ask(g, VHOST_USER_SET_MEM_TABLE, &m, 72, &g->memfd, 1),
			 1);
	m.count = UINT32_MAX;
	assert_int_equal(front_ask(g, VHOST_USER_SET_MEM_TABLE, &m, 40, &g->memfd, 1),
			 1);
	/* A pipe is no memory. */
	int pipe_fd[2];
	assert_int_equal(pipe(pipe_fd), 0);
	m.count = 1;
	assert_int_equal(front_ask(g, VHOST_USER_SET_MEM_TABLE, &m, 40, &pipe_fd[1], 1),
			 1);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void new_memory_under_running_rings_is_followed(void **state)
{
	struct guest *g = *state;
	struct mem_message m = {
		.count = 2,
		.region = {{REGION_B, REGION_SIZE, USER_B, FILE_B},
			   {REGION_A, REGION_SIZE, USER_A, FILE_A}},
	};
	uint32_t port;
	int fd;

	guest_start(g);
	assert_int_equal(set_memory(g, &m, 2), 0);
	fd = join_in(g, 5000, &port);
	/* Without the part that the rings are in, they stop. */
	m.count = 1;
	assert_int_equal(set_memory(g, &m, 1), 1);
	wait_until(log_has(g, "is outside"));
	close(fd);
	guest_start(g);
	fd = join_in(g, 5000, &port);
	close(fd);
}

static void memory_comes_and_goes_slot_by_slot(void **state)
{
	struct guest *g = *state;
	unsigned int before;

	guest_connect(g);
	before = proc_count_files(g->pid);
	assert_true(front_get_u64(g, VHOST_USER_GET_PROTOCOL_FEATURES) & 1 << 15);
	assert_int_equal(front_get_u64(g, VHOST_USER_GET_MAX_MEM_SLOTS), 509);
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, false, REGION_SIZE, 0),
			 1);
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, false, REGION_SIZE, 0),
			 1);
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, false, REGION_SIZE, 2),
			 1);
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, false, REGION_SIZE, 1),
			 0);
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, false, REGION_SIZE, 1),
			 1);
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, true, REGION_SIZE, 1),
			 0);
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, true, 1, 0), 1);
	/* With a descriptor, as some front-ends do. */
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, true, REGION_SIZE, 1),
			 0);
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, true, REGION_SIZE, 0),
			 1);
	assert_int_equal(proc_count_files(g->pid), before);
}

/* What QEMU does when a region changes its size while the guest runs. */
static void a_ring_waits_for_memory_that_was_taken_away(void **state)
{
	struct guest *g = *state;
	uint32_t port;
	int fd, other;

	guest_start(g);
	fd = join_in(g, 5000, &port);
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, false, REGION_SIZE, 0),
			 0);
	assert_true(log_has(g, "ring 0 waits for its memory"));
	host_send(fd, "hello");
	fake_kick(&g->ring[0]);
	fake_kick(&g->ring[1]);
	/* Smaller, without the rings' place: they go on waiting. */
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, false, 4096, 1), 0);
	other = connect_unix(g->uds);
	host_expect_closed(other);
	close(other);
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, false, 4096, 0), 0);
	assert_int_equal(front_slot(g, VHOST_USER_ADD_MEM_REG, false, REGION_SIZE, 1),
			 0);
	/* The connection is still there, and so are the bytes. */
	guest_expect(g, PACKET_RW, 5000, port);
	part(g, fd, 5000, port);
	/* One that is stopped meanwhile tells where it was. */
	assert_int_equal(front_slot(g, VHOST_USER_REM_MEM_REG, false, REGION_SIZE, 0),
			 0);
	assert_int_equal(guest_stop_ring(g, 1), g->ring[1].next);
	assert_int_equal(guest_stop_ring(g, 0), g->ring[0].seen_used);
}

static void a_third_ring_is_accepted(void **state)
{
	struct guest *g = *state;
	uint64_t addr[5] = {2, USER_A + 0x20000, USER_A + 0x22000, USER_A + 0x21000, 0};
	int kick = eventfd(0, EFD_CLOEXEC), call = eventfd(0, EFD_CLOEXEC);
	uint32_t port;

	guest_start(g);
	front_ok_state(g, VHOST_USER_SET_VRING_NUM, 2, 16);
	front_ok_state(g, VHOST_USER_SET_VRING_BASE, 2, 0);
	assert_int_equal(front_ask(g, VHOST_USER_SET_VRING_ADDR, addr, 40, NULL, 0), 0);
	front_ok_fd(g, VHOST_USER_SET_VRING_CALL, 2, call);
	front_ok_fd(g, VHOST_USER_SET_VRING_KICK, 2, kick);
	front_ok_state(g, VHOST_USER_SET_VRING_ENABLE, 2, 1);
	assert_int_equal(write(kick, &(uint64_t){1}, 8), 8);
	close(join_in(g, 5000, &port));
	close(kick);
	close(call);
}

static void get_vring_base_tells_how_far_the_ring_came(void **state)
{
	struct guest *g = *state;

	guest_start(g);
	for (int i = 0; i < 5; i++) {
		uint32_t port;
		int fd = join_in(g, 5000, &port);

		part(g, fd, 5000, port);
	}
	assert_int_equal(guest_stop_ring(g, 1), g->ring[1].next);
	assert_int_equal(guest_stop_ring(g, 0), g->ring[0].seen_used);
}

/* Bytes that never were a message, many times over. */
static void noise_is_survived(void **state)
{
	struct guest *g = *state;
	unsigned int seed = (unsigned int)now_ms(), before;

	print_message("# seed %u\n", seed);
	srandom(seed);
	guest_connect(g);
	before = proc_count_files(g->pid);
	for (int i = 0; i < 500; i++) {
		uint32_t size = random() % 80, words[3 + 20];
		int fds[3] = {g->memfd, g->memfd, g->memfd};

		for (size_t w = 0; w < 23; w++)
			words[w] = random() % 3 ? random() % 4 : random();
		words[0] = random() % 45;
		words[1] = random() % 8 ? V | VHOST_USER_NEED_REPLY : random();
		words[2] = random() % 8 ? size : (uint32_t)random();
		close(g->front);
		g->front = connect_unix(g->vhost_user);
		front_send_fds(g, words, 12 + size, fds, random() % 4);
	}
	guest_connect(g);
	wait_until(proc_count_files(g->pid) == before);
	guest_start(g);
	uint32_t port;
	close(join_in(g, 5000, &port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_daemon(qemus_first_questions_are_answered),
		test_daemon(configuration_beyond_its_end_is_refused),
		test_daemon(a_message_may_come_in_pieces),
		test_daemon(half_a_message_and_a_close_are_survived),
		test_daemon(a_wrong_header_ends_the_connection),
		test_daemon(a_wrong_size_ends_the_connection_or_is_refused),
		test_daemon(unknown_requests_are_refused_and_logged),
		test_daemon(a_refused_kick_stops_a_running_ring),
		test_daemon(features_that_were_not_offered_are_refused),
		test_daemon(descriptors_in_excess_are_closed_and_refused),
		test_daemon(ring_indexes_are_checked_in_every_message),
		test_daemon(ring_sizes_are_checked),
		test_daemon(rings_outside_the_memory_do_not_start),
		test_daemon(memory_that_cannot_be_is_refused),
		test_daemon(new_memory_under_running_rings_is_followed),
		test_daemon(memory_comes_and_goes_slot_by_slot),
		test_daemon(a_ring_waits_for_memory_that_was_taken_away),
		test_daemon(a_third_ring_is_accepted),
		test_daemon(get_vring_base_tells_how_far_the_ring_came),
		test_daemon(noise_is_survived),
	};

	return cmocka_run_group_tests_name("vhost-user", tests, NULL, NULL);
}
