/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding of what clients send, with a limit on memory (proto/unpack.h). */
#ifndef AGENT_DECODE_H
#define AGENT_DECODE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What decoding `len` bytes may allocate, in bytes. */
#define AGENT_DECODE_BUDGET(len) (262144 + 4 * (size_t)(len))

/*
 * NULL when the bytes are no such message, or when it is one that would take
 * more memory than AGENT_DECODE_BUDGET. Nothing in the result points into data.
 */
ProtobufCMessage *agent_decode(const ProtobufCMessageDescriptor *type,
			       const uint8_t *data, size_t len);
/* As a string; false for bytes that are none, have a NUL, or do not fit. */
bool agent_decode_text(const ProtobufCBinaryData *bytes, char *to, size_t size);
/* NULL is let pass. */
void agent_decode_free(ProtobufCMessage *message);

#endif
