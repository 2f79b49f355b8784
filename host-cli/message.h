/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the guest's agent, whatever their type: made printable, and as JSON. */
#ifndef HOST_CLI_MESSAGE_H
#define HOST_CLI_MESSAGE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* Makes every string of an unpacked message printable, in place (text_sanitize()). */
void message_sanitize(ProtobufCMessage *message);

/*
 * An object with the message's fields by their names, those at their default too, but
 * for messages within that are not there. Values of enums are their names in lower case
 * behind the first '_'. Bytes are left out. NULL: no memory.
 */
json_t *message_json(const ProtobufCMessage *message);

#endif
