// SPDX-License-Identifier: Apache-2.0
#include "guest_memory.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysfile.h"

#define MEMORY_DIR "/sys/devices/system/memory"

int guest_memory_block_size(const char *root, uint64_t *bytes, struct error *err)
{
	long long value;
	int ret = sysfile_read_number(root, MEMORY_DIR "/block_size_bytes", 16, &value,
				      err);

	if (ret < 0)
		return ret;
	if (value <= 0)
		return error_set(err, -ERANGE,
				 "%s" MEMORY_DIR "/block_size_bytes: %lld", root,
				 value);
	*bytes = value;
	return 0;
}

int guest_memory_has_probe(const char *root)
{
	return sysfile_exists(root, MEMORY_DIR "/probe");
}

int guest_memory_probe(const char *root, uint64_t address, struct error *err)
{
	char text[32];
	int ret;

	snprintf(text, sizeof(text), "%#" PRIx64, address);
	ret = sysfile_write(root, MEMORY_DIR "/probe", text, err);
	return ret == -EEXIST ? 0 : ret;
}

/* N of "memoryN"; -1 for another name. */
static long block_number(const char *name)
{
	unsigned long n;
	char *end;

	if (strncmp(name, "memory", 6) || name[6] < '0' || name[6] > '9')
		return -1;
	errno = 0;
	n = strtoul(name + 6, &end, 10);
	return errno || *end || n > UINT32_MAX ? -1 : (long)n;
}

static int read_word(const char *root, uint32_t block, const char *name, char *to,
		     size_t size)
{
	char path[sizeof(MEMORY_DIR) + 64];

	snprintf(path, sizeof(path), MEMORY_DIR "/memory%" PRIu32 "/%s", block, name);
	return sysfile_read_line(root, path, to, size, NULL);
}

static int read_block(const char *root, uint32_t number,
		      struct guest_memory_block *block)
{
	char path[sizeof(MEMORY_DIR) + 64];

	memset(block, 0, sizeof(*block));
	block->block = number;
	if (read_word(root, number, "state", block->state, sizeof(block->state)) < 0)
		return -ENODEV;
	read_word(root, number, "valid_zones", block->zones, sizeof(block->zones));
	snprintf(path, sizeof(path), MEMORY_DIR "/memory%" PRIu32, number);
	block->node = sysfile_node(root, path);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct guest_memory_block *one = a, *other = b;

	return (one->block > other->block) - (one->block < other->block);
}

static int add_block(const char *root, uint32_t number,
		     struct guest_memory_block **blocks, size_t *n, size_t *room)
{
	if (*n == *room) {
		size_t more = *room ? 2 * *room : 64;
		void *p = realloc(*blocks, more * sizeof(**blocks));

		if (!p)
			return -ENOMEM;
		*blocks = p;
		*room = more;
	}
	if (!read_block(root, number, *blocks + *n))
		++*n;
	return 0;
}

int guest_memory_read(const char *root, struct guest_memory_block **blocks, size_t *n,
		      struct error *err)
{
	char path[PATH_MAX];
	size_t room = 0;
	int ret = 0;
	DIR *dir;

	*blocks = NULL;
	*n = 0;
	if ((size_t)snprintf(path, sizeof(path), "%s" MEMORY_DIR, root) >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the path below %s is too long",
				 root);
	dir = opendir(path);
	if (!dir)
		return error_set(err, -errno,
				 "open %s: %s; the kernel has no memory hotplug", path,
				 strerror(errno));
	for (struct dirent *e; !ret && (e = readdir(dir));) {
		long number = block_number(e->d_name);

		if (number >= 0 && *n < GUEST_MEMORY_BLOCKS_MAX)
			ret = add_block(root, number, blocks, n, &room);
	}
	closedir(dir);
	if (ret) {
		free(*blocks);
		return error_set(err, ret, "no memory for a list of blocks");
	}
	if (*n)
		qsort(*blocks, *n, sizeof(**blocks), compare);
	return 0;
}

int guest_memory_set(const char *root, uint32_t block, const char *state)
{
	char path[sizeof(MEMORY_DIR) + 64], now[16];
	const char *wanted = strncmp(state, "online", 6) ? "offline" : "online";
	int ret = read_word(root, block, "state", now, sizeof(now));

	if (ret < 0)
		return ret == -ENOENT ? -ENODEV : ret;
	if (!strcmp(now, wanted))
		return 0;
	snprintf(path, sizeof(path), MEMORY_DIR "/memory%" PRIu32 "/state", block);
	ret = sysfile_write(root, path, state, NULL);
	if (ret < 0)
		return ret;
	ret = read_word(root, block, "state", now, sizeof(now));
	if (ret < 0)
		return ret;
	return strncmp(now, wanted, strlen(wanted)) ? -EIO : 0;
}
