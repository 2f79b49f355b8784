/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a packed ring that a guest may have filled with anything. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../transport/vring.h"

#define GPA  0x10000ULL
#define SIZE 0x10000ULL
#define USER 0x1000ULL
#define NUM  10u /* a packed ring's size need not be a power of two */

#define NEXT	 VRING_DESC_NEXT
#define WRITE	 VRING_DESC_WRITE
#define INDIRECT VRING_DESC_INDIRECT
#define AVAIL	 VRING_PACKED_AVAIL
#define USED	 VRING_PACKED_USED
#define FIRST	 0x80008000u

struct bench {
	struct memory memory;
	uint8_t *a;
	struct vring ring;
	struct vring_packed_desc *desc;
	struct vring_event *driver, *device;
	struct vring_record record;
	struct iovec iov[VRING_PIECES_MAX];
	struct vring_chain chain;
	struct error err;
	unsigned int num;
	struct vring_place next; /* where the driver puts the next descriptor */
};

static void prepare(struct bench *t, uint32_t base)
{
	vring_init(&t->ring);
	t->ring.num = t->num;
	t->ring.base = base;
	t->ring.has_base = true;
	t->ring.desc_user = USER;
	t->ring.avail_user = USER + 0xe000;
	t->ring.used_user = USER + 0xe100;
	t->ring.record = &t->record;
	t->next = (struct vring_place){base & 0x7fff, base & 0x8000};
}

static void start(struct bench *t, uint64_t features, uint32_t base)
{
	vring_reset(&t->ring);
	prepare(t, base);
	assert_int_equal(
		vring_start(&t->ring, &t->memory, features | VRING_F_PACKED, &t->err),
		0);
}

static int setup(void **state)
{
	struct bench *t = calloc(1, sizeof(*t));

	t->num = NUM;
	t->a = aligned_alloc(4096, SIZE);
	memset(t->a, 0, SIZE);
	t->memory.count = 1;
	t->memory.region[0] = (struct memory_region){
		.guest = GPA, .size = SIZE, .user = USER, .host = t->a};
	t->desc = (void *)t->a;
	t->driver = (void *)(t->a + 0xe000);
	t->device = (void *)(t->a + 0xe100);
	vring_init(&t->ring);
	start(t, VRING_F_EVENT_IDX | VRING_F_INDIRECT_DESC, FIRST);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bench *t = *state;

	vring_reset(&t->ring);
	free(t->a);
	free(t);
	return 0;
}

static void put(struct bench *t, uint64_t addr, uint32_t len, uint16_t flags,
		uint16_t id)
{
	t->desc[t->next.at] = (struct vring_packed_desc){
		addr, len, id, flags | (t->next.wrap ? AVAIL : USED)};
	if (++t->next.at == t->num)
		t->next = (struct vring_place){0, !t->next.wrap};
}

static int pop(struct bench *t)
{
	return vring_pop(&t->ring, &t->memory, t->iov, VRING_PIECES_MAX, &t->chain,
			 &t->err);
}

static void expect_error(struct bench *t, const char *why)
{
	assert_true(pop(t) < 0);
	if (!strstr(t->err.text, why))
		fail_msg("\"%s\" where \"%s\" was expected", t->err.text, why);
	/* It stays where it is: not to be used any further, and not to be skipped. */
	assert_true(pop(t) < 0);
	memset(t->desc, 0, NUM * sizeof(*t->desc));
	start(t, VRING_F_EVENT_IDX | VRING_F_INDIRECT_DESC, FIRST);
}

static bool is_used(struct bench *t, unsigned int at, bool wrap)
{
	return !!(t->desc[at].flags & AVAIL) == wrap &&
	       !!(t->desc[at].flags & USED) == wrap;
}

static void a_chain_is_what_is_read_then_what_is_written(void **state)
{
	struct bench *t = *state;

	assert_int_equal(pop(t), 0);
	put(t, GPA + 0x1000, 44, NEXT, 0);
	put(t, GPA + 0x2000, 100, NEXT, 0);
	put(t, GPA + 0x3000, 7, NEXT | WRITE, 0);
	put(t, GPA + 0x4000, 9, WRITE, 77);
	assert_int_equal(pop(t), 1);
	/* The buffer's id is in the last descriptor. */
	assert_int_equal(t->chain.head, 77);
	assert_int_equal(t->chain.n_read, 2);
	assert_int_equal(t->chain.read_len, 144);
	assert_int_equal(t->chain.n_write, 2);
	assert_int_equal(t->chain.write_len, 16);
	assert_ptr_equal(t->iov[3].iov_base, t->a + 0x4000);
	assert_int_equal(pop(t), 0);
}

/* Many laps, with chains of three that lie across the end of the ring. */
static void laps_are_told_apart(void **state)
{
	struct bench *t = *state;
	unsigned int at = 0;
	bool wrap = true;

	for (unsigned int i = 0; i < 100; i++) {
		put(t, GPA, 1, NEXT, 0);
		put(t, GPA, 2, NEXT, 0);
		put(t, GPA, 3, WRITE, i);
		assert_int_equal(pop(t), 1);
		assert_int_equal(t->chain.head, i);
		assert_int_equal(pop(t), 0);
		assert_false(is_used(t, at, wrap));
		vring_push(&t->ring, &t->chain, i % 2 ? 3 : 0);
		vring_commit(&t->ring);
		assert_true(is_used(t, at, wrap));
		assert_int_equal(t->desc[at].id, i);
		assert_int_equal(t->desc[at].len, i % 2 ? 3 : 0);
		assert_int_equal(!(t->desc[at].flags & WRITE), !(i % 2));
		wrap ^= at + 3 >= NUM;
		at = (at + 3) % NUM;
		assert_int_equal(vring_position(&t->ring),
				 (at | wrap << 15) | (at | wrap << 15) << 16);
	}
}

static void a_chain_as_long_as_the_ring_is_all_right(void **state)
{
	struct bench *t = *state;

	for (unsigned int i = 0; i < NUM; i++)
		put(t, GPA, 1, i + 1 < NUM ? NEXT : 0, 3);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.read_len, NUM);
}

static void loops_end(void **state)
{
	struct bench *t = *state;

	for (unsigned int i = 0; i < NUM; i++)
		put(t, GPA, i % 2, NEXT, 0);
	expect_error(t, "without an end");
}

/* The guest may write any flags, also those of the next lap. */
static void what_was_taken_is_not_taken_twice(void **state)
{
	struct bench *t = *state;

	for (unsigned int i = 0; i < NUM; i++) {
		put(t, GPA, 1, 0, i);
		assert_int_equal(pop(t), 1);
	}
	for (unsigned int i = 0; i < NUM; i++)
		put(t, GPA, 1, 0, i);
	expect_error(t, "without an end");

	/* Nor with a chain that only reaches into what was taken. */
	for (unsigned int i = 0; i < NUM - 1; i++)
		put(t, GPA, 1, 0, i);
	for (unsigned int i = 0; i < NUM - 1; i++)
		assert_int_equal(pop(t), 1);
	put(t, GPA, 1, NEXT, 0);
	put(t, GPA, 1, 0, 0);
	expect_error(t, "without an end");
}

static void addresses_outside_the_memory_are_refused(void **state)
{
	struct bench *t = *state;
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{0, 1},		 {GPA - 1, 2},	  {GPA + SIZE - 1, 2}, {GPA + SIZE, 1},
		{GPA, 1u << 31}, {UINT64_MAX, 1}, {UINT64_MAX - 1, 9}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(t, bad[i].addr, bad[i].len, i % 2 ? WRITE : 0, 0);
		expect_error(t, "not in the guest's memory");
	}
	put(t, GPA, 1, NEXT | WRITE, 0);
	put(t, GPA, 1, 0, 0);
	expect_error(t, "follows one to be written");
}

static struct vring_packed_desc *indirect(struct bench *t, uint64_t at, uint32_t len,
					  uint16_t flags)
{
	put(t, at, len, INDIRECT | flags, 5);
	return (void *)(t->a + (at - GPA));
}

static void an_indirect_table_is_walked_in_order(void **state)
{
	struct bench *t = *state;
	struct vring_packed_desc *table = indirect(t, GPA + 0x5000, 100 * 16, 0);

	/* Ids and links mean nothing in it. */
	for (unsigned int i = 0; i < 100; i++)
		table[i] = (struct vring_packed_desc){GPA + i, 1, 0xffff - i,
						      i >= 60 ? WRITE : NEXT};
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.head, 5);
	assert_int_equal(t->chain.read_len, 60);
	assert_int_equal(t->chain.write_len, 40);
	vring_push(&t->ring, &t->chain, 40);
	vring_commit(&t->ring);
	/* It takes one place in the ring. */
	assert_int_equal(vring_position(&t->ring), 0x80018001);
}

static void wrong_indirect_tables_are_refused(void **state)
{
	struct bench *t = *state;
	struct vring_packed_desc *table;

	indirect(t, GPA + 0x5000, 0, 0);
	expect_error(t, "an indirect table of 0 bytes");
	indirect(t, GPA + 0x5000, 24, 0);
	expect_error(t, "an indirect table of 24 bytes");
	indirect(t, GPA + 0x5000, 0xfffffff0, 0);
	expect_error(t, "an indirect table of 4294967280 bytes");
	put(t, GPA + SIZE - 8, 16, INDIRECT, 0);
	expect_error(t, "an indirect table at");
	put(t, UINT64_MAX - 15, 32, INDIRECT, 0);
	expect_error(t, "an indirect table at");
	indirect(t, GPA + 0x5000, 16, NEXT);
	expect_error(t, "that has a next one");
	put(t, GPA, 1, NEXT, 0);
	indirect(t, GPA + 0x5000, 16, 0);
	expect_error(t, "that follows another");
	table = indirect(t, GPA + 0x5000, 32, 0);
	table[1] = (struct vring_packed_desc){GPA + 0x6000, 16, 0, INDIRECT};
	expect_error(t, "within an indirect table");
	memset(table, 0, 32);
	start(t, 0, FIRST);
	indirect(t, GPA + 0x5000, 16, 0);
	expect_error(t, "not negotiated");
}

static void what_is_put_back_comes_again(void **state)
{
	struct bench *t = *state;

	/* Across the end of the ring, too. */
	start(t, 0, 0x00080008);
	for (unsigned int i = 0; i < 3; i++) {
		put(t, GPA, 1, NEXT, 0);
		put(t, GPA, 1, 0, i);
		assert_int_equal(pop(t), 1);
	}
	vring_unpop(&t->ring, 2);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.head, 1);
	vring_unpop(&t->ring, 2);
	assert_int_equal(vring_position(&t->ring), 0x00080008);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pop(t), 1);
		assert_int_equal(t->chain.head, i);
	}
	vring_unpop(&t->ring, 99);
	assert_int_equal(vring_position(&t->ring), 0x00080008);
	assert_int_equal(vring_pop(&t->ring, &t->memory, t->iov, 1, &t->chain, &t->err),
			 -ENOBUFS);
	assert_int_equal(pop(t), 1);
	assert_int_equal(t->chain.head, 0);
}

/* Takes n buffers of one descriptor, and gives them back without a commit. */
static void give_back(struct bench *t, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		put(t, GPA, 8, WRITE, 40 + i);
		assert_int_equal(pop(t), 1);
		vring_push(&t->ring, &t->chain, 1 + i);
	}
}

static void nothing_is_published_before_the_commit(void **state)
{
	struct bench *t = *state;
	struct vring_packed_desc before[NUM];

	give_back(t, 4);
	memcpy(before, t->desc, sizeof(before));
	/* As the guest left them, for whoever may have to begin anew. */
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(before[i].len, 8);
	vring_commit(&t->ring);
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(is_used(t, i, true));
		assert_int_equal(t->desc[i].id, 40 + i);
		assert_int_equal(t->desc[i].len, 1 + i);
	}
	assert_int_equal(vring_position(&t->ring), 0x80048004);
	assert_int_equal(t->record.state, 0x8004);
}

static uint64_t count_calls(struct bench *t)
{
	uint64_t count = 0;

	vring_commit(&t->ring);
	return read(t->ring.call_fd, &count, sizeof(count)) == sizeof(count) ? count
									     : 0;
}

static uint64_t interrupts(struct bench *t, unsigned int n)
{
	give_back(t, n);
	return count_calls(t);
}

static void the_guests_wish_decides_about_interrupts(void **state)
{
	struct bench *t = *state;

	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	*t->driver = (struct vring_event){0x8000, VRING_EVENT_PLACE};
	/* The first time nothing is known: rather one too many. */
	assert_int_equal(interrupts(t, 1), 1);
	assert_int_equal(interrupts(t, 1), 0);
	t->driver->place = 0x8004;
	assert_int_equal(interrupts(t, 2), 0);
	assert_int_equal(interrupts(t, 1), 1);
	/* Nothing new, nothing said. */
	assert_int_equal(count_calls(t), 0);
	/* Across the end of the ring: the last place, then the first. */
	t->driver->place = 0x8009;
	assert_int_equal(interrupts(t, 4), 0);
	assert_int_equal(interrupts(t, 2), 1);
	t->driver->place = 1;
	assert_int_equal(interrupts(t, 1), 1);
	assert_int_equal(interrupts(t, 9), 0);
	t->driver->place = 0x8001;
	assert_int_equal(interrupts(t, 1), 1);
	t->driver->flags = VRING_EVENT_DISABLE;
	assert_int_equal(interrupts(t, 1), 0);
	t->driver->flags = VRING_EVENT_ENABLE;
	assert_int_equal(interrupts(t, 1), 1);
	/* A place that cannot be is no place. */
	*t->driver = (struct vring_event){0xffff, VRING_EVENT_PLACE};
	assert_int_equal(interrupts(t, 3), 0);
}

static void a_long_batch_is_published_in_parts(void **state)
{
	struct bench *t = *state;

	t->num = 2 * VRING_BATCH_MAX;
	start(t, 0, FIRST);
	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	give_back(t, VRING_BATCH_MAX);
	assert_int_equal(t->record.state, 0x8000);
	give_back(t, 1);
	assert_int_equal(t->record.state, 0x8000 | VRING_BATCH_MAX);
	assert_int_equal(count_calls(t), 1);
	assert_int_equal(t->record.state, 0x8000 | (VRING_BATCH_MAX + 1));
}

static void waiting_sees_what_came_in_between(void **state)
{
	struct bench *t = *state;

	vring_quiet(&t->ring);
	assert_int_equal(t->device->flags, VRING_EVENT_DISABLE);
	assert_false(vring_wait(&t->ring));
	assert_int_equal(t->device->flags, VRING_EVENT_PLACE);
	assert_int_equal(t->device->place, 0x8000);
	put(t, GPA, 1, 0, 0);
	assert_true(vring_wait(&t->ring));
	assert_int_equal(pop(t), 1);
	assert_false(vring_wait(&t->ring));
	assert_int_equal(t->device->place, 0x8001);
	start(t, 0, FIRST);
	vring_quiet(&t->ring);
	vring_wait(&t->ring);
	assert_int_equal(t->device->flags, VRING_EVENT_ENABLE);
}

static void a_wrong_base_does_not_start(void **state)
{
	static const uint32_t bad[] = {0x800a800a, 0x7fff7fff, 0x80018000,
				       0x8000,	   0x80000000, UINT32_MAX};
	struct bench *t = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vring_reset(&t->ring);
		prepare(t, bad[i]);
		assert_int_equal(
			vring_start(&t->ring, &t->memory, VRING_F_PACKED, &t->err),
			-EINVAL);
		assert_false(vring_is_resolved(&t->ring));
	}
	/* Without one it is the first place of the first lap. */
	t->ring.has_base = false;
	assert_int_equal(vring_start(&t->ring, &t->memory, VRING_F_PACKED, &t->err), 0);
	assert_int_equal(vring_position(&t->ring), FIRST);
	vring_stop(&t->ring);
	assert_int_equal(vring_position(&t->ring), FIRST);
	/* A size that a split ring cannot have. */
	t->ring.base = 0;
	assert_int_equal(vring_start(&t->ring, &t->memory, 0, &t->err), -EINVAL);
}

/* As a restarted process does, with what the killed one left behind. */
static int resume(struct bench *t)
{
	vring_reset(&t->ring);
	prepare(t, 0x12345678); /* of no interest then */
	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
	return vring_resume(&t->ring, &t->memory,
			    VRING_F_PACKED | VRING_F_EVENT_IDX | VRING_F_INDIRECT_DESC,
			    &t->err);
}

static void a_killed_process_is_followed_at_every_step(void **state)
{
	struct bench *t = *state;
	struct vring_packed_desc before[NUM], after[NUM];
	struct vring_record pending;
	uint64_t count = 0;

	start(t, 0, 0x80088008); /* the batch lies across the end */
	t->record.state = 0;
	give_back(t, 5);
	assert_int_equal(pop(t), 0);
	memcpy(before, t->desc, sizeof(before));
	pending = t->record;
	vring_commit(&t->ring);
	memcpy(after, t->desc, sizeof(after));

	/* Killed before the commit: all five come again. */
	memcpy(t->desc, before, sizeof(before));
	t->record = pending;
	t->record.state = 0x8008;
	assert_int_equal(resume(t), 0);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(pop(t), 1);
	assert_int_equal(pop(t), 0);

	/* In the middle of it, with all written or only some: it is finished. */
	for (unsigned int written = 0; written < 5; written++) {
		memcpy(t->desc, before, sizeof(before));
		for (unsigned int i = 1; i <= written; i++)
			t->desc[(8 + i) % NUM] = after[(8 + i) % NUM];
		t->record = pending;
		t->record.state = 0x8008 | 5 << 16;
		assert_int_equal(resume(t), 0);
		assert_memory_equal(t->desc, after, sizeof(after));
		assert_int_equal(vring_position(&t->ring), 0x00030003);
		assert_int_equal(t->record.state, 0x0003);
		/* The guest may not have been told. */
		assert_int_equal(read(t->ring.call_fd, &count, 8), 8);
	}

	/* Behind it, before that was noted; the guest has reused a place already. */
	memcpy(t->desc, after, sizeof(after));
	t->desc[8] = (struct vring_packed_desc){GPA, 99, 1, USED};
	t->record = pending;
	t->record.state = 0x8008 | 5 << 16;
	assert_int_equal(resume(t), 0);
	assert_int_equal(t->desc[8].len, 99);
	assert_int_equal(vring_position(&t->ring), 0x00030003);
}

static void a_record_that_cannot_be_is_refused(void **state)
{
	struct bench *t = *state;

	t->record.state = 0x800a;
	assert_int_equal(resume(t), -EINVAL);
	t->record.state = 0x8000 | (VRING_BATCH_MAX + 1) << 16;
	assert_int_equal(resume(t), -EINVAL);
	t->record.state = 0x8000 | 2 << 16;
	t->record.entry[0].descs = NUM;
	t->record.entry[1].descs = 1;
	assert_int_equal(resume(t), -EINVAL);
}

int main(void)
{
#define t(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		t(a_chain_is_what_is_read_then_what_is_written),
		t(laps_are_told_apart),
		t(a_chain_as_long_as_the_ring_is_all_right),
		t(loops_end),
		t(what_was_taken_is_not_taken_twice),
		t(addresses_outside_the_memory_are_refused),
		t(an_indirect_table_is_walked_in_order),
		t(wrong_indirect_tables_are_refused),
		t(what_is_put_back_comes_again),
		t(nothing_is_published_before_the_commit),
		t(the_guests_wish_decides_about_interrupts),
		t(a_long_batch_is_published_in_parts),
		t(waiting_sees_what_came_in_between),
		t(a_wrong_base_does_not_start),
		t(a_killed_process_is_followed_at_every_step),
		t(a_record_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests_name("vring: packed", tests, NULL, NULL);
}
