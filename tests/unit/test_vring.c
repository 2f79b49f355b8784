/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a ring that a guest may have filled with anything. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../transport/iov.h"
#include "../../transport/vring.h"

#define GPA  0x10000ULL /* first region */
#define GPA2 0x20000ULL /* second, right behind it, elsewhere in our memory */
#define SIZE 0x10000ULL
#define NUM  16u

#define NEXT	 VRING_DESC_NEXT
#define WRITE	 VRING_DESC_WRITE
#define INDIRECT VRING_DESC_INDIRECT

struct bench {
	struct memory memory;
	uint8_t *a, *b;
	struct vring ring;
	struct vring_desc *desc;
	uint16_t *avail, *used;
	struct iovec iov[VRING_PIECES_MAX];
	struct vring_chain chain;
	struct error err;
};

static void start(struct bench *t, uint64_t features)
{
	vring_init(&t->ring);
	t->ring.num = NUM;
	t->ring.desc_user = 0x1000;
	t->ring.avail_user = 0x1000 + 0x200;
	t->ring.used_user = 0x1000 + 0x400;
	assert_int_equal(vring_start(&t->ring, &t->memory, features, &t->err), 0);
}

static int setup(void **state)
{
	struct bench *t = calloc(1, sizeof(*t));

	t->a = aligned_alloc(4096, SIZE);
	t->b = aligned_alloc(4096, SIZE);
	memset(t->a, 0, SIZE);
	memset(t->b, 0, SIZE);
	t->memory.count = 2;
	t->memory.region[0] = (struct memory_region){
		.guest = GPA, .size = SIZE, .user = 0x1000, .host = t->a};
	t->memory.region[1] = (struct memory_region){
		.guest = GPA2, .size = SIZE, .user = 0x900000, .host = t->b};
	t->desc = (struct vring_desc *)t->a;
	t->avail = (uint16_t *)(t->a + 0x200);
	t->used = (uint16_t *)(t->a + 0x400);
	start(t, VRING_F_EVENT_IDX | VRING_F_INDIRECT_DESC);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bench *t = *state;

	vring_reset(&t->ring);
	free(t->a);
	free(t->b);
	free(t);
	return 0;
}

static void offer(struct bench *t, uint16_t head)
{
	t->avail[2 + t->avail[1] % NUM] = head;
	t->avail[1]++;
}

static int pop(struct bench *t)
{
	return vring_pop(&t->ring, &t->memory, t->iov, VRING_PIECES_MAX, &t->chain,
			 &t->err);
}

static void put(struct bench *t, unsigned int i, uint64_t addr, uint32_t len,
		uint16_t flags, uint16_t next)
{
	t->desc[i] = (struct vring_desc){addr, len, flags, next};
}

static void expect_error(struct bench *t, uint16_t head, const char *why)
{
	offer(t, head);
	assert_true(pop(t) < 0);
	if (!strstr(t->err.text, why))
		fail_msg("\"%s\" where \"%s\" was expected", t->err.text, why);
	/* It stays where it is: not to be used any further, and not to be skipped. */
	assert_true(pop(t) < 0);
	t->ring.split.next_avail = t->ring.split.seen_avail = t->avail[1];
}

static void an_empty_ring_has_no_chain(void **state)
{
	assert_int_equal(pop(*state), 0);
}

static void a_chain_is_what_is_read_then_what_is_written(void **state)
{
	struct bench *t = *state;

	put(t, 3, GPA + 0x1000, 44, NEXT, 7);
	put(t, 7, GPA + 0x2000, 100, NEXT, 1);
	put(t, 1, GPA + 0x3000, 7, NEXT | WRITE, 2);
	put(t, 2, GPA + 0x4000, 9, WRITE, 0);
	offer(t, 3);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.head, 3);
	assert_int_equal(t->chain.n_read, 2);
	assert_int_equal(t->chain.read_len, 144);
	assert_int_equal(t->chain.n_write, 2);
	assert_int_equal(t->chain.write_len, 16);
	assert_ptr_equal(t->iov[1].iov_base, t->a + 0x2000);
	assert_ptr_equal(t->iov[3].iov_base, t->a + 0x4000);
	assert_int_equal(pop(t), 0);
}

static void a_buffer_across_regions_is_in_pieces(void **state)
{
	struct bench *t = *state;

	put(t, 0, GPA2 - 10, 30, 0, 0);
	offer(t, 0);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.n_read, 2);
	assert_ptr_equal(t->iov[0].iov_base, t->a + SIZE - 10);
	assert_int_equal(t->iov[0].iov_len, 10);
	assert_ptr_equal(t->iov[1].iov_base, t->b);
	assert_int_equal(t->iov[1].iov_len, 20);
}

static void descriptors_without_length_are_passed_over(void **state)
{
	struct bench *t = *state;

	put(t, 0, 0xdead0000, 0, NEXT, 1);
	put(t, 1, GPA, 5, NEXT, 2);
	put(t, 2, 0, 0, 0, 0);
	offer(t, 0);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.n_read, 1);
	assert_int_equal(t->chain.read_len, 5);
}

static void loops_end(void **state)
{
	struct bench *t = *state;

	put(t, 0, GPA, 1, NEXT, 0);
	expect_error(t, 0, "without an end");
	put(t, 0, GPA, 0, NEXT, 1);
	put(t, 1, GPA, 0, NEXT, 0);
	expect_error(t, 0, "without an end");
}

static void a_chain_as_long_as_the_ring_is_all_right(void **state)
{
	struct bench *t = *state;

	for (uint16_t i = 0; i < NUM; i++)
		put(t, i, GPA, 1, i + 1u < NUM ? NEXT : 0, i + 1);
	offer(t, 0);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.read_len, NUM);
}

static void indexes_beyond_the_table_are_refused(void **state)
{
	struct bench *t = *state;

	expect_error(t, NUM, "descriptor 16 of a table of 16");
	expect_error(t, 0xffff, "descriptor 65535");
	put(t, 0, GPA, 1, NEXT, NUM);
	expect_error(t, 0, "descriptor 16 of a table of 16");
}

static void addresses_outside_the_memory_are_refused(void **state)
{
	struct bench *t = *state;
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {{0, 1},	     {GPA - 1, 2},	    {GPA2 + SIZE - 1, 2},
		   {GPA2 + SIZE, 1}, {GPA, UINT32_MAX},	    {UINT64_MAX, 1},
		   {UINT64_MAX, 2},  {UINT64_MAX - 5, 100}, {0x1000, 1}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(t, 0, bad[i].addr, bad[i].len, i % 2 ? WRITE : 0, 0);
		expect_error(t, 0, "not in the guest's memory");
	}
}

static void reading_after_writing_is_refused(void **state)
{
	struct bench *t = *state;

	put(t, 0, GPA, 1, NEXT | WRITE, 1);
	put(t, 1, GPA, 1, 0, 0);
	expect_error(t, 0, "follows one to be written");
}

static void the_available_index_may_not_jump(void **state)
{
	struct bench *t = *state;

	t->avail[1] = NUM + 1;
	assert_true(pop(t) < 0);
	t->ring.split.seen_avail = 0;
	t->avail[1] = (uint16_t)-1;
	assert_true(pop(t) < 0);
	t->ring.split.seen_avail = 0;
	t->avail[1] = NUM;
	put(t, 0, GPA, 1, 0, 0);
	for (unsigned int i = 0; i < NUM; i++)
		assert_int_equal(pop(t), 1);
	assert_int_equal(pop(t), 0);
}

static struct vring_desc *indirect(struct bench *t, uint64_t at, uint32_t len)
{
	put(t, 0, at, len, INDIRECT, 0);
	return (struct vring_desc *)(t->a + (at - GPA));
}

static void an_indirect_table_is_walked(void **state)
{
	struct bench *t = *state;
	struct vring_desc *table = indirect(t, GPA + 0x5000, 64);

	table[0] = (struct vring_desc){GPA, 1, NEXT, 3};
	table[3] = (struct vring_desc){GPA + 1, 2, NEXT, 1};
	table[1] = (struct vring_desc){GPA + 3, 4, WRITE, 0};
	offer(t, 0);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.read_len, 3);
	assert_int_equal(t->chain.write_len, 4);
	/* Its own descriptor may come after plain ones. */
	put(t, 4, GPA, 10, NEXT, 0);
	offer(t, 4);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.read_len, 13);
}

static void a_large_indirect_table_may_exceed_the_ring(void **state)
{
	struct bench *t = *state;
	struct vring_desc *table = indirect(t, GPA + 0x5000, 100 * 16);

	for (uint16_t i = 0; i < 100; i++)
		table[i] = (struct vring_desc){GPA, 1, i < 99 ? NEXT : 0, i + 1};
	offer(t, 0);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.read_len, 100);
}

static void an_indirect_table_across_regions_is_walked(void **state)
{
	struct bench *t = *state;
	struct vring_desc table[2] = {{GPA, 1, NEXT, 1}, {GPA, 2, 0, 0}};

	put(t, 0, GPA2 - 8, sizeof(table), INDIRECT, 0);
	memcpy(t->a + SIZE - 8, table, 8);
	memcpy(t->b, (char *)table + 8, sizeof(table) - 8);
	offer(t, 0);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.read_len, 3);
}

static void wrong_indirect_tables_are_refused(void **state)
{
	struct bench *t = *state;
	struct vring_desc *table;

	indirect(t, GPA + 0x5000, 0);
	expect_error(t, 0, "an indirect table of 0 bytes");
	indirect(t, GPA + 0x5000, 17);
	expect_error(t, 0, "an indirect table of 17 bytes");
	put(t, 0, GPA2 + SIZE - 8, 16, INDIRECT, 0);
	expect_error(t, 0, "an indirect table at");
	put(t, 0, UINT64_MAX - 15, 32, INDIRECT, 0);
	expect_error(t, 0, "an indirect table at");
	put(t, 0, GPA + 0x5000, 16, INDIRECT | NEXT, 1);
	expect_error(t, 0, "that has a next one");
	table = indirect(t, GPA + 0x5000, 32);
	table[0] = (struct vring_desc){GPA + 0x6000, 16, INDIRECT, 0};
	expect_error(t, 0, "within an indirect table");
	table[0] = (struct vring_desc){GPA, 1, NEXT, 2};
	expect_error(t, 0, "descriptor 2 of a table of 2");
	table[0] = (struct vring_desc){GPA, 1, NEXT, 0};
	expect_error(t, 0, "without an end");
	vring_reset(&t->ring);
	t->avail[1] = t->used[1] = 0;
	start(t, 0);
	indirect(t, GPA + 0x5000, 16);
	expect_error(t, 0, "not negotiated");
}

static void too_many_pieces_take_nothing(void **state)
{
	struct bench *t = *state;

	put(t, 0, GPA, 1, NEXT, 1);
	put(t, 1, GPA, 1, 0, 0);
	offer(t, 0);
	assert_int_equal(vring_pop(&t->ring, &t->memory, t->iov, 1, &t->chain, &t->err),
			 -ENOBUFS);
	assert_int_equal(vring_pop(&t->ring, &t->memory, t->iov, 2, &t->chain, &t->err),
			 1);
}

static void what_is_put_back_comes_again(void **state)
{
	struct bench *t = *state;

	put(t, 5, GPA, 1, 0, 0);
	put(t, 6, GPA, 1, 0, 0);
	offer(t, 5);
	offer(t, 6);
	assert_int_equal(pop(t), 1);
	assert_int_equal(pop(t), 1);
	vring_unpop(&t->ring, 1);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.head, 6);
	vring_unpop(&t->ring, 2);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.head, 5);
}

static void nothing_is_published_before_the_commit(void **state)
{
	struct bench *t = *state;
	struct vring_used_elem *elem = (struct vring_used_elem *)(t->used + 2);

	put(t, 5, GPA, 1, 0, 0);
	offer(t, 5);
	offer(t, 5);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(pop(t), 1);
		vring_push(&t->ring, &t->chain, 100 + i);
	}
	assert_int_equal(t->used[1], 0);
	vring_commit(&t->ring);
	assert_int_equal(t->used[1], 2);
	assert_int_equal(elem[0].id, 5);
	assert_int_equal(elem[0].len, 100);
	assert_int_equal(elem[1].len, 101);
}

/* Gives n chains back in one commit; how often the guest was interrupted. */
static uint64_t interrupts(struct bench *t, unsigned int n)
{
	uint64_t count = 0;

	put(t, 0, GPA, 1, 0, 0);
	for (unsigned int i = 0; i < n; i++) {
		offer(t, 0);
		assert_int_equal(pop(t), 1);
		vring_push(&t->ring, &t->chain, 0);
	}
	vring_commit(&t->ring);
	return read(t->ring.call_fd, &count, sizeof(count)) == sizeof(count) ? count
									     : 0;
}

static void event_idx_decides_about_interrupts(void **state)
{
	struct bench *t = *state;
	uint16_t *used_event = t->avail + 2 + NUM;

	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	/* The first time nothing is known: rather one too many. */
	assert_int_equal(interrupts(t, 1), 1);
	*used_event = 1;
	assert_int_equal(interrupts(t, 1), 1);
	*used_event = 5;
	assert_int_equal(interrupts(t, 3), 0);
	assert_int_equal(interrupts(t, 3), 1);
	/* Nothing new, nothing said. */
	vring_commit(&t->ring);
	assert_int_equal(interrupts(t, 0), 0);
	/* Across the wrap of the index. */
	t->ring.split.next_avail = t->ring.split.seen_avail = t->avail[1] = 0xfffe;
	t->ring.split.next_used = t->ring.split.told_used = t->ring.split.signalled_at =
		t->used[1] = 0xfffe;
	*used_event = 0;
	assert_int_equal(interrupts(t, 2), 0);
	assert_int_equal(interrupts(t, 1), 1);
	assert_int_equal(t->used[1], 1);
}

/* 2^16 entries on, the index is where it was, and something has happened still. */
static void a_long_time_without_interrupts_does_not_lose_the_next(void **state)
{
	struct bench *t = *state;
	uint16_t *used_event = t->avail + 2 + NUM;

	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(interrupts(t, 1), 1);
	*used_event = 0;
	for (unsigned int i = 0; i < 65535; i++)
		assert_int_equal(interrupts(t, 1), 0);
	*used_event = t->used[1];
	assert_int_equal(interrupts(t, 1), 1);
}

static void without_event_idx_flags_decide(void **state)
{
	struct bench *t = *state;

	vring_reset(&t->ring);
	start(t, 0);
	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(interrupts(t, 1), 1);
	t->avail[0] = VRING_AVAIL_NO_INTERRUPT;
	assert_int_equal(interrupts(t, 1), 0);
	vring_quiet(&t->ring);
	assert_int_equal(t->used[0], VRING_USED_NO_NOTIFY);
	assert_false(vring_wait(&t->ring));
	assert_int_equal(t->used[0], 0);
}

static void waiting_sees_what_came_in_between(void **state)
{
	struct bench *t = *state;

	assert_false(vring_wait(&t->ring));
	put(t, 0, GPA, 1, 0, 0);
	offer(t, 0);
	assert_true(vring_wait(&t->ring));
	assert_int_equal(pop(t), 1);
	assert_false(vring_wait(&t->ring));
	assert_int_equal(t->used[2 + 4 * NUM], 1); /* avail_event */
}

/* As a restarted process does: the guest's memory says how far it came. */
static void a_ring_is_resumed_behind_what_was_given_back(void **state)
{
	struct bench *t = *state;
	uint64_t count = 0;

	for (uint16_t i = 0; i < 3; i++) {
		put(t, i, GPA, 1, 0, 0);
		offer(t, i);
		assert_int_equal(pop(t), 1);
		vring_push(&t->ring, &t->chain, 0);
		if (i == 0)
			vring_commit(&t->ring);
	}
	vring_stop(&t->ring);
	assert_int_equal(vring_position(&t->ring), 3);
	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(vring_resume(&t->ring, &t->memory, 0, &t->err), 0);
	assert_int_equal(vring_position(&t->ring), 1);
	assert_int_equal(read(t->ring.call_fd, &count, sizeof(count)), sizeof(count));
	for (uint16_t i = 1; i < 3; i++) {
		assert_int_equal(pop(t), 1);
		assert_int_equal(t->chain.head, i);
	}
	assert_int_equal(pop(t), 0);
}

int main(void)
{
#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(an_empty_ring_has_no_chain),
		t(a_chain_is_what_is_read_then_what_is_written),
		t(a_buffer_across_regions_is_in_pieces),
		t(descriptors_without_length_are_passed_over),
		t(loops_end),
		t(a_chain_as_long_as_the_ring_is_all_right),
		t(indexes_beyond_the_table_are_refused),
		t(addresses_outside_the_memory_are_refused),
		t(reading_after_writing_is_refused),
		t(the_available_index_may_not_jump),
		t(an_indirect_table_is_walked),
		t(a_large_indirect_table_may_exceed_the_ring),
		t(an_indirect_table_across_regions_is_walked),
		t(wrong_indirect_tables_are_refused),
		t(too_many_pieces_take_nothing),
		t(what_is_put_back_comes_again),
		t(nothing_is_published_before_the_commit),
		t(event_idx_decides_about_interrupts),
		t(a_long_time_without_interrupts_does_not_lose_the_next),
		t(without_event_idx_flags_decide),
		t(waiting_sees_what_came_in_between),
		t(a_ring_is_resumed_behind_what_was_given_back),
	};

	return cmocka_run_group_tests_name("vring", tests, NULL, NULL);
}
