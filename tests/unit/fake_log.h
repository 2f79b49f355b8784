/* SPDX-License-Identifier: Apache-2.0 */
/* A log of dirty pages, and whether it tells of all that was written to. */
#ifndef FAKE_LOG_H
#define FAKE_LOG_H

#include "fake_guest.h"

#define PAGE	  4096u
#define PAGES	  ((REGION_B + REGION_SIZE) / PAGE)
#define LOG_BYTES (PAGES / 8)
#define LOG_AT	  100u /* in its file */

#define F_LOG_ALL (1ULL << 26)

struct log {
	int fd;
	uint8_t *bits;
};

static inline struct log log_new(void)
{
	struct log log = {.fd = memfd_create("log", MFD_CLOEXEC)};
	uint8_t *map;

	assert_int_equal(ftruncate(log.fd, LOG_AT + LOG_BYTES), 0);
	map = mmap(NULL, LOG_AT + LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log.fd,
		   0);
	assert_true(map != MAP_FAILED);
	log.bits = map + LOG_AT;
	return log;
}

static inline void log_free(struct log *log)
{
	munmap(log->bits - LOG_AT, LOG_AT + LOG_BYTES);
	close(log->fd);
}

static inline bool is_marked(const struct log *log, uint64_t guest)
{
	return log->bits[guest / PAGE / 8] & 1 << guest / PAGE % 8;
}

static inline unsigned int marks(const struct log *log)
{
	unsigned int count = 0;

	for (uint64_t i = 0; i < LOG_BYTES; i++)
		count += __builtin_popcount(log->bits[i]);
	return count;
}

static inline void set_base(struct guest *g, const struct log *log, uint64_t size,
			    uint64_t offset)
{
	uint64_t base[2] = {size, offset};

	front_message(g, VHOST_USER_SET_LOG_BASE, VHOST_USER_VERSION, base,
		      sizeof(base), &log->fd, 1);
}

static inline void set_base_well(struct guest *g, const struct log *log)
{
	uint64_t reply = 1;

	set_base(g, log, LOG_BYTES, LOG_AT);
	assert_int_equal(front_reply(g, VHOST_USER_SET_LOG_BASE, &reply, sizeof(reply)),
			 8);
	assert_int_equal(reply, 0);
}

/* The used part of both rings is logged, or not any more. */
static inline void log_rings(struct guest *g, uint32_t flags)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t at = RING_AT(i) - REGION_A;
		uint64_t addr[5] = {i | (uint64_t)flags << 32, USER_A + at,
				    USER_A + at + 0x8000, USER_A + at + 0x4000,
				    RING_AT(i) + 0x8000};

		assert_int_equal(
			front_ask(g, VHOST_USER_SET_VRING_ADDR, addr, 40, NULL, 0), 0);
	}
}

/* What the device writes while the guest does nothing. */
static inline void check_marks(struct guest *g, struct log *log, int fd)
{
	uint8_t *before = malloc(2 * REGION_SIZE);
	unsigned int have = fake_unseen(g, 0), changed = 0;

	memset(log->bits, 0, LOG_BYTES);
	memcpy(before, g->mem, 2 * REGION_SIZE);
	host_send(fd, "these bytes go into the guest's memory");
	wait_until(fake_unseen(g, 0) > have);
	/* The daemon is not done with the turn before it answers here. */
	front_get_u64(g, VHOST_USER_GET_FEATURES);
	for (uint64_t at = REGION_A; at < REGION_B + REGION_SIZE; at += PAGE) {
		uint8_t *now = guest_ptr(g, at);

		if (memcmp(now, before + (now - g->mem), PAGE) == 0)
			continue;
		changed++;
		if (!is_marked(log, at))
			fail_msg("0x%llx was written to, and there is no mark",
				 (unsigned long long)at);
	}
	assert_true(changed >= 2);
	assert_true(marks(log) >= changed && marks(log) <= changed + 4);
	free(before);
}

#endif
