/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack.h"

#include <stdlib.h>

static void *budget_alloc(void *data, size_t size)
{
	size_t *left = data;

	if (size > *left)
		return NULL;
	*left -= size;
	return malloc(size);
}

static void budget_free(void *data, void *p)
{
	(void)data; /* the size is not known any more: what is spent stays spent */
	free(p);
}

ProtobufCMessage *unpack_within(const ProtobufCMessageDescriptor *type,
				const uint8_t *data, size_t len, size_t budget)
{
	ProtobufCAllocator allocator = {
		.alloc = budget_alloc,
		.free = budget_free,
		.allocator_data = &budget,
	};

	return protobuf_c_message_unpack(type, &allocator, len, data);
}
