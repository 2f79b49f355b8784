/* SPDX-License-Identifier: Apache-2.0 */
/* The packet header, and credit arithmetic. */
#include "unit.h"

#include <string.h>

#include "../../transport/credit.h"
#include "../../transport/packet.h"

#define BUF_ALLOC (256u * 1024)

static struct packet sample(void)
{
	return (struct packet){
		.src_cid = 0x0807060504030201,
		.dst_cid = 2,
		.src_port = 0x0c0b0a09,
		.dst_port = 0x100f0e0d,
		.len = 0x14131211,
		.type = 1,
		.op = PACKET_RW,
		.flags = 0x18171615,
		.buf_alloc = 0x1c1b1a19,
		.fwd_cnt = 0x201f1e1d,
	};
}

static void the_header_has_44_bytes_little_endian(void **state)
{
	static const uint8_t want[44] = {
		1,    2,    3,	  4,	5,    6,    7,	  8,	2,    0,    0,
		0,    0,    0,	  0,	0,    9,    10,	  11,	12,   13,   14,
		15,   16,   0x11, 0x12, 0x13, 0x14, 1,	  0,	5,    0,    0x15,
		0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20};
	struct packet packet = sample(), back;
	uint8_t bytes[PACKET_HEADER_SIZE];

	(void)state;
	packet_encode(&packet, bytes);
	assert_memory_equal(bytes, want, sizeof(want));
	packet_decode(&back, bytes);
	packet_encode(&back, bytes);
	assert_memory_equal(bytes, want, sizeof(want));
}

static void siblings_and_types_are_as_the_rules_say(void **state)
{
	static const struct {
		uint64_t dst;
		uint16_t type;
		struct packet_rules rules;
		enum packet_verdict verdict;
	} row[] = {
		{3, 1, {9, true, false, false}, PACKET_ACCEPT},
		{4294967294, 1, {9, true, false, false}, PACKET_ACCEPT},
		{2, 1, {9, true, false, false}, PACKET_ACCEPT},
		{0, 1, {9, true, false, false}, PACKET_REJECT},
		{1, 1, {9, true, false, false}, PACKET_REJECT},
		{9, 1, {9, true, false, false}, PACKET_REJECT},
		{4294967295, 1, {9, true, false, false}, PACKET_REJECT},
		{3 + (1ULL << 32), 1, {9, true, false, false}, PACKET_REJECT},
		{~0ULL, 1, {9, true, false, false}, PACKET_REJECT},
		{2, 1, {9, false, true, false}, PACKET_REJECT},
		{2, 2, {9, false, true, false}, PACKET_ACCEPT},
		{2, 2, {9, false, false, true}, PACKET_REJECT},
		{2, 3, {9, true, false, false}, PACKET_REJECT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct packet packet = {.src_cid = 9,
					.dst_cid = row[i].dst,
					.type = row[i].type,
					.op = PACKET_REQUEST};
		const char *why;

		if (packet_check(&packet, &row[i].rules, 0, &why) != row[i].verdict)
			fail_msg("row %zu", i);
	}
}

static void every_fault_has_its_verdict(void **state)
{
	static const struct {
		uint64_t src, dst;
		uint32_t len;
		uint16_t type, op;
		enum packet_verdict verdict;
	} row[] = {
		{9, 2, 10, 1, PACKET_RW, PACKET_ACCEPT},
		{9, 2, 0, 1, PACKET_REQUEST, PACKET_ACCEPT},
		{9, 2, 0, 1, PACKET_RST, PACKET_ACCEPT},
		{9, 2, 0, 1, PACKET_CREDIT_REQUEST, PACKET_ACCEPT},
		{9, 2, 11, 1, PACKET_RW, PACKET_REJECT},
		{9, 2, UINT32_MAX, 1, PACKET_RW, PACKET_REJECT},
		{9, 2, 1, 1, PACKET_REQUEST, PACKET_REJECT},
		{9, 2, 0, 1, PACKET_INVALID, PACKET_REJECT},
		{9, 2, 0, 1, PACKET_OPS, PACKET_REJECT},
		{9, 2, 0, 1, 0xffff, PACKET_REJECT},
		{9, 2, 0, 0, PACKET_REQUEST, PACKET_REJECT},
		{9, 2, 0, 2, PACKET_REQUEST, PACKET_REJECT},
		{9, 3, 0, 1, PACKET_REQUEST, PACKET_REJECT},
		{9, 0, 0, 1, PACKET_REQUEST, PACKET_REJECT},
		{9, 2, 0, 2, PACKET_RST, PACKET_DROP},
		{9, 3, 0, 1, PACKET_RST, PACKET_DROP},
		{8, 2, 0, 1, PACKET_REQUEST, PACKET_DROP},
		{2, 2, 0, 1, PACKET_REQUEST, PACKET_DROP},
		{9 + (1ULL << 32), 2, 0, 1, PACKET_REQUEST, PACKET_DROP},
	};

	const struct packet_rules rules = {.guest_cid = 9, .no_seqpacket = true};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct packet packet = {.src_cid = row[i].src,
					.dst_cid = row[i].dst,
					.len = row[i].len,
					.type = row[i].type,
					.op = row[i].op};
		const char *why = NULL;

		if (packet_check(&packet, &rules, 10, &why) != row[i].verdict)
			fail_msg("row %zu", i);
		assert_int_equal(why == NULL, row[i].verdict == PACKET_ACCEPT);
	}
}

static void an_rst_goes_back_the_way_the_packet_came(void **state)
{
	struct packet packet = sample(), rst = packet_reset(&packet);

	(void)state;
	assert_int_equal(rst.op, PACKET_RST);
	assert_int_equal(rst.src_cid, packet.dst_cid);
	assert_int_equal(rst.dst_cid, packet.src_cid);
	assert_int_equal(rst.src_port, packet.dst_port);
	assert_int_equal(rst.dst_port, packet.src_port);
	assert_int_equal(rst.type, packet.type);
	assert_int_equal(rst.len, 0);
}

static bool hear(struct credit *credit, uint32_t buf_alloc, uint32_t fwd_cnt)
{
	return credit_hear(
		credit, &(struct packet){.buf_alloc = buf_alloc, .fwd_cnt = fwd_cnt});
}

static void room_is_the_window_less_what_is_on_its_way(void **state)
{
	struct credit c = {0};

	(void)state;
	assert_int_equal(credit_bytes(&c), 0);
	assert_true(hear(&c, 1000, 0));
	assert_false(hear(&c, 1000, 0));
	assert_int_equal(credit_bytes(&c), 1000);
	credit_sent(&c, 700, 1);
	assert_int_equal(credit_bytes(&c), 300);
	credit_sent(&c, 300, 1);
	assert_int_equal(credit_bytes(&c), 0);
	assert_true(hear(&c, 1000, 600));
	assert_int_equal(credit_bytes(&c), 600);
}

static void counters_wrap(void **state)
{
	struct credit c = {.tx_cnt = UINT32_MAX - 99, .peer_fwd_cnt = UINT32_MAX - 99};

	(void)state;
	hear(&c, 1000, UINT32_MAX - 99);
	credit_sent(&c, 500, 1);
	assert_int_equal(c.tx_cnt, 400);
	assert_int_equal(credit_bytes(&c), 500);
	hear(&c, 1000, 300);
	assert_int_equal(credit_bytes(&c), 900);

	c = (struct credit){.buf_alloc = BUF_ALLOC,
			    .rx_cnt = UINT32_MAX - 9,
			    .fwd_cnt = UINT32_MAX - 9,
			    .told = UINT32_MAX - 9};
	assert_true(credit_take(&c, BUF_ALLOC));
	assert_false(credit_take(&c, 1));
	credit_forward(&c, 10);
	assert_int_equal(c.fwd_cnt, 0);
	assert_true(credit_take(&c, 10));
	assert_false(credit_take(&c, 1));
}

static void a_window_smaller_than_what_is_on_its_way_gives_no_room(void **state)
{
	struct credit c = {0};

	(void)state;
	hear(&c, 1000, 0);
	credit_sent(&c, 1000, 1);
	hear(&c, 500, 0);
	assert_int_equal(credit_bytes(&c), 0);
	hear(&c, 500, 499);
	assert_int_equal(credit_bytes(&c), 0);
	hear(&c, 500, 501);
	assert_int_equal(credit_bytes(&c), 1);
	hear(&c, 0, 1000);
	assert_int_equal(credit_bytes(&c), 0);
}

static void a_guest_that_claims_too_much_gets_no_more_than_its_window(void **state)
{
	struct credit c = {0};

	(void)state;
	hear(&c, 1000, 0);
	credit_sent(&c, 10, 1);
	/* More consumed than was ever sent. */
	hear(&c, 1000, 500);
	assert_int_equal(credit_bytes(&c), 1000);
	hear(&c, UINT32_MAX, 10);
	assert_true(credit_bytes(&c) <= 1u << 30);
	assert_true(credit_packets(&c) > 0);
}

static void packets_are_counted_until_they_are_consumed(void **state)
{
	struct credit c = {0};

	(void)state;
	hear(&c, 256 * 1024, 0);
	assert_int_equal(credit_packets(&c), 256);
	for (int i = 0; i < 256; i++) {
		assert_int_equal(credit_should_ask(&c), i >= 128);
		credit_sent(&c, 1, 1);
	}
	assert_int_equal(credit_packets(&c), 0);
	assert_true(credit_bytes(&c) > 200000);
	/* Exact to an eighth, and never too generous. */
	hear(&c, 256 * 1024, 100);
	assert_true(credit_packets(&c) <= 100);
	assert_true(credit_packets(&c) >= 100 - 256 / 8);
	hear(&c, 256 * 1024, 256);
	assert_int_equal(credit_packets(&c), 256);
	/* The same over many rounds, with the guest lagging behind. */
	for (uint32_t i = 0; i < 100000; i++) {
		assert_true(credit_packets(&c) > 0);
		credit_sent(&c, 3, 1);
		assert_true(c.packets <= 256);
		hear(&c, 256 * 1024, c.tx_cnt - (i > 50 ? 150 : 0));
	}
}

static void a_patient_guest_is_lent_half_as_many_packets_again(void **state)
{
	struct credit c = {0};

	(void)state;
	hear(&c, 8 * 1024, 0);
	credit_sent(&c, 8, 8);
	for (int i = 0; i < 100; i++)
		credit_lend(&c);
	assert_int_equal(credit_packets(&c), 4);
	/* Until it moves. */
	hear(&c, 8 * 1024, 1);
	assert_int_equal(credit_packets(&c), 0);
	/* Even the smallest window lets a packet through at a time. */
	c = (struct credit){0};
	hear(&c, 10, 0);
	assert_int_equal(credit_packets(&c), 1);
}

static void the_guest_is_told_before_it_stalls_and_not_all_the_time(void **state)
{
	struct credit c = {.buf_alloc = BUF_ALLOC};
	struct packet packet;
	unsigned int told = 0;

	(void)state;
	/* Everything passes at once: a packet in each half window. */
	for (unsigned int i = 0; i < 1024; i++) {
		assert_true(credit_take(&c, 4096));
		credit_forward(&c, 4096);
		if (credit_should_tell(&c)) {
			credit_tell(&c, &packet);
			assert_int_equal(packet.fwd_cnt, c.fwd_cnt);
			assert_int_equal(packet.buf_alloc, BUF_ALLOC);
			told++;
		}
		assert_true(c.rx_cnt - c.told < BUF_ALLOC);
	}
	assert_true(told >= 16 && told <= 32);
	/* A full window that drains slowly: told by then at the latest. */
	c = (struct credit){.buf_alloc = BUF_ALLOC};
	assert_true(credit_take(&c, BUF_ALLOC));
	assert_false(credit_should_tell(&c));
	credit_forward(&c, 1);
	assert_false(credit_should_tell(&c));
	credit_forward(&c, 40000);
	assert_true(credit_should_tell(&c));
	credit_tell(&c, &packet);
	assert_false(credit_should_tell(&c));
	credit_forward(&c, BUF_ALLOC - 40001);
	assert_true(credit_should_tell(&c));
}

/* Linux has no more on its way than its own socket's buffer, however small. */
static void a_guest_with_a_small_buffer_is_told_in_time(void **state)
{
	struct credit c = {.buf_alloc = BUF_ALLOC};
	struct packet packet = {.buf_alloc = 65536};

	(void)state;
	credit_hear(&c, &packet);
	assert_true(credit_take(&c, 65536));
	credit_forward(&c, 65536);
	assert_true(credit_should_tell(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_has_44_bytes_little_endian),
		cmocka_unit_test(every_fault_has_its_verdict),
		cmocka_unit_test(siblings_and_types_are_as_the_rules_say),
		cmocka_unit_test(a_guest_with_a_small_buffer_is_told_in_time),
		cmocka_unit_test(an_rst_goes_back_the_way_the_packet_came),
		cmocka_unit_test(room_is_the_window_less_what_is_on_its_way),
		cmocka_unit_test(counters_wrap),
		cmocka_unit_test(
			a_window_smaller_than_what_is_on_its_way_gives_no_room),
		cmocka_unit_test(
			a_guest_that_claims_too_much_gets_no_more_than_its_window),
		cmocka_unit_test(packets_are_counted_until_they_are_consumed),
		cmocka_unit_test(a_patient_guest_is_lent_half_as_many_packets_again),
		cmocka_unit_test(
			the_guest_is_told_before_it_stalls_and_not_all_the_time),
	};

	return cmocka_run_group_tests_name("packet and credit", tests, NULL, NULL);
}
