/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the guest's agent that were unpacked, whatever their type. */
#ifndef HOST_CLI_MESSAGE_H
#define HOST_CLI_MESSAGE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* A message with all that is in it, or NULL. */
void message_free(void *message);

/* A string as the bytes of a message, which does not own them. */
ProtobufCBinaryData message_bytes(const char *text);

/* Makes every string of one printable, in place (text_sanitize()). */
void message_sanitize(ProtobufCMessage *message);

/*
 * An object with the message's fields by their names, those at their default too, but
 * for messages within that are not there. Values of enums are their names in lower case
 * behind the first '_'. Bytes are left out. NULL: no memory.
 */
json_t *message_json(const ProtobufCMessage *message);

/* A number of a message; one that JSON's integers (jansson's) cannot hold as a real. */
json_t *message_number(uint64_t value);

#endif
