/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"
#include "sandbox_calls.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

SANDBOX_CALLS("fstat", "newfstatat", "madvise", "mmap", "munmap");

enum {
	PAGE = 4096, /* or more: mmap of this host's pages is asked in whole ones */
};

static bool overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int check_layout(const struct memory *memory, const struct memory_layout *l,
			struct error *err)
{
	uint64_t end;

	if (memory->count == MEMORY_REGIONS_MAX)
		return error_set(err, -ENOSPC, "%d memory regions are all there can be",
				 MEMORY_REGIONS_MAX);
	if (!l->size || __builtin_add_overflow(l->guest, l->size, &end) ||
	    __builtin_add_overflow(l->user, l->size, &end) ||
	    __builtin_add_overflow(l->offset, l->size, &end) || end > INT64_MAX - PAGE)
		return error_set(err, -EINVAL,
				 "a memory region is empty or wraps around: "
				 "size 0x%llx at guest 0x%llx, offset 0x%llx",
				 (unsigned long long)l->size,
				 (unsigned long long)l->guest,
				 (unsigned long long)l->offset);
	for (size_t i = 0; i < memory->count; i++) {
		const struct memory_region *r = &memory->region[i];

		if (overlap(l->guest, l->size, r->guest, r->size) ||
		    overlap(l->user, l->size, r->user, r->size))
			return error_set(
				err, -EINVAL,
				"the memory regions at guest 0x%llx and 0x%llx overlap",
				(unsigned long long)r->guest,
				(unsigned long long)l->guest);
	}
	return 0;
}

static int check_file(const struct memory_layout *l, int fd, struct stat *st,
		      struct error *err)
{
	if (fstat(fd, st) < 0)
		return error_set(err, -errno, "cannot look at a memory file: %s",
				 strerror(errno));
	if (!S_ISREG(st->st_mode))
		return error_set(err, -EINVAL,
				 "guest memory must be a memfd or a file; give QEMU "
				 "memory-backend-memfd,share=on");
	if ((uint64_t)st->st_size < l->offset + l->size)
		return error_set(
			err, -EINVAL,
			"a memory file has %lld bytes, the region ends at %llu",
			(long long)st->st_size,
			(unsigned long long)(l->offset + l->size));
	return 0;
}

static int map_region(struct memory_region *region, const struct memory_layout *l,
		      int fd, struct error *err)
{
	uint64_t block = PAGE, page = sysconf(_SC_PAGESIZE), before, len;
	struct stat st;
	void *map;
	int ret = check_file(l, fd, &st, err);

	if (ret < 0)
		return ret;
	/*
	 * In whole pages of the size that the file has, which mmap and munmap of
	 * huge pages insist on. The region's offset need not be a multiple of it.
	 */
	if (page > block)
		block = page;
	if ((uint64_t)st.st_blksize > block &&
	    (st.st_blksize & (st.st_blksize - 1)) == 0)
		block = st.st_blksize;
	before = l->offset & (block - 1);
	len = (before + l->size + block - 1) & ~(block - 1);
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		   (off_t)(l->offset - before));
	if (map == MAP_FAILED)
		return error_set(err, -errno,
				 "cannot map %llu bytes of guest memory: %s",
				 (unsigned long long)len, strerror(errno));
	/* A core dump of the daemon must not carry the guest's memory. */
	madvise(map, len, MADV_DONTDUMP);
	*region = (struct memory_region){
		.guest = l->guest,
		.size = l->size,
		.user = l->user,
		.host = (uint8_t *)map + before,
		.map = map,
		.map_len = len,
		.offset = l->offset,
		.dev = st.st_dev,
		.ino = st.st_ino,
	};
	return 0;
}

/* The first region that begins behind the address. */
static size_t find_behind(const struct memory *memory, uint64_t guest)
{
	size_t low = 0, high = memory->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memory->region[middle].guest <= guest)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int memory_add(struct memory *memory, const struct memory_layout *layout, int fd,
	       struct error *err)
{
	struct memory_region fresh, *place;
	int ret = check_layout(memory, layout, err);
	size_t at;

	if (ret < 0)
		return ret;
	ret = map_region(&fresh, layout, fd, err);
	if (ret < 0)
		return ret;
	at = find_behind(memory, fresh.guest);
	place = &memory->region[at];
	memmove(place + 1, place, (memory->count - at) * sizeof(*place));
	*place = fresh;
	memory->count++;
	memory->last = at;
	return 0;
}

int memory_remove(struct memory *memory, const struct memory_layout *layout,
		  struct error *err)
{
	size_t behind = find_behind(memory, layout->guest);
	struct memory_region *r = behind ? &memory->region[behind - 1] : NULL;

	if (!r || r->guest != layout->guest || r->size != layout->size ||
	    r->user != layout->user)
		return error_set(err, -ENOENT,
				 "there is no memory region of 0x%llx bytes at guest "
				 "0x%llx and 0x%llx in the front-end",
				 (unsigned long long)layout->size,
				 (unsigned long long)layout->guest,
				 (unsigned long long)layout->user);
	munmap(r->map, r->map_len);
	memory->count--;
	memmove(r, r + 1, (memory->count - (behind - 1)) * sizeof(*r));
	memory->region[memory->count] = (struct memory_region){.size = 0};
	memory->last = 0;
	return 0;
}

int memory_map(struct memory *memory, const struct memory_layout *layout,
	       const int *fds, size_t count, struct error *err)
{
	struct memory fresh = {.count = 0};

	for (size_t i = 0; i < count; i++) {
		int ret = memory_add(&fresh, &layout[i], fds[i], err);

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
	memset(memory->region, 0, memory->count * sizeof(memory->region[0]));
	memory->count = 0;
	memory->last = 0;
}

static const struct memory_region *find_guest(struct memory *memory, uint64_t guest)
{
	/* With no region at all this is one of size 0. */
	const struct memory_region *region = &memory->region[memory->last];
	size_t behind;

	if (guest - region->guest < region->size)
		return region;
	behind = find_behind(memory, guest);
	if (!behind)
		return NULL;
	region = &memory->region[behind - 1];
	if (guest - region->guest >= region->size)
		return NULL;
	memory->last = behind - 1;
	return region;
}

int memory_translate(struct memory *memory, uint64_t guest, uint32_t len,
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

int memory_read(struct memory *memory, uint64_t guest, void *buf, uint32_t len)
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

bool memory_to_guest(const struct memory *memory, const void *host, uint64_t *guest)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct memory_region *region = &memory->region[i];
		uintptr_t offset = (uintptr_t)host - (uintptr_t)region->host;

		if (offset >= region->size)
			continue;
		*guest = region->guest + offset;
		return true;
	}
	return false;
}

uint64_t memory_last(const struct memory *memory)
{
	const struct memory_region *last;

	if (!memory->count)
		return 0;
	last = &memory->region[memory->count - 1];
	return last->guest + last->size - 1;
}
