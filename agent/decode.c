// SPDX-License-Identifier: Apache-2.0
#include "decode.h"

#include <string.h>

#include "unpack.h"

ProtobufCMessage *agent_decode(const ProtobufCMessageDescriptor *type,
			       const uint8_t *data, size_t len)
{
	return unpack_within(type, data, len, AGENT_DECODE_BUDGET(len));
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
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}
