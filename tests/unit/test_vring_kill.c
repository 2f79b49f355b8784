/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is killed at any instruction, over and over, and whose place the next
 * one takes: the driver gets every chain back once, and in order.
 */
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../transport/vring.h"

#define GPA   0x10000ULL
#define SIZE  0x10000ULL
#define USER  0x1000ULL
#define NUM   16u
#define KILLS 150
#define DATA  0x4000u /* one slot a descriptor */

#define NEXT  VRING_DESC_NEXT
#define WRITE VRING_DESC_WRITE
#define AVAIL VRING_PACKED_AVAIL
#define USED  VRING_PACKED_USED

/* What outlives the device. */
struct shared {
	uint8_t memory[SIZE];
	_Alignas(8) struct vring_record record;
	_Alignas(8) uint8_t inflight[4096];
};

struct driver {
	struct shared *shared;
	bool packed, by_record; /* by the record, or by what is in flight */
	struct memory memory;
	uint32_t offered, returned; /* chains */
	uint32_t next, done;	    /* descriptors, ever counting */
};

static uint32_t descs_of(uint32_t chain)
{
	return 1 + chain % 3;
}

static uint32_t len_of(uint32_t chain)
{
	return 1 + chain % 1000;
}

static void start(struct driver *d, struct vring *ring, bool first)
{
	uint64_t features = VRING_F_EVENT_IDX | (d->packed ? VRING_F_PACKED : 0);
	struct error err = {.text = ""};
	int ret;

	vring_init(ring);
	ring->num = NUM;
	ring->desc_user = USER;
	ring->avail_user = USER + 0x1000;
	ring->used_user = USER + 0x2000;
	ring->record = d->by_record ? &d->shared->record : NULL;
	ring->inflight = (union inflight_ring *)d->shared->inflight;
	if (first || !d->by_record)
		ret = vring_start(ring, &d->memory, features, &err);
	else
		ret = vring_resume(ring, &d->memory, features, &err);
	if (ret < 0) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
}

/* Takes and gives back until it is killed. */
static void run_device(struct driver *d, bool first, unsigned int seed)
{
	struct vring ring;
	struct vring_chain chain;
	struct iovec iov[8];
	struct error err;
	uint32_t seen;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start(d, &ring, first);
	for (;;) {
		int batch = 1 + rand_r(&seed) % 6;

		while (batch--) {
			int ret = vring_pop(&ring, &d->memory, iov, 8, &chain, &err);

			if (ret < 0)
				_exit(2);
			if (ret == 0)
				break;
			if (rand_r(&seed) % 4 == 0) {
				vring_unpop(&ring, 1);
				continue;
			}
			memcpy(&seen, iov[0].iov_base, sizeof(seen));
			vring_push(&ring, &chain, len_of(seen));
		}
		vring_commit(&ring);
		sched_yield();
	}
}

static void offer_split(struct driver *d, uint32_t chain)
{
	struct vring_desc *desc = (void *)d->shared->memory;
	uint16_t *avail = (void *)(d->shared->memory + 0x1000);

	avail[2 + chain % NUM] = d->next % NUM;
	for (uint32_t i = 0; i < descs_of(chain); i++, d->next++)
		desc[d->next % NUM] = (struct vring_desc){
			GPA + DATA + 16 * (d->next % NUM), 4,
			(i ? WRITE : 0) | (i + 1 < descs_of(chain) ? NEXT : 0),
			(d->next + 1) % NUM};
	__atomic_store_n(&avail[1], (uint16_t)(chain + 1), __ATOMIC_RELEASE);
}

static void offer_packed(struct driver *d, uint32_t chain)
{
	struct vring_packed_desc *desc = (void *)d->shared->memory;
	uint32_t first = d->next % NUM;
	uint16_t first_flags = 0;

	for (uint32_t i = 0; i < descs_of(chain); i++, d->next++) {
		struct vring_packed_desc *to = &desc[d->next % NUM];
		uint16_t flags = d->next / NUM % 2 ? USED : AVAIL;

		flags |= (i ? WRITE : 0) | (i + 1 < descs_of(chain) ? NEXT : 0);
		to->addr = GPA + DATA + 16 * (d->next % NUM);
		to->len = 4;
		to->id = chain % NUM;
		if (i)
			to->flags = flags;
		else
			first_flags = flags;
	}
	__atomic_store_n(&desc[first].flags, first_flags, __ATOMIC_RELEASE);
}

static void offer(struct driver *d)
{
	while (d->next + descs_of(d->offered) - d->done <= NUM) {
		uint32_t chain = d->offered++;

		memcpy(d->shared->memory + DATA + 16 * (size_t)(d->next % NUM), &chain,
		       sizeof(chain));
		if (d->packed)
			offer_packed(d, chain);
		else
			offer_split(d, chain);
	}
}

static bool is_back(const struct driver *d)
{
	const uint16_t *used = (const void *)(d->shared->memory + 0x2000);
	const struct vring_packed_desc *desc = (const void *)d->shared->memory;
	bool wrap = d->done / NUM % 2 == 0;
	uint16_t flags;

	if (!d->packed)
		return __atomic_load_n(&used[1], __ATOMIC_ACQUIRE) !=
		       (uint16_t)d->returned;
	flags = __atomic_load_n(&desc[d->done % NUM].flags, __ATOMIC_ACQUIRE);
	return !!(flags & AVAIL) == wrap && !!(flags & USED) == wrap;
}

static void take_back(struct driver *d)
{
	const struct vring_used_elem *elem = (const void *)(d->shared->memory + 0x2004);
	const struct vring_packed_desc *desc = (const void *)d->shared->memory;

	for (; is_back(d); d->returned++) {
		uint32_t at = d->done % NUM;

		assert_true(d->returned < d->offered);
		if (d->packed) {
			assert_int_equal(desc[at].id, d->returned % NUM);
			assert_int_equal(desc[at].len, len_of(d->returned));
		} else {
			assert_int_equal(elem[d->returned % NUM].id, at);
			assert_int_equal(elem[d->returned % NUM].len,
					 len_of(d->returned));
		}
		d->done += descs_of(d->returned);
	}
}

static void kill_and_go_on(bool packed, bool by_record)
{
	struct driver d = {.packed = packed, .by_record = by_record};
	unsigned int seed = (unsigned int)time(NULL) ^ (unsigned int)getpid();

	print_message("# seed %u\n", seed);
	d.shared = mmap(NULL, sizeof(*d.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(d.shared != MAP_FAILED);
	d.memory.count = 1;
	d.memory.region[0] = (struct memory_region){
		.guest = GPA, .size = SIZE, .user = USER, .host = d.shared->memory};
	for (int i = 0; i < KILLS; i++) {
		uint32_t goal = d.returned + 20 + rand_r(&seed) % 50;
		pid_t pid;
		int status;

		fflush(NULL);
		pid = fork();
		if (pid == 0)
			run_device(&d, i == 0, rand_r(&seed));
		/* It must get on, however often the others were killed. */
		while (d.returned < goal) {
			offer(&d);
			take_back(&d);
			assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
			sched_yield();
		}
		for (int spin = rand_r(&seed) % 2000; spin; spin--)
			offer(&d), take_back(&d);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
	munmap(d.shared, sizeof(*d.shared));
}

static void split_rings_go_on_by_themselves(void **state)
{
	(void)state;
	kill_and_go_on(false, true);
}

static void split_rings_go_on_by_what_is_in_flight(void **state)
{
	(void)state;
	kill_and_go_on(false, false);
}

static void packed_rings_go_on_by_their_record(void **state)
{
	(void)state;
	kill_and_go_on(true, true);
}

static void packed_rings_go_on_by_what_is_in_flight(void **state)
{
	(void)state;
	kill_and_go_on(true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_rings_go_on_by_themselves),
		cmocka_unit_test(split_rings_go_on_by_what_is_in_flight),
		cmocka_unit_test(packed_rings_go_on_by_their_record),
		cmocka_unit_test(packed_rings_go_on_by_what_is_in_flight),
	};

	alarm(250);
	return cmocka_run_group_tests_name("vring: kill", tests, NULL, NULL);
}
