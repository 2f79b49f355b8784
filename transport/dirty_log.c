/* SPDX-License-Identifier: Apache-2.0 */
#include "dirty_log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("fstat", "newfstatat", "mmap", "munmap", "write", "close");

void dirty_log_init(struct dirty_log *log, struct memory *memory)
{
	*log = (struct dirty_log){.call_fd = -1, .memory = memory};
}

void dirty_log_free(struct dirty_log *log)
{
	if (log->map)
		munmap(log->map, log->map_len);
	if (log->call_fd >= 0)
		close(log->call_fd);
	dirty_log_init(log, log->memory);
}

static int check(const struct dirty_log *log, int fd, uint64_t size, uint64_t offset,
		 struct stat *st, struct error *err)
{
	uint64_t end, last = memory_last(log->memory) / DIRTY_LOG_PAGE / 8;

	if (!size || __builtin_add_overflow(offset, size, &end) || end > INT64_MAX)
		return error_set(err, -EINVAL,
				 "a log of 0x%llx bytes at 0x%llx is empty or wraps "
				 "around",
				 (unsigned long long)size, (unsigned long long)offset);
	if (log->memory->count && size <= last)
		return error_set(err, -EINVAL,
				 "a log of %llu bytes, the guest's memory needs %llu",
				 (unsigned long long)size,
				 (unsigned long long)last + 1);
	if (fstat(fd, st) < 0)
		return error_set(err, -errno, "cannot look at the log's file: %s",
				 strerror(errno));
	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size < end)
		return error_set(err, -EINVAL,
				 "the log's file is none or too short: %lld bytes, the "
				 "log ends at %llu",
				 (long long)st->st_size, (unsigned long long)end);
	return 0;
}

int dirty_log_map(struct dirty_log *log, int fd, uint64_t size, uint64_t offset,
		  struct error *err)
{
	uint64_t before = offset & (sysconf(_SC_PAGESIZE) - 1);
	struct stat st;
	void *map;
	int ret = check(log, fd, size, offset, &st, err);

	if (ret < 0)
		return ret;
	map = mmap(NULL, before + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   (off_t)(offset - before));
	if (map == MAP_FAILED)
		return error_set(err, -errno, "cannot map a log of %llu bytes: %s",
				 (unsigned long long)size, strerror(errno));
	if (log->map)
		munmap(log->map, log->map_len);
	log->map = map;
	log->map_len = before + size;
	log->bits = (uint8_t *)map + before;
	log->size = size;
	log->offset = offset;
	log->dev = st.st_dev;
	log->ino = st.st_ino;
	return 0;
}

void dirty_log_mark(struct dirty_log *log, uint64_t guest, uint64_t len)
{
	uint64_t page = guest / DIRTY_LOG_PAGE, last;

	if (!len)
		return;
	if (__builtin_add_overflow(guest, len - 1, &last))
		last = UINT64_MAX;
	last /= DIRTY_LOG_PAGE;
	if (last / 8 >= log->size) {
		log_limited(LOG_LEVEL_ERROR,
			    "the front-end's log has no place for 0x%llx, which was "
			    "written to: what it copies of the guest's memory now is "
			    "not whole",
			    (unsigned long long)guest);
		last = log->size * 8 - 1;
	}
	/* The front-end takes bits out meanwhile. */
	for (; page <= last; page++)
		__atomic_fetch_or(&log->bits[page / 8], 1u << page % 8,
				  __ATOMIC_SEQ_CST);
	log->marked = true;
}

void dirty_log_mark_host(struct dirty_log *log, const void *host, uint64_t len)
{
	uint64_t guest;

	if (memory_to_guest(log->memory, host, &guest))
		dirty_log_mark(log, guest, len);
}

void dirty_log_tell(struct dirty_log *log)
{
	uint64_t one = 1;
	ssize_t n;

	if (!log->marked)
		return;
	log->marked = false;
	if (log->call_fd < 0)
		return;
	n = write(log->call_fd, &one, sizeof(one));
	(void)n;
}
