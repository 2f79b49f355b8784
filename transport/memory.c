/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check_layout(const struct memory_layout *layout, size_t count,
			struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct memory_layout *l = &layout[i];
		uint64_t end;

		if (!l->size || __builtin_add_overflow(l->guest, l->size, &end) ||
		    __builtin_add_overflow(l->user, l->size, &end) ||
		    __builtin_add_overflow(l->offset, l->size, &end) || end > INT64_MAX)
			return error_set(err, -EINVAL,
					 "memory region %zu is empty or wraps around: "
					 "size 0x%llx at guest 0x%llx, offset 0x%llx",
					 i, (unsigned long long)l->size,
					 (unsigned long long)l->guest,
					 (unsigned long long)l->offset);
		for (size_t j = 0; j < i; j++) {
			if (overlap(l->guest, l->size, layout[j].guest,
				    layout[j].size) ||
			    overlap(l->user, l->size, layout[j].user, layout[j].size))
				return error_set(err, -EINVAL,
						 "memory regions %zu and %zu overlap",
						 j, i);
		}
	}
	return 0;
}

static int map_region(struct memory_region *region, const struct memory_layout *l,
		      int fd, struct error *err)
{
	size_t block;
	struct stat st;
	void *map;

	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "cannot look at a memory file: %s",
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL,
				 "guest memory must be a memfd or a file; give QEMU "
				 "memory-backend-memfd,share=on");
	if ((uint64_t)st.st_size < l->offset + l->size)
		return error_set(
			err, -EINVAL,
			"a memory file has %lld bytes, the region ends at %llu",
			(long long)st.st_size,
			(unsigned long long)(l->offset + l->size));

	/*
	 * From the file's start, since the offset need not be a multiple of the
	 * page size that the file has; and in whole pages of it, which munmap of
	 * huge pages insists on.
	 */
	region->map_len = l->offset + l->size;
	block = st.st_blksize;
	if (block > 4096 && (block & (block - 1)) == 0)
		region->map_len = (region->map_len + block - 1) & ~(block - 1);
	map = mmap(NULL, region->map_len, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (map == MAP_FAILED)
		return error_set(err, -errno,
				 "cannot map %zu bytes of guest memory: %s",
				 region->map_len, strerror(errno));
	/* A core dump of the daemon must not carry the guest's memory. */
	madvise(map, region->map_len, MADV_DONTDUMP);
	region->map = map;
	region->host = (uint8_t *)map + l->offset;
	region->guest = l->guest;
	region->size = l->size;
	region->user = l->user;
	return 0;
}

int memory_map(struct memory *memory, const struct memory_layout *layout,
	       const int *fds, size_t count, struct error *err)
{
	struct memory fresh = {.count = 0};
	int ret;

	if (count > MEMORY_REGIONS_MAX)
		return error_set(err, -EINVAL,
				 "%zu memory regions, at most %d can be had", count,
				 MEMORY_REGIONS_MAX);
	ret = check_layout(layout, count, err);
	if (ret < 0)
		return ret;
	for (; fresh.count < count; fresh.count++) {
		size_t i = fresh.count;

		ret = map_region(&fresh.region[i], &layout[i], fds[i], err);
		if (ret < 0) {
			memory_unmap(&fresh);
			return ret;
		}
	}
	memory_unmap(memory);
	*memory = fresh;
	return 0;
}

void memory_unmap(struct memory *memory)
{
	for (size_t i = 0; i < memory->count; i++)
		munmap(memory->region[i].map, memory->region[i].map_len);
	memory->count = 0;
}

static const struct memory_region *find_guest(const struct memory *memory,
					      uint64_t guest)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->region[i];

		if (guest >= region->guest && guest - region->guest < region->size)
			return region;
	}
	return NULL;
}

int memory_translate(const struct memory *memory, uint64_t guest, uint32_t len,
		     struct iovec *iov, size_t max)
{
	size_t n = 0;

	if (guest + len < guest)
		return -EFAULT;
	while (len) {
		const struct memory_region *region = find_guest(memory, guest);
		uint64_t offset, part;

		if (!region)
			return -EFAULT;
		if (n == max)
			return -ENOBUFS;
		offset = guest - region->guest;
		part = region->size - offset;
		if (part > len)
			part = len;
		iov[n].iov_base = region->host + offset;
		iov[n].iov_len = part;
		n++;
		guest += part;
		len -= part;
	}
	return (int)n;
}

int memory_read(const struct memory *memory, uint64_t guest, void *buf, uint32_t len)
{
	char *to = buf;

	while (len) {
		struct iovec piece;
		int ret = memory_translate(memory, guest, len, &piece, 1);

		if (ret == -EFAULT)
			return ret;
		memcpy(to, piece.iov_base, piece.iov_len);
		to += piece.iov_len;
		guest += piece.iov_len;
		len -= piece.iov_len;
	}
	return 0;
}

void *memory_from_user(const struct memory *memory, uint64_t user, uint64_t len)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->region[i];

		if (user < region->user || user - region->user >= region->size)
			continue;
		if (len > region->size - (user - region->user))
			return NULL;
		return region->host + (user - region->user);
	}
	return NULL;
}
