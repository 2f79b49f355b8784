// SPDX-License-Identifier: Apache-2.0
#include "outcome.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

static const void *member(const ProtobufCMessage *message,
			  const ProtobufCFieldDescriptor *field)
{
	return (const char *)message + field->offset;
}

/* Not one of a list, nor of several of which one is there. */
static bool is_single(const ProtobufCFieldDescriptor *field)
{
	return field->label != PROTOBUF_C_LABEL_REPEATED &&
	       !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
}

static void take_text(struct agent_outcome *outcome, const void *data, size_t len)
{
	char text[AGENT_OUTCOME_TEXT];

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	agent_log_printable(text, outcome->about, sizeof(outcome->about));
}

static void take_name(struct agent_outcome *outcome, const ProtobufCMessage *message,
		      const ProtobufCFieldDescriptor *field)
{
	const char *text;
	const ProtobufCBinaryData *bytes;

	if (strcmp(field->name, "path") && strcmp(field->name, "name") &&
	    strcmp(field->name, "user"))
		return;
	if (field->type == PROTOBUF_C_TYPE_STRING) {
		text = *(const char *const *)member(message, field);
		take_text(outcome, text, text ? strlen(text) : 0);
	} else if (field->type == PROTOBUF_C_TYPE_BYTES) {
		bytes = member(message, field);
		take_text(outcome, bytes->data, bytes->len);
	}
}

static void take_request(struct agent_outcome *outcome, const ProtobufCMessage *message,
			 bool deeper)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	for (unsigned int i = 0; i < type->n_fields && !*outcome->about; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const ProtobufCMessage *part;

		if (!is_single(field))
			continue;
		take_name(outcome, message, field);
		if (!deeper || field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		part = *(const ProtobufCMessage *const *)member(message, field);
		if (part)
			take_request(outcome, part, false);
	}
}

void agent_outcome_request(struct agent_outcome *outcome,
			   const ProtobufCMessage *message)
{
	if (!*outcome->about)
		take_request(outcome, message, true);
}

/* One that has an errno is a result. */
static void take_result(struct agent_outcome *outcome, const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
								"error");

	if (!field || field->type != PROTOBUF_C_TYPE_INT32 || !is_single(field))
		return;
	outcome->results++;
	outcome->failed += *(const int32_t *)member(message, field) != 0;
}

void agent_outcome_response(struct agent_outcome *outcome,
			    const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	take_result(outcome, message);
	for (unsigned int i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const ProtobufCMessage *const *parts;
		size_t n;

		if (field->label != PROTOBUF_C_LABEL_REPEATED ||
		    field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		memcpy(&n, (const char *)message + field->quantifier_offset, sizeof(n));
		parts = *(const ProtobufCMessage *const *const *)member(message, field);
		for (size_t j = 0; j < n; j++)
			take_result(outcome, parts[j]);
	}
}

void agent_outcome_text(const struct agent_outcome *outcome, char *text, size_t size)
{
	char failed[64] = "";

	if (outcome->failed)
		snprintf(failed, sizeof(failed), "%zu of %zu failed", outcome->failed,
			 outcome->results);
	if (!*outcome->about && !*outcome->note && !*failed)
		*text = '\0';
	else
		snprintf(text, size, " (%s%s%s%s%s)", outcome->about,
			 *outcome->about && *outcome->note ? "; " : "", outcome->note,
			 (*outcome->about || *outcome->note) && *failed ? "; " : "",
			 failed);
}
