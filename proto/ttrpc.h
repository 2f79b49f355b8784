/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ttrpc framing (containerd/ttrpc, PROTOCOL.md): a 10 byte header, big-endian,
 * then a protobuf message: ttrpc.Request or ttrpc.Response (proto/ttrpc.proto)
 * for unary calls. Bytes only: who is calling what is the caller's business.
 */
#ifndef PROTO_TTRPC_H
#define PROTO_TTRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TTRPC_HEADER_SIZE 10
#define TTRPC_PAYLOAD_MAX (4u << 20) /* bytes, header not counted */

enum ttrpc_type {
	TTRPC_REQUEST = 1,
	TTRPC_RESPONSE = 2,
	TTRPC_DATA = 3,
};

enum ttrpc_flag {
	TTRPC_REMOTE_CLOSED = 1,
	TTRPC_REMOTE_OPEN = 2,
	TTRPC_NO_DATA = 4,
};

/* google.rpc.Code, the values that this project sends. */
enum ttrpc_status {
	TTRPC_OK = 0,
	TTRPC_CANCELLED = 1,
	TTRPC_INVALID_ARGUMENT = 3,
	TTRPC_DEADLINE_EXCEEDED = 4,
	TTRPC_NOT_FOUND = 5,
	TTRPC_PERMISSION_DENIED = 7,
	TTRPC_RESOURCE_EXHAUSTED = 8,
	TTRPC_FAILED_PRECONDITION = 9,
	TTRPC_UNIMPLEMENTED = 12,
	TTRPC_INTERNAL = 13,
	TTRPC_UNAVAILABLE = 14,
};

struct ttrpc_header {
	uint32_t length;    /* payload bytes behind the header */
	uint32_t stream_id; /* odd for calls that a client begins */
	uint8_t type;	    /* enum ttrpc_type */
	uint8_t flags;	    /* enum ttrpc_flag */
};

void ttrpc_header_encode(const struct ttrpc_header *h,
			 uint8_t out[static TTRPC_HEADER_SIZE]);
void ttrpc_header_decode(const uint8_t in[static TTRPC_HEADER_SIZE],
			 struct ttrpc_header *h);

/* The name of a status code ("UNIMPLEMENTED"), "UNKNOWN" for one not above. */
const char *ttrpc_status_name(int code);

/*
 * Takes a byte stream apart into frames. The reader owns one buffer, which is as
 * large as the frame in it: at most TTRPC_HEADER_SIZE + TTRPC_PAYLOAD_MAX bytes.
 * What a large frame took is given back with the next one.
 */
struct ttrpc_reader {
	uint8_t *buf;
	size_t used;
	size_t capacity;
	uint32_t drain; /* payload bytes of an oversize frame still to be thrown away */
	bool taken;	/* the frame in buf was given out; the next space() drops it */
};

/* What ttrpc_reader_take() found. */
enum ttrpc_take {
	TTRPC_TAKE_MORE,     /* no whole frame yet */
	TTRPC_TAKE_FRAME,    /* one frame: *h and *payload */
	TTRPC_TAKE_OVERSIZE, /* a frame above the limit: *h only; its payload is skipped
			      */
};

void ttrpc_reader_init(struct ttrpc_reader *r);
void ttrpc_reader_free(struct ttrpc_reader *r);

/*
 * Where the next bytes of the stream go, and how many are wanted (never 0). The
 * caller reads at most *len bytes there and says how many with
 * ttrpc_reader_advance(). NULL when memory runs out.
 */
void *ttrpc_reader_space(struct ttrpc_reader *r, size_t *len);
void ttrpc_reader_advance(struct ttrpc_reader *r, size_t len);

/*
 * To be called after each advance. A returned payload stays valid until the next
 * call of ttrpc_reader_space(); the reader then starts on the next frame.
 */
enum ttrpc_take ttrpc_reader_take(struct ttrpc_reader *r, struct ttrpc_header *h,
				  const uint8_t **payload);

/*
 * For who has to mind memory. Whether the next ttrpc_reader_space() makes the buffer
 * larger, for the frame *h; instead of that the frame can be skipped, as one above the
 * limit is. And how many bytes a large frame takes now; a frame that was given out can
 * give them back before the next one, after which its payload is not valid any more.
 */
bool ttrpc_reader_grows(const struct ttrpc_reader *r, struct ttrpc_header *h);
void ttrpc_reader_skip(struct ttrpc_reader *r);
size_t ttrpc_reader_extra(const struct ttrpc_reader *r);
void ttrpc_reader_drop(struct ttrpc_reader *r);

#endif
