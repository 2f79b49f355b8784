/* SPDX-License-Identifier: Apache-2.0 */
/* What is told through the third ring. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../transport/event.h"

#define GPA  0x10000ULL
#define SIZE 0x10000ULL
#define NUM  4u

struct bench {
	struct memory memory;
	uint8_t *a;
	struct vring ring;
	struct error err;
};

static int setup(void **state)
{
	struct bench *t = calloc(1, sizeof(*t));

	t->a = aligned_alloc(4096, SIZE);
	memset(t->a, 0, SIZE);
	t->memory.count = 1;
	t->memory.region[0] = (struct memory_region){
		.guest = GPA, .size = SIZE, .user = 0x1000, .host = t->a};
	vring_init(&t->ring);
	t->ring.num = NUM;
	t->ring.desc_user = 0x1000;
	t->ring.avail_user = 0x1200;
	t->ring.used_user = 0x1400;
	t->ring.call_fd = eventfd(0, EFD_NONBLOCK);
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

static int put(struct bench *t)
{
	return event_put(&t->ring, &t->memory, EVENT_TRANSPORT_RESET, &t->err);
}

static void expect_call(struct bench *t)
{
	uint64_t count;

	assert_int_equal(read(t->ring.call_fd, &count, sizeof(count)), sizeof(count));
}

static void an_event_goes_into_a_split_ring(void **state)
{
	struct bench *t = *state;
	struct vring_desc *desc = (void *)t->a;
	uint16_t *avail = (void *)(t->a + 0x200), *used = (void *)(t->a + 0x400);

	assert_int_equal(vring_start(&t->ring, &t->memory, 0, &t->err), 0);
	assert_int_equal(put(t), 0);
	desc[2] = (struct vring_desc){GPA + 0x1000, 8, VRING_DESC_WRITE, 0};
	memset(t->a + 0x1000, 0xff, 8);
	avail[2] = 2;
	avail[1] = 1;
	assert_int_equal(put(t), 1);
	assert_memory_equal(t->a + 0x1000, "\0\0\0\0\xff\xff\xff\xff", 8);
	assert_int_equal(used[1], 1);
	assert_int_equal(used[2], 2);
	assert_int_equal(used[4], 4);
	expect_call(t);
	assert_int_equal(put(t), 0);
	/* A buffer that is too short, or not to be written to. */
	desc[2].len = 3;
	avail[3] = 2;
	avail[1] = 2;
	assert_int_equal(put(t), -EINVAL);
	desc[2] = (struct vring_desc){GPA + 0x1000, 8, 0, 0};
	assert_int_equal(put(t), -EINVAL);
	assert_int_equal(used[1], 1);
}

static void an_event_goes_into_a_packed_ring(void **state)
{
	struct bench *t = *state;
	struct vring_packed_desc *desc = (void *)t->a;

	assert_int_equal(vring_start(&t->ring, &t->memory, VRING_F_PACKED, &t->err), 0);
	assert_int_equal(put(t), 0);
	desc[0] = (struct vring_packed_desc){GPA + 0x1000, 8, 7,
					     VRING_DESC_WRITE | VRING_PACKED_AVAIL};
	memset(t->a + 0x1000, 0xff, 8);
	assert_int_equal(put(t), 1);
	assert_memory_equal(t->a + 0x1000, "\0\0\0\0\xff\xff\xff\xff", 8);
	assert_int_equal(desc[0].id, 7);
	assert_int_equal(desc[0].len, 4);
	assert_true(desc[0].flags & VRING_PACKED_USED);
	expect_call(t);
	assert_int_equal(put(t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_event_goes_into_a_split_ring, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_event_goes_into_a_packed_ring, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
