/* SPDX-License-Identifier: Apache-2.0 */
#include "inflight.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox_calls.h"
#include "vring.h"

SANDBOX_CALLS("memfd_create", "ftruncate", "fcntl", "fstat", "newfstatat", "mmap",
	      "munmap", "close");

enum {
	ALIGN = 64
};

_Static_assert(sizeof(struct inflight_split_desc) == 16, "vhost-user");
_Static_assert(sizeof(struct inflight_split) == 16, "vhost-user");
_Static_assert(sizeof(struct inflight_packed_desc) == 32, "vhost-user");
_Static_assert(offsetof(struct inflight_packed, desc) == 32, "vhost-user");
_Static_assert(offsetof(struct inflight_split, version) ==
		       offsetof(struct inflight_packed, version),
	       "vhost-user");

/* Room for either format: it may be asked for before that is known. */
static uint64_t stride(uint16_t num)
{
	uint64_t size = sizeof(struct inflight_packed) +
			(uint64_t)num * sizeof(struct inflight_packed_desc);

	return (size + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static int check_counts(uint16_t count, uint16_t num, struct error *err)
{
	if (!count || !num || num > VRING_NUM_MAX)
		return error_set(err, -EINVAL,
				 "%u rings of %u entries cannot be kept track of",
				 count, num);
	return 0;
}

int inflight_create(uint16_t count, uint16_t num, uint64_t *size, struct error *err)
{
	int ret = check_counts(count, num, err), fd;

	if (ret < 0)
		return ret;
	*size = count * stride(num);
	fd = memfd_create("vsockd-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a memfd: %s",
				 strerror(errno));
	if (ftruncate(fd, (off_t)*size) == 0)
		return fd;
	ret = error_set(err, -errno, "cannot make a memfd of %llu bytes: %s",
			(unsigned long long)*size, strerror(errno));
	close(fd);
	return ret;
}

int inflight_map(struct inflight *inflight, int fd, uint64_t size, uint64_t offset,
		 uint16_t count, uint16_t num, struct error *err)
{
	uint64_t before = offset & (sysconf(_SC_PAGESIZE) - 1), end;
	struct stat st;
	void *map;
	int ret = check_counts(count, num, err);

	if (ret < 0)
		return ret;
	if (size < count * stride(num) || offset % ALIGN ||
	    __builtin_add_overflow(offset, size, &end) || end > INT64_MAX)
		return error_set(
			err, -EINVAL,
			"%llu bytes at 0x%llx, %u rings of %u entries need %llu",
			(unsigned long long)size, (unsigned long long)offset, count,
			num, (unsigned long long)count * stride(num));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < end)
		return error_set(err, -EINVAL,
				 "its file is none or shorter than %llu bytes",
				 (unsigned long long)end);
	size = count * stride(num);
	map = mmap(NULL, before + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   (off_t)(offset - before));
	if (map == MAP_FAILED)
		return error_set(err, -errno, "cannot map %llu bytes: %s",
				 (unsigned long long)size, strerror(errno));
	inflight_unmap(inflight);
	*inflight = (struct inflight){
		.rings = (uint8_t *)map + before,
		.size = size,
		.offset = offset,
		.count = count,
		.num = num,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.map = map,
		.map_len = before + size,
	};
	return 0;
}

void inflight_unmap(struct inflight *inflight)
{
	if (inflight->map)
		munmap(inflight->map, inflight->map_len);
	*inflight = (struct inflight){.rings = NULL};
}

union inflight_ring *inflight_ring(struct inflight *inflight, unsigned int index)
{
	if (!inflight->rings || index >= inflight->count)
		return NULL;
	return (union inflight_ring *)(inflight->rings + index * stride(inflight->num));
}
