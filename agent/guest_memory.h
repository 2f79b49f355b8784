/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's memory blocks in sysfs: Documentation/admin-guide/mm/memory-hotplug.rst
 * in the kernel tree. For jobs: the kernel's answers take their time.
 */
#ifndef AGENT_GUEST_MEMORY_H
#define AGENT_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define GUEST_MEMORY_BLOCKS_MAX 65536

struct guest_memory_block {
	uint32_t block;
	char state[16];
	char zones[64];
	int node;
};

/* -ENOENT on a kernel without memory hotplug. */
int guest_memory_block_size(const char *root, uint64_t *bytes, struct error *err);
/* Whether memory can be probed by address. */
int guest_memory_has_probe(const char *root);
/* Tells the kernel of a block of memory at an address. */
int guest_memory_probe(const char *root, uint64_t address, struct error *err);

/*
 * All blocks, ascending, in an allocation that the caller frees. Blocks that go while
 * they are read are left out.
 */
int guest_memory_read(const char *root, struct guest_memory_block **blocks, size_t *n,
		      struct error *err);
/*
 * Writes "online", "online_kernel", "online_movable" or "offline" to a block that is
 * not like that already, and sees that it is. Blocks until the kernel has done it, or
 * has given it up. -ENODEV: there is no such block. -EIO: it says that it is not.
 */
int guest_memory_set(const char *root, uint32_t block, const char *state);

#endif
