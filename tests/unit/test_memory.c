/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: mapping it, and translating addresses that may be anything. */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../transport/memory.h"

#define PAGE 4096u

/* The last page of a region that ends at the top of the address space. */
#define TOP (UINT64_MAX - 2 * PAGE + 1)

static int memfd(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static void ranges_are_found_across_adjacent_regions(void **state)
{
	struct memory_layout layout[] = {
		{0x3000, PAGE, 0x90000, PAGE},
		{0x1000, PAGE, 0x50000, 0},
		{0x2000, PAGE, 0x70000, 2 * PAGE},
	};
	int fd = memfd(3 * PAGE), fds[3] = {fd, fd, fd};
	struct memory memory = {.count = 0};
	struct iovec iov[3];
	struct error err;
	char text[3 * PAGE], back[3 * PAGE];

	(void)state;
	assert_int_equal(memory_map(&memory, layout, fds, 3, &err), 0);
	assert_int_equal(memory_translate(&memory, 0x1000, 3 * PAGE, iov, 3), 3);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 31 >> 3);
	for (size_t i = 0, at = 0; i < 3; at += iov[i++].iov_len)
		memcpy(iov[i].iov_base, text + at, iov[i].iov_len);
	/* The file has them in the order of its own offsets. */
	assert_int_equal(pread(fd, back, PAGE, 2 * PAGE), PAGE);
	assert_memory_equal(back, text + PAGE, PAGE);
	assert_int_equal(memory_read(&memory, 0x1ff8, back, 16), 0);
	assert_memory_equal(back, text + 0xff8, 16);

	assert_int_equal(memory_translate(&memory, 0x1000, 3 * PAGE, iov, 2), -ENOBUFS);
	assert_int_equal(memory_translate(&memory, 0x1000, 0, iov, 0), 0);
	assert_int_equal(memory_translate(&memory, 0xfff, 2, iov, 3), -EFAULT);
	assert_int_equal(memory_translate(&memory, 0x3fff, 2, iov, 3), -EFAULT);
	assert_int_equal(memory_translate(&memory, 0x1000, UINT32_MAX, iov, 3),
			 -EFAULT);
	assert_int_equal(memory_translate(&memory, UINT64_MAX, 2, iov, 3), -EFAULT);
	assert_int_equal(memory_read(&memory, 0x3ff8, back, 16), -EFAULT);
	assert_int_equal(memory_read(&memory, UINT64_MAX - 7, back, 16), -EFAULT);
	memory_unmap(&memory);
	assert_int_equal(memory_translate(&memory, 0x1000, 1, iov, 3), -EFAULT);
	close(fd);
}

static void the_front_ends_addresses_stay_within_one_region(void **state)
{
	struct memory_layout layout[] = {{0x1000, PAGE, 0x50000, 0},
					 {0x2000, PAGE, 0x51000, PAGE}};
	int fd = memfd(2 * PAGE), fds[2] = {fd, fd};
	struct memory memory = {.count = 0};
	struct error err;

	(void)state;
	assert_int_equal(memory_map(&memory, layout, fds, 2, &err), 0);
	assert_ptr_equal(memory_from_user(&memory, 0x50000, PAGE),
			 memory.region[0].host);
	assert_ptr_equal(memory_from_user(&memory, 0x51fff, 1),
			 memory.region[1].host + PAGE - 1);
	assert_null(memory_from_user(&memory, 0x50fff, 2));
	assert_null(memory_from_user(&memory, 0x4ffff, 1));
	assert_null(memory_from_user(&memory, 0x52000, 1));
	assert_null(memory_from_user(&memory, 0x50000, UINT64_MAX));
	assert_null(memory_from_user(&memory, UINT64_MAX, 2));
	memory_unmap(&memory);
	close(fd);
}

static void a_file_shorter_than_its_region_is_refused(void **state)
{
	struct memory_layout layout = {0x1000, 2 * PAGE, 0x50000, PAGE};
	int fd = memfd(3 * PAGE - 1);
	struct memory memory = {.count = 0};
	struct error err;

	(void)state;
	assert_int_equal(memory_map(&memory, &layout, &fd, 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "the region ends at"));
	assert_int_equal(ftruncate(fd, 3 * PAGE), 0);
	assert_int_equal(memory_map(&memory, &layout, &fd, 1, &err), 0);
	memory_unmap(&memory);
	close(fd);
}

static void what_cannot_be_mapped_leaves_the_old_map(void **state)
{
	struct memory_layout good = {0x1000, PAGE, 0x50000, 0}, bad[2];
	int fd = memfd(PAGE), fds[2] = {fd, -1};
	struct memory memory = {.count = 0};
	struct iovec iov;
	struct error err;

	(void)state;
	assert_int_equal(memory_map(&memory, &good, &fd, 1, &err), 0);
	bad[0] = good;
	bad[1] = (struct memory_layout){0x9000, PAGE, 0x90000, 0};
	assert_true(memory_map(&memory, bad, fds, 2, &err) < 0);
	assert_int_equal(memory_translate(&memory, 0x1000, PAGE, &iov, 1), 1);
	memset(iov.iov_base, 1, PAGE);
	memory_unmap(&memory);
	close(fd);
}

static void regions_that_wrap_or_overlap_are_refused(void **state)
{
	static const struct memory_layout bad[][2] = {
		{{0, 0, 0, 0}, {0x10000, PAGE, 0x10000, 0}},
		{{TOP + PAGE + 1, PAGE, 0, 0}, {0x10000, PAGE, 0x10000, 0}},
		{{0, PAGE, UINT64_MAX - 9, 0}, {0x10000, PAGE, 0x10000, 0}},
		{{0, PAGE, 0, UINT64_MAX - 9}, {0x10000, PAGE, 0x10000, 0}},
		{{0, PAGE, 0, INT64_MAX - 9}, {0x10000, PAGE, 0x10000, 0}},
		{{0x10fff, PAGE, 0, 0}, {0x10000, PAGE, 0x10000, 0}},
		{{0xf001, PAGE, 0, 0}, {0x10000, PAGE, 0x10000, 0}},
		{{0, PAGE, 0x10fff, 0}, {0x10000, PAGE, 0x10000, 0}},
	};
	int fd = memfd(PAGE), fds[2] = {fd, fd};
	struct memory memory = {.count = 0};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(memory_map(&memory, bad[i], fds, 2, &err), -EINVAL);
	close(fd);
}

static void the_top_of_the_address_space_does_not_wrap(void **state)
{
	struct memory_layout layout = {TOP, PAGE, 0x50000, 0};
	int fd = memfd(PAGE);
	struct memory memory = {.count = 0};
	struct iovec iov[2];
	struct error err;

	(void)state;
	assert_int_equal(memory_map(&memory, &layout, &fd, 1, &err), 0);
	assert_int_equal(memory_translate(&memory, TOP, PAGE, iov, 2), 1);
	assert_int_equal(memory_translate(&memory, TOP, 2 * PAGE + 1, iov, 2), -EFAULT);
	assert_int_equal(memory_translate(&memory, TOP + 1, PAGE, iov, 2), -EFAULT);
	memory_unmap(&memory);
	close(fd);
}

/* Regions come and go one by one, in any order. */
static void regions_are_added_and_removed(void **state)
{
	struct memory_layout layout = {.size = PAGE}, other;
	struct memory memory = {.count = 0};
	struct iovec iov;
	struct error err;
	int fd = memfd(PAGE);

	(void)state;
	/* Every second page, from the middle outwards. */
	for (size_t i = 0; i < MEMORY_REGIONS_MAX; i++) {
		size_t at = MEMORY_REGIONS_MAX / 2 + (i % 2 ? i / 2 + 1 : -(i / 2));

		layout.guest = (2 * at + 1) * PAGE;
		layout.user = (at + 1) * 0x100000;
		assert_int_equal(memory_add(&memory, &layout, fd, &err), 0);
	}
	layout.guest = layout.user = 1ULL << 40;
	assert_int_equal(memory_add(&memory, &layout, fd, &err), -ENOSPC);
	for (size_t at = 0; at < MEMORY_REGIONS_MAX; at++) {
		uint64_t guest = (2 * at + 1) * PAGE;

		assert_int_equal(memory_translate(&memory, guest, PAGE, &iov, 1), 1);
		assert_ptr_equal(iov.iov_base,
				 memory_from_user(&memory, (at + 1) * 0x100000, PAGE));
		assert_int_equal(memory_translate(&memory, guest + PAGE, 1, &iov, 1),
				 -EFAULT);
		assert_int_equal(memory_translate(&memory, guest - 1, 1, &iov, 1),
				 -EFAULT);
	}
	/* Only what is there goes, and the whole of it. */
	for (size_t at = 0; at < MEMORY_REGIONS_MAX; at++) {
		layout = (struct memory_layout){(2 * at + 1) * PAGE, PAGE,
						(at + 1) * 0x100000, 77};
		other = layout;
		other.size++;
		assert_int_equal(memory_remove(&memory, &other, &err), -ENOENT);
		other = layout;
		other.user++;
		assert_int_equal(memory_remove(&memory, &other, &err), -ENOENT);
		other = layout;
		other.guest++;
		assert_int_equal(memory_remove(&memory, &other, &err), -ENOENT);
		assert_int_equal(memory_remove(&memory, &layout, &err), 0);
		assert_int_equal(memory_remove(&memory, &layout, &err), -ENOENT);
		assert_int_equal(memory_translate(&memory, layout.guest, 1, &iov, 1),
				 -EFAULT);
	}
	assert_int_equal(memory.count, 0);
	close(fd);
}

/* Only the region's own part of its file is mapped. */
static void a_region_far_into_its_file_is_mapped(void **state)
{
	uint64_t far = 1ULL << 45;
	struct memory_layout layout = {0x1000, PAGE, 0x50000, far + 100};
	struct memory memory = {.count = 0};
	struct iovec iov;
	struct error err;
	int fd = memfd(PAGE);
	char byte = 0;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)(far + 100 + PAGE)), 0);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(memory_add(&memory, &layout, fd, &err), 0);
		layout.guest += 2 * PAGE;
		layout.user += PAGE;
	}
	assert_int_equal(memory_translate(&memory, 0x1000, PAGE, &iov, 1), 1);
	memset(iov.iov_base, 7, PAGE);
	assert_int_equal(pread(fd, &byte, 1, (off_t)(far + 100 + PAGE - 1)), 1);
	assert_int_equal(byte, 7);
	memory_unmap(&memory);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_found_across_adjacent_regions),
		cmocka_unit_test(the_front_ends_addresses_stay_within_one_region),
		cmocka_unit_test(a_file_shorter_than_its_region_is_refused),
		cmocka_unit_test(what_cannot_be_mapped_leaves_the_old_map),
		cmocka_unit_test(regions_that_wrap_or_overlap_are_refused),
		cmocka_unit_test(the_top_of_the_address_space_does_not_wrap),
		cmocka_unit_test(regions_are_added_and_removed),
		cmocka_unit_test(a_region_far_into_its_file_is_mapped),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
