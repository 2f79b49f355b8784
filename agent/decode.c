// SPDX-License-Identifier: Apache-2.0
#include "decode.h"

#include <stdlib.h>
#include <string.h>

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

ProtobufCMessage *agent_decode(const ProtobufCMessageDescriptor *type,
			       const uint8_t *data, size_t len)
{
	size_t left = AGENT_DECODE_BUDGET(len);
	ProtobufCAllocator allocator = {
		.alloc = budget_alloc,
		.free = budget_free,
		.allocator_data = &left,
	};

	return protobuf_c_message_unpack(type, &allocator, len, data);
}

bool agent_decode_text(const ProtobufCBinaryData *bytes, char *to, size_t size)
{
	if (!bytes->len || bytes->len >= size || memchr(bytes->data, '\0', bytes->len))
		return false;
	memcpy(to, bytes->data, bytes->len);
	to[bytes->len] = '\0';
	return true;
}

void agent_decode_free(ProtobufCMessage *message)
{
	ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free};

	if (message)
		protobuf_c_message_free_unpacked(message, &allocator);
}
