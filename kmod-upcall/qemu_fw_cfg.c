// SPDX-License-Identifier: GPL-2.0-only
#include <linux/errno.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/string.h>

#include <asm/byteorder.h>

#include "qemu_fw_cfg.h"

/* Offsets from the base port. */
#define PORT	   0x510
#define REG_SELECT 0 /* w, 16 bits: the item to read from its begin */
#define REG_DATA   1 /* r, 8 bits: its next byte */
#define REG_LENGTH 12

#define ITEM_SIGNATURE 0x0000 /* "QEMU" */
#define ITEM_DIRECTORY 0x0019 /* a be32 count, and as many entries */

/* More files than that no QEMU has; only a broken directory is read that far. */
#define FILES_MAX 4096

struct entry {
	__be32 size;
	__be16 item;
	__be16 reserved;
	char name[56];
};

static void read_bytes(void *to, size_t size)
{
	insb(PORT + REG_DATA, to, size);
}

static void read_item(u16 item, void *to, size_t size)
{
	outw(item, PORT + REG_SELECT);
	read_bytes(to, size);
}

static int find(const char *name, struct entry *entry)
{
	__be32 count;
	u32 i;

	read_item(ITEM_DIRECTORY, &count, sizeof(count));
	for (i = 0; i < be32_to_cpu(count) && i < FILES_MAX; i++) {
		read_bytes(entry, sizeof(*entry));
		if (!strncmp(entry->name, name, sizeof(entry->name)))
			return 0;
	}
	return -ENOENT;
}

static int read_u64(const char *name, u64 *value)
{
	struct entry entry;
	char signature[4];
	__le64 number;
	int ret;

	read_item(ITEM_SIGNATURE, signature, sizeof(signature));
	if (memcmp(signature, "QEMU", sizeof(signature)))
		return -ENODEV;
	ret = find(name, &entry);
	if (ret)
		return ret;
	if (be32_to_cpu(entry.size) != sizeof(number))
		return -ENOENT;
	read_item(be16_to_cpu(entry.item), &number, sizeof(number));
	*value = le64_to_cpu(number);
	return 0;
}

int qemu_fw_cfg_read_u64(const char *name, u64 *value)
{
	int ret;

	if (!request_region(PORT, REG_LENGTH, KBUILD_MODNAME))
		return -EBUSY;
	ret = read_u64(name, value);
	release_region(PORT, REG_LENGTH);
	return ret;
}
