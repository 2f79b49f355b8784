// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on rings over a guest's memory that holds, and comes to hold, anything.
 * What is taken must lie within that memory and add up; the memory's own allocations
 * show whoever writes beside it.
 *
 * An input: what kind of ring, how many steps, the steps of 4 bytes each, and what the
 * memory holds in the beginning. seeds.py writes some.
 */
#include <errno.h>

#include "../../transport/vring.h"
#include "fuzz.h"

enum {
	REGION = 0x2000,
	GUEST = 0x1000,
	USER = 0x100000,
	DRIVER_AT = 0x400, /* places of the ring's parts, in the first region */
	DEVICE_AT = 0x500,
	NUM_MAX = 64,
	TAKEN_MAX = 64,
	PIECES_MAX = 32,
	INFLIGHT = sizeof(struct inflight_packed) +
		   NUM_MAX * sizeof(struct inflight_packed_desc),
};

/* The head of an input. */
struct head {
	uint8_t features; /* packed, event idx, indirect, log, inflight */
	uint8_t num;
	uint8_t steps;
	uint8_t reserved;
	uint32_t base;
};

struct step {
	uint8_t what, value;
	uint16_t place;
};

struct bench {
	struct memory memory;
	uint8_t *region[2];
	uint64_t features;
	struct vring ring;
	struct vring_record record;
	struct dirty_log log;
	uint8_t *inflight;
	struct vring_chain chain[TAKEN_MAX];
	struct iovec iov[TAKEN_MAX][PIECES_MAX];
	size_t first, taken;
	bool broken;
};

static bool is_within(const struct bench *t, const struct iovec *iov)
{
	for (int i = 0; i < 2; i++) {
		size_t offset = (uint8_t *)iov->iov_base - t->region[i];

		if (offset < REGION && iov->iov_len <= REGION - offset)
			return true;
	}
	return false;
}

static void check_chain(const struct bench *t, const struct vring_chain *chain)
{
	size_t read_len = 0, write_len = 0;

	CHECK(chain->n_read + chain->n_write <= PIECES_MAX);
	for (size_t i = 0; i < chain->n_read + chain->n_write; i++) {
		CHECK(is_within(t, &chain->iov[i]));
		if (i < chain->n_read)
			read_len += chain->iov[i].iov_len;
		else
			write_len += chain->iov[i].iov_len;
	}
	CHECK(read_len == chain->read_len && write_len == chain->write_len);
}

static void take(struct bench *t)
{
	size_t at = (t->first + t->taken) % TAKEN_MAX;
	uint32_t before = vring_position(&t->ring);
	struct error err = {.text = ""};
	int ret;

	if (t->taken == TAKEN_MAX)
		return;
	ret = vring_pop(&t->ring, &t->memory, t->iov[at], PIECES_MAX, &t->chain[at],
			&err);
	CHECK(ret <= 1);
	if (ret > 0) {
		check_chain(t, &t->chain[at]);
		t->taken++;
		return;
	}
	CHECK(vring_position(&t->ring) == before);
	CHECK(ret == 0 || err.text[0]);
	t->broken = ret < 0 && ret != -ENOBUFS;
}

static void give_back(struct bench *t, uint32_t len)
{
	struct vring_chain *chain = &t->chain[t->first];

	if (!t->taken)
		return;
	vring_push(&t->ring, chain, len < chain->write_len ? len : chain->write_len);
	t->first = (t->first + 1) % TAKEN_MAX;
	t->taken--;
}

static void put_back(struct bench *t, size_t count)
{
	if (count > t->taken)
		count = t->taken;
	vring_unpop(&t->ring, (unsigned int)count);
	t->taken -= count;
}

/* Another process goes on, or the memory goes away for a while. */
static void restart(struct bench *t, unsigned int how)
{
	struct error err;
	int ret = 0;

	if (how)
		t->taken = 0;
	if (how == 0) {
		vring_suspend(&t->ring);
		ret = vring_resolve(&t->ring, &t->memory, &err);
	} else if (how == 1) {
		vring_stop(&t->ring);
		ret = vring_resume(&t->ring, &t->memory, t->features, &err);
	} else {
		vring_stop(&t->ring);
		t->ring.has_base = false;
		t->ring.base = 0;
		ret = vring_start(&t->ring, &t->memory, t->features, &err);
	}
	/* What is in flight, and who else may write there, can be wrong. */
	CHECK(ret == 0 || t->ring.inflight);
	t->broken = ret < 0;
}

static void do_step(struct bench *t, const struct step *step)
{
	uint32_t place = step->place % (2 * REGION + INFLIGHT);

	switch (step->what % 8) {
	case 0:
		take(t);
		break;
	case 1:
		give_back(t, step->place);
		break;
	case 2:
		put_back(t, step->value);
		break;
	case 3:
		vring_commit(&t->ring);
		break;
	case 4:
		vring_wait(&t->ring);
		break;
	case 5:
		vring_quiet(&t->ring);
		break;
	case 6:
		if (place >= 2 * REGION)
			t->inflight[place - 2 * REGION] = step->value;
		else
			t->region[place / REGION][place % REGION] = step->value;
		break;
	case 7:
		vring_commit(&t->ring);
		restart(t, step->value % 3);
		break;
	}
}

static void prepare(struct bench *t, const struct head *head)
{
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < 2; i++) {
		t->region[i] = aligned_alloc(16, REGION);
		CHECK(t->region[i]);
		memset(t->region[i], 0, REGION);
		t->memory.region[i] =
			(struct memory_region){.guest = GUEST + i * REGION,
					       .size = REGION,
					       .user = USER + i * 16 * REGION,
					       .host = t->region[i]};
	}
	t->memory.count = 2;
	dirty_log_init(&t->log, &t->memory);
	t->log.size = 1; /* for eight pages, of which the memory has the last two */
	t->log.bits = malloc(1);
	CHECK(t->log.bits);
	t->features = (head->features & 1 ? VRING_F_PACKED : 0) |
		      (head->features & 2 ? VRING_F_EVENT_IDX : 0) |
		      (head->features & 4 ? VRING_F_INDIRECT_DESC : 0);
	vring_init(&t->ring);
	t->ring.num =
		head->features & 1 ? 1 + head->num % NUM_MAX : 1u << head->num % 7;
	t->ring.desc_user = USER;
	t->ring.avail_user = USER + DRIVER_AT;
	t->ring.used_user = USER + DEVICE_AT;
	t->ring.log_guest = GUEST + DEVICE_AT;
	t->ring.log_used = true;
	t->ring.record = &t->record;
	t->ring.base = head->base;
	t->ring.has_base = true;
	t->inflight = calloc(1, INFLIGHT);
	CHECK(t->inflight);
	if (head->features & 16)
		t->ring.inflight = (union inflight_ring *)t->inflight;
	vring_set_log(&t->ring, head->features & 8 ? &t->log : NULL);
}

static void finish(struct bench *t)
{
	vring_reset(&t->ring);
	free(t->log.bits);
	free(t->inflight);
	free(t->region[0]);
	free(t->region[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench bench;
	struct bench *t = &bench;
	struct head head;
	struct step step;
	struct error err;
	size_t at = sizeof(head), image;

	if (size < sizeof(head))
		return -1;
	memcpy(&head, data, sizeof(head));
	if (head.features & 1)
		head.base = (head.base & 0xffff) | head.base << 16;
	prepare(t, &head);
	image = at + head.steps * sizeof(step);
	for (size_t i = image; i < size && i - image < 2 * REGION; i++)
		t->region[(i - image) / REGION][(i - image) % REGION] = data[i];
	if (vring_start(&t->ring, &t->memory, t->features, &err) == 0) {
		for (; at + sizeof(step) <= size && at < image && !t->broken;
		     at += sizeof(step)) {
			memcpy(&step, data + at, sizeof(step));
			do_step(t, &step);
		}
	}
	finish(t);
	return 0;
}
