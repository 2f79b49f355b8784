/* SPDX-License-Identifier: Apache-2.0 */
#include "ttrpc.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

void ttrpc_header_encode(const struct ttrpc_header *h,
			 uint8_t out[static TTRPC_HEADER_SIZE])
{
	uint32_t length = htonl(h->length), stream_id = htonl(h->stream_id);

	memcpy(out, &length, 4);
	memcpy(out + 4, &stream_id, 4);
	out[8] = h->type;
	out[9] = h->flags;
}

void ttrpc_header_decode(const uint8_t in[static TTRPC_HEADER_SIZE],
			 struct ttrpc_header *h)
{
	uint32_t length, stream_id;

	memcpy(&length, in, 4);
	memcpy(&stream_id, in + 4, 4);
	h->length = ntohl(length);
	h->stream_id = ntohl(stream_id);
	h->type = in[8];
	h->flags = in[9];
}

const char *ttrpc_status_name(int code)
{
	static const char *const names[] = {
		[TTRPC_OK] = "OK",
		[TTRPC_CANCELLED] = "CANCELLED",
		[TTRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
		[TTRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
		[TTRPC_NOT_FOUND] = "NOT_FOUND",
		[TTRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
		[TTRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
		[TTRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
		[TTRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
		[TTRPC_INTERNAL] = "INTERNAL",
		[TTRPC_UNAVAILABLE] = "UNAVAILABLE",
	};

	if (code < 0 || (size_t)code >= sizeof(names) / sizeof(names[0]) ||
	    !names[code])
		return "UNKNOWN";
	return names[code];
}

/* What a reader keeps between frames, and where bytes to be thrown away go. */
#define KEEP_SIZE 4096u

void ttrpc_reader_init(struct ttrpc_reader *r)
{
	memset(r, 0, sizeof(*r));
}

void ttrpc_reader_free(struct ttrpc_reader *r)
{
	free(r->buf);
	ttrpc_reader_init(r);
}

static int resize(struct ttrpc_reader *r, size_t capacity)
{
	uint8_t *buf = realloc(r->buf, capacity);

	if (!buf)
		return -1;
	r->buf = buf;
	r->capacity = capacity;
	return 0;
}

void *ttrpc_reader_space(struct ttrpc_reader *r, size_t *len)
{
	struct ttrpc_header h;
	size_t want = TTRPC_HEADER_SIZE;

	ttrpc_reader_drop(r);
	if (!r->used && r->capacity != KEEP_SIZE && resize(r, KEEP_SIZE))
		return NULL;
	if (r->drain) {
		*len = r->drain < KEEP_SIZE ? r->drain : KEEP_SIZE;
		return r->buf;
	}
	if (r->used >= TTRPC_HEADER_SIZE) {
		ttrpc_header_decode(r->buf, &h);
		want += h.length;
	}
	if (want > r->capacity && resize(r, want))
		return NULL;
	*len = want - r->used;
	return r->buf + r->used;
}

void ttrpc_reader_advance(struct ttrpc_reader *r, size_t len)
{
	if (r->drain)
		r->drain -= len;
	else
		r->used += len;
}

enum ttrpc_take ttrpc_reader_take(struct ttrpc_reader *r, struct ttrpc_header *h,
				  const uint8_t **payload)
{
	if (r->drain || r->taken || r->used < TTRPC_HEADER_SIZE)
		return TTRPC_TAKE_MORE;
	ttrpc_header_decode(r->buf, h);
	if (h->length > TTRPC_PAYLOAD_MAX) {
		r->drain = h->length;
		r->used = 0;
		return TTRPC_TAKE_OVERSIZE;
	}
	if (r->used < TTRPC_HEADER_SIZE + (size_t)h->length)
		return TTRPC_TAKE_MORE;
	*payload = r->buf + TTRPC_HEADER_SIZE;
	r->taken = true;
	return TTRPC_TAKE_FRAME;
}

bool ttrpc_reader_grows(const struct ttrpc_reader *r, struct ttrpc_header *h)
{
	if (r->drain || r->taken || r->used < TTRPC_HEADER_SIZE)
		return false;
	ttrpc_header_decode(r->buf, h);
	return TTRPC_HEADER_SIZE + (size_t)h->length > r->capacity;
}

void ttrpc_reader_skip(struct ttrpc_reader *r)
{
	struct ttrpc_header h;

	ttrpc_header_decode(r->buf, &h);
	r->drain = TTRPC_HEADER_SIZE + h.length - r->used;
	r->used = 0;
}

size_t ttrpc_reader_extra(const struct ttrpc_reader *r)
{
	return r->capacity > KEEP_SIZE ? r->capacity - KEEP_SIZE : 0;
}

void ttrpc_reader_drop(struct ttrpc_reader *r)
{
	if (!r->taken)
		return;
	r->taken = false;
	r->used = 0;
	/* One that cannot be made smaller stays as it is. */
	if (r->capacity > KEEP_SIZE)
		resize(r, KEEP_SIZE);
}
