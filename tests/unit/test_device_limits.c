/* SPDX-License-Identifier: Apache-2.0 */
/* What a limit costs whom, and that the rest goes on. */
#include <sys/resource.h>

#include "../../transport/amount.h"
#include "fake_flow.h"

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
		cmocka_unit_test(amounts_are_numbers_with_a_suffix_and_bounds),
	};

	return cmocka_run_group_tests_name("device: limits", tests, NULL, NULL);
}
