/* SPDX-License-Identifier: Apache-2.0 */
/* What a limit costs whom, and that the rest goes on. */
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../../transport/amount.h"
#include "../../transport/bucket.h"
#include "../../transport/conn.h"
#include "../../transport/timers.h"
#include "fake_flow.h"

/* The state in /proc, behind the name. */
static bool is_asleep(pid_t pid)
{
	char text[512], *name_end;

	assert_true(proc_read(pid, "stat", text, sizeof(text)) > 0);
	name_end = strrchr(text, ')');
	return name_end && name_end[2] == 'S';
}

/* In the system call that waits for events, without an end. */
static bool waits_for_ever(pid_t pid)
{
	unsigned long long fd, events, max, timeout;
	char text[512];
	long call = -1;

	if (proc_read(pid, "syscall", text, sizeof(text)) < 0)
		skip(); /* somebody else's, or a kernel that does not tell */
	if (sscanf(text, "%ld %llx %llx %llx %llx", &call, &fd, &events, &max,
		   &timeout) < 5)
		return false;
#ifdef SYS_epoll_wait
	if (call == SYS_epoll_wait)
		return (int)timeout == -1;
#endif
	return call == SYS_epoll_pwait && (int)timeout == -1;
}

static struct guest *limited(const struct limits *limits)
{
	struct guest *g = guest_new_limited(limits);

	alarm(PATIENCE * 3 / 1000);
	guest_start(g);
	return g;
}

static void beyond_max_connections_more_are_refused_and_the_others_live(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct packet request = guest_packet(PACKET_REQUEST, 9999, 6000, 0), packet;
	char payload[4096];
	struct guest *g;
	uint32_t port;
	int fd[20], more, listener;

	(void)state;
	limits.max_connections = 20;
	g = limited(&limits);
	for (int i = 0; i < 20; i++)
		fd[i] = join_in(g, 5000, &port);
	more = connect_unix(g->uds);
	host_expect_closed(more);
	close(more);
	listener = listen_port(g, 6000);
	guest_send(g, &request, NULL);
	guest_expect(g, PACKET_RST, 9999, 6000);
	close(listener);
	assert_true(log_has(g, "--max-connections"));
	host_send(fd[0], "still here");
	guest_receive(g, &packet, payload);
	assert_memory_equal(payload, "still here", 10);
	/* The end of one makes room for another. */
	part(g, fd[19], 5000, port);
	close(join_in(g, 5000, &port));
	for (int i = 0; i < 19; i++)
		close(fd[i]);
	guest_free(g);
}

/* Those from the guest get an RST, host programs wait for their turn. */
static void beyond_the_connect_rate_guests_are_refused_and_programs_wait(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct packet packet, request;
	unsigned int refused = 0;
	struct guest *g;
	uint32_t port;
	int fd[12], listener;

	(void)state;
	limits.connect_rate = 4;
	g = limited(&limits);
	/* All of these get through. */
	for (int i = 0; i < 12; i++)
		fd[i] = join_in(g, 5000, &port);
	assert_true(log_has(g, "have to wait"));
	listener = listen_port(g, 6000);
	/* However slow this is, some come too soon. */
	for (uint32_t i = 0; !refused; i++) {
		request = guest_packet(PACKET_REQUEST, 1000 + i, 6000, 0);
		guest_send(g, &request, NULL);
		guest_receive(g, &packet, NULL);
		assert_int_equal(packet.dst_port, 1000 + i);
		refused += packet.op == PACKET_RST;
	}
	assert_true(log_has(g, "the guest connects too often"));
	close(listener);
	for (int i = 0; i < 12; i++)
		close(fd[i]);
	guest_free(g);
}

static void a_buffer_of_another_size_is_what_the_guest_is_told(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct flow f = flow_of(5000, 0);
	struct packet rw = guest_packet(PACKET_RW, 5000, 0, 8193), packet;
	static uint8_t payload[8193];
	struct guest *g;
	int fd;

	(void)state;
	limits.conn_buffer = 8192;
	g = limited(&limits);
	fd = join_in(g, 5000, &f.host_port);
	guest_send(g,
		   &(struct packet){.src_cid = GUEST_CID,
				    .dst_cid = PACKET_HOST_CID,
				    .src_port = 5000,
				    .dst_port = f.host_port,
				    .type = PACKET_STREAM,
				    .op = PACKET_CREDIT_REQUEST,
				    .buf_alloc = GUEST_BUFALLOC},
		   NULL);
	guest_receive(g, &packet, NULL);
	assert_int_equal(packet.op, PACKET_CREDIT_UPDATE);
	assert_int_equal(packet.buf_alloc, 8192);
	/* Many times as much passes. */
	f.peer_alloc = 8192;
	while (f.host_received < 100 * 8192) {
		flow_send(g, &f, 4096, 2);
		host_read_some(fd, &f);
		flow_receive(g, &f);
	}
	/* But no more than that at once. */
	rw.dst_port = f.host_port;
	guest_send(g, &rw, payload);
	guest_expect(g, PACKET_RST, 5000, f.host_port);
	close(fd);
	guest_free(g);
}

/* Several programs do not read; the last one that needs memory is out of luck. */
static void beyond_the_buffer_total_a_connection_is_reset(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct flow f[4];
	struct guest *g;
	int fd[4];

	(void)state;
	limits.buffer_total = 3 * 256 * 1024;
	g = limited(&limits);
	for (int i = 0; i < 4; i++) {
		f[i] = flow_of(5000 + i, 0);
		fd[i] = join_in(g, 5000 + i, &f[i].host_port);
	}
	for (int i = 0; i < 3; i++) {
		while (flow_send(g, &f[i], 32768, 2))
			flow_receive(g, &f[i]);
	}
	/* Its socket takes some, then its turn comes too. */
	for (;;) {
		struct packet rw = guest_packet(PACKET_RW, 5003, f[3].host_port, 32768);
		static uint8_t payload[32768];
		struct packet packet;
		bool reset = false;

		guest_send(g, &rw, payload);
		while (guest_try_receive(g, &packet, NULL))
			reset |= packet.op == PACKET_RST && packet.dst_port == 5003;
		if (reset)
			break;
	}
	assert_true(log_has(g, "--buffer-total"));
	/* The others have lost nothing. */
	for (int i = 0; i < 3; i++) {
		while (f[i].host_received < f[i].sent)
			host_read_some(fd[i], &f[i]);
	}
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	guest_free(g);
}

/*
 * Bytes wait in the ring, or in the socket, and arrive, no sooner than they may: a
 * burst at once, and what was begun before that was used up.
 */
static void beyond_the_rate_bytes_wait_and_none_is_lost(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct flow f = flow_of(5000, 0);
	const uint64_t total = 1 << 20, packet = 32768;
	uint64_t began, to_host = 0, to_guest = 0, most_at_once;
	struct guest *g;
	int fd;

	(void)state;
	limits.rate = 2 << 20;
	g = limited(&limits);
	fd = join_in(g, 5000, &f.host_port);
	began = now_ms();
	while (!to_host || !to_guest) {
		uint64_t len = total - f.sent < packet ? total - f.sent : packet;

		host_write_some(fd, &f, total);
		flow_receive(g, &f);
		if (len)
			flow_send(g, &f, (uint32_t)len, 2);
		host_read_some(fd, &f);
		if (!to_host && f.host_received == total)
			to_host = now_ms() - began;
		if (!to_guest && f.received == total)
			to_guest = now_ms() - began;
	}
	assert_true(log_has(g, "bytes from the guest wait"));
	assert_true(log_has(g, "bytes to the guest wait"));
	print_message("to the host in %llu ms, to the guest in %llu ms\n",
		      (unsigned long long)to_host, (unsigned long long)to_guest);
	most_at_once = limits.rate / 10 + packet;
	assert_true(to_host + 3 >= (total - most_at_once) * 1000 / limits.rate);
	/* One read fills all buffers that there are. */
	most_at_once = limits.rate / 10 + (uint64_t)g->rx_slots * g->rx_size;
	assert_true(to_guest + 3 >= (total - most_at_once) * 1000 / limits.rate);
	close(fd);
	guest_free(g);
}

/* However it ends, nothing wakes the daemon up for bytes that will not come. */
static void a_guest_that_ends_at_its_rate_is_not_waited_for(void **state)
{
	enum {
		LEAVES,
		PAUSES,
		BREAKS,
		WAYS
	};
	struct limits limits = LIMITS_DEFAULT;

	(void)state;
	limits.rate = 10;
	for (int way = LEAVES; way < WAYS; way++) {
		struct guest *g = limited(&limits);
		struct packet rw = guest_packet(PACKET_RW, 5000, 0, 4096);
		uint8_t head[PACKET_HEADER_SIZE], payload[4096] = "";
		uint32_t port;
		int fd = join_in(g, 5000, &port), other = -1;

		/* The first of each is a debt for minutes. */
		host_send(fd, "behind");
		guest_expect(g, PACKET_RW, 5000, port);
		host_send(fd, "behind");
		rw.dst_port = port;
		guest_send(g, &rw, payload);
		packet_encode(&rw, head);
		guest_offer_tx(g, 1, head, payload, rw.len, 1);
		wait_until(log_has(g, "bytes from the guest wait") &&
			   log_has(g, "bytes to the guest wait"));
		if (way == LEAVES) {
			close(g->front);
			g->front = -1;
		} else if (way == PAUSES) {
			guest_stop_ring(g, 0);
			guest_stop_ring(g, 1);
		} else {
			for (unsigned int i = 0; i < RX_NUM; i++)
				g->ring[0].desc[i].addr = 1ULL << 60;
			/* The guest is to be asked. */
			other = connect_unix(g->uds);
			host_send(other, "CONNECT 5000\n");
			wait_until(log_has(g, "broke its receive ring"));
		}
		wait_until(waits_for_ever(g->pid));
		close(fd);
		close(other);
		guest_free(g);
	}
}

static void a_daemon_that_polls_moves_bytes_and_sleeps_in_the_end(void **state)
{
	struct guest *g = guest_new_with((struct vsockd_options){.busy_poll = 2000});
	struct flow f = flow_of(5000, 0);
	const uint64_t total = 1 << 20;
	int fd;

	(void)state;
	alarm(PATIENCE * 3 / 1000);
	guest_start(g);
	fd = join_in(g, 5000, &f.host_port);
	for (int round = 1; round <= 5; round++) {
		while (f.host_received < round * total || f.received < round * total) {
			host_write_some(fd, &f, round * total);
			flow_receive(g, &f);
			if (f.sent < round * total)
				flow_send(g, &f, 1024, 2);
			host_read_some(fd, &f);
		}
		/* From its sleep it is woken by either side. */
		wait_until(is_asleep(g->pid));
	}
	close(fd);
	guest_free(g);
}

/* However many wait for their time: the earliest is first, and may go. */
static void timers_come_in_order(void **state)
{
	static struct conn conn[1000];
	struct timers timers = {0};
	uint64_t last = 0;
	size_t count = 0;

	(void)state;
	srandom(1);
	for (int turn = 0; turn < 20000; turn++) {
		struct conn *c = &conn[random() % 1000];

		count -= c->timer != 0;
		c->deadline = random() % 3 ? 1 + random() % 5000 : 0;
		count += c->deadline != 0;
		assert_int_equal(timers_reserve(&timers, count), 0);
		timers_settle(&timers, c);
		assert_int_equal(timers.count, count);
		for (size_t i = 0; turn % 100 == 0 && i < 1000; i++)
			assert_true(!conn[i].deadline ||
				    timers_first(&timers)->deadline <=
					    conn[i].deadline);
	}
	while (count--) {
		struct conn *c = timers_first(&timers);

		assert_true(c->deadline >= last);
		last = c->deadline;
		c->deadline = 0;
		timers_settle(&timers, c);
		assert_int_equal(c->timer, 0);
	}
	assert_null(timers_first(&timers));
	timers_free(&timers);
}

static void a_bucket_gives_its_rate_and_a_burst(void **state)
{
	struct bucket bucket;
	uint64_t now = 5000, taken = 0;

	(void)state;
	bucket_init(&bucket, 100, 20, now);
	while (bucket_ready(&bucket, now)) {
		bucket_take(&bucket, 1);
		taken++;
	}
	assert_int_equal(taken, 20);
	assert_in_range(bucket_wait(&bucket), 10, 20);
	for (uint64_t end = now + 10000; now < end; now += 7) {
		while (bucket_ready(&bucket, now)) {
			bucket_take(&bucket, 1);
			taken++;
		}
	}
	assert_in_range(taken, 20 + 998, 20 + 1000);
	/* A debt is paid back before anything else is had. */
	bucket_take(&bucket, 500);
	assert_int_equal(bucket_wait(&bucket), 1000);
	assert_false(bucket_ready(&bucket, now + 4900));
	assert_true(bucket_ready(&bucket, now + 5100));
	/* What is not taken does not pile up. */
	assert_true(bucket_ready(&bucket, now + 1000000));
	bucket_take(&bucket, 20);
	assert_false(bucket_ready(&bucket, now + 1000000));
	/* The greatest rate does not overflow; none is no limit. */
	bucket_init(&bucket, LIMITS_RATE_MAX, LIMITS_RATE_MAX, now);
	bucket_take(&bucket, 1 << 30);
	assert_true(bucket_ready(&bucket, now + 100000));
	bucket_init(&bucket, 0, 0, now);
	bucket_take(&bucket, 1 << 30);
	assert_true(bucket_ready(&bucket, now));
	assert_int_equal(bucket_wait(&bucket), 0);
}

static void amounts_are_numbers_with_a_suffix_and_bounds(void **state)
{
	static const struct {
		const char *text;
		uint64_t value; /* 0: refused */
	} row[] = {
		{"1", 1},
		{"4096", 4096},
		{"64K", 65536},
		{"3M", 3 << 20},
		{"1G", 1 << 30},
		{"4294967296", 1ULL << 32},
		{"", 0},
		{"0", 0},
		{"-1", 0},
		{"+1", 0},
		{" 1", 0},
		{"1KB", 0},
		{"1k", 0},
		{"0x10", 0},
		{"K", 0},
		{"5G", 0},
		{"4294967297", 0},
		{"18446744073709551616", 0},
		{"17179869184G", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		uint64_t value = 0;
		int ret = amount_parse(row[i].text, 1, 1ULL << 32, &value);

		assert_int_equal(ret, row[i].value ? 0 : -EINVAL);
		assert_int_equal(value, row[i].value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			beyond_max_connections_more_are_refused_and_the_others_live),
		cmocka_unit_test(
			beyond_the_connect_rate_guests_are_refused_and_programs_wait),
		cmocka_unit_test(a_buffer_of_another_size_is_what_the_guest_is_told),
		cmocka_unit_test(beyond_the_buffer_total_a_connection_is_reset),
		cmocka_unit_test(beyond_the_rate_bytes_wait_and_none_is_lost),
		cmocka_unit_test(a_guest_that_ends_at_its_rate_is_not_waited_for),
		cmocka_unit_test(a_daemon_that_polls_moves_bytes_and_sleeps_in_the_end),
		cmocka_unit_test(timers_come_in_order),
		cmocka_unit_test(a_bucket_gives_its_rate_and_a_burst),
		cmocka_unit_test(amounts_are_numbers_with_a_suffix_and_bounds),
	};

	return cmocka_run_group_tests_name("device: limits", tests, NULL, NULL);
}
