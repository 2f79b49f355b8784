/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

void message_free(void *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

ProtobufCBinaryData message_bytes(const char *text)
{
	return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

static const void *member(const ProtobufCMessage *message,
			  const ProtobufCFieldDescriptor *field)
{
	return (const char *)message + field->offset;
}

static size_t count_of(const ProtobufCMessage *message,
		       const ProtobufCFieldDescriptor *field)
{
	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return 1;
	return *(const size_t *)(const void *)((const char *)message +
					       field->quantifier_offset);
}

/* Where the first value is: in the message, or in an array of its own. */
static const void *values_of(const ProtobufCMessage *message,
			     const ProtobufCFieldDescriptor *field)
{
	const void *at = member(message, field);

	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return *(const void *const *)at;
	return at;
}

void message_sanitize(ProtobufCMessage *message)
{
	for (unsigned int f = 0; f < message->descriptor->n_fields; f++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
		void *const *values = values_of(message, field);

		if (field->type != PROTOBUF_C_TYPE_STRING &&
		    field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		for (size_t i = 0; i < count_of(message, field); i++) {
			if (!values[i] || values[i] == field->default_value)
				continue;
			if (field->type == PROTOBUF_C_TYPE_MESSAGE)
				message_sanitize(values[i]);
			else if (*(char *)values[i])
				text_sanitize(values[i]);
		}
	}
}

static json_t *enum_json(const ProtobufCFieldDescriptor *field, int number)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(field->descriptor, number);
	const char *name;
	char text[64];

	if (!value)
		return json_integer(number);
	name = strchr(value->name, '_');
	snprintf(text, sizeof(text), "%s", name ? name + 1 : value->name);
	for (char *p = text; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return json_string(text);
}

json_t *message_number(uint64_t value)
{
	return value > INT64_MAX ? json_real((double)value)
				 : json_integer((json_int_t)value);
}

/* JSON has neither NaN nor infinity. */
static json_t *double_json(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* The i-th value of a field. */
static json_t *value_json(const ProtobufCFieldDescriptor *field, const void *values,
			  size_t i)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return json_string(((const char *const *)values)[i]);
	case PROTOBUF_C_TYPE_MESSAGE:
		return message_json(((const ProtobufCMessage *const *)values)[i]);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_json(field, ((const int *)values)[i]);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(((const protobuf_c_boolean *)values)[i]);
	case PROTOBUF_C_TYPE_DOUBLE:
		return double_json(((const double *)values)[i]);
	case PROTOBUF_C_TYPE_INT32:
		return json_integer(((const int32_t *)values)[i]);
	case PROTOBUF_C_TYPE_UINT32:
		return json_integer(((const uint32_t *)values)[i]);
	case PROTOBUF_C_TYPE_INT64:
		return json_integer(((const int64_t *)values)[i]);
	case PROTOBUF_C_TYPE_UINT64:
		return message_number(((const uint64_t *)values)[i]);
	default:
		return NULL;
	}
}

static json_t *field_json(const ProtobufCMessage *message,
			  const ProtobufCFieldDescriptor *field)
{
	const void *values = values_of(message, field);
	json_t *list;

	if (field->label != PROTOBUF_C_LABEL_REPEATED) {
		if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
		    !*(const void *const *)values)
			return NULL;
		return value_json(field, values, 0);
	}
	list = json_array();
	for (size_t i = 0; i < count_of(message, field); i++)
		json_array_append_new(list, value_json(field, values, i));
	return list;
}

json_t *message_json(const ProtobufCMessage *message)
{
	json_t *object = json_object();

	for (unsigned int f = 0; f < message->descriptor->n_fields; f++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[f];
		json_t *value = field_json(message, field);

		if (value)
			json_object_set_new(object, field->name, value);
	}
	return object;
}
