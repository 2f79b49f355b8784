/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf decoding with a limit on memory. A message of two-byte fields takes
 * about fifty times its size once decoded: 4 MiB of them would take 200 MiB.
 */
#ifndef PROTO_UNPACK_H
#define PROTO_UNPACK_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/*
 * NULL when the bytes are no such message, or when it is one that would take more than
 * `budget` bytes of memory. Nothing in the result points into data; it is freed with
 * protobuf_c_message_free_unpacked(message, NULL).
 */
ProtobufCMessage *unpack_within(const ProtobufCMessageDescriptor *type,
				const uint8_t *data, size_t len, size_t budget);

#endif
