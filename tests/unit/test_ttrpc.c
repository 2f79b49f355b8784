/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "ttrpc.h"

/* Feeds bytes as the reader asks for them, at most `piece` at a time. */
static size_t feed(struct ttrpc_reader *r, const uint8_t *bytes, size_t len,
		   size_t piece, enum ttrpc_take *take, struct ttrpc_header *h,
		   const uint8_t **payload)
{
	size_t used = 0;

	*take = TTRPC_TAKE_MORE;
	while (used < len && *take == TTRPC_TAKE_MORE) {
		size_t want, n;
		void *space = ttrpc_reader_space(r, &want);

		assert_non_null(space);
		assert_true(want > 0);
		n = want < piece ? want : piece;
		if (n > len - used)
			n = len - used;
		memcpy(space, bytes + used, n);
		ttrpc_reader_advance(r, n);
		used += n;
		*take = ttrpc_reader_take(r, h, payload);
	}
	return used;
}

static size_t make_frame(uint8_t *out, uint32_t stream_id, uint32_t length,
			 uint8_t fill)
{
	struct ttrpc_header h = {
		.length = length,
		.stream_id = stream_id,
		.type = TTRPC_REQUEST,
		.flags = TTRPC_REMOTE_CLOSED,
	};

	ttrpc_header_encode(&h, out);
	memset(out + TTRPC_HEADER_SIZE, fill, length);
	return TTRPC_HEADER_SIZE + length;
}

static void a_header_is_ten_big_endian_bytes(void **state)
{
	static const uint8_t bytes[TTRPC_HEADER_SIZE] = {0, 1, 2, 3, 0x80,
							 5, 6, 7, 2, 4};
	struct ttrpc_header h;
	uint8_t back[TTRPC_HEADER_SIZE];

	(void)state;
	ttrpc_header_decode(bytes, &h);
	assert_int_equal(h.length, 0x00010203);
	assert_int_equal(h.stream_id, 0x80050607);
	assert_int_equal(h.type, TTRPC_RESPONSE);
	assert_int_equal(h.flags, TTRPC_NO_DATA);
	ttrpc_header_encode(&h, back);
	assert_memory_equal(back, bytes, sizeof(bytes));
}

static void frames_come_out_whole_however_they_arrive(void **state)
{
	static const size_t pieces[] = {1, 3, 10, 17, 100000};
	size_t p;

	(void)state;
	for (p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
		static const uint32_t lengths[] = {5, 0, 70000, 0, 1};
		uint8_t *bytes = malloc(100000);
		struct ttrpc_reader r;
		size_t len = 0, at = 0, i;

		ttrpc_reader_init(&r);
		for (i = 0; i < 5; i++)
			len += make_frame(bytes + len, 2 * i + 1, lengths[i], 'a' + i);
		for (i = 0; i < 5; i++) {
			enum ttrpc_take take;
			struct ttrpc_header h;
			const uint8_t *payload;

			at += feed(&r, bytes + at, len - at, pieces[p], &take, &h,
				   &payload);
			assert_int_equal(take, TTRPC_TAKE_FRAME);
			assert_int_equal(h.stream_id, 2 * i + 1);
			assert_int_equal(h.length, lengths[i]);
			if (h.length) {
				assert_int_equal(payload[0], 'a' + i);
				assert_int_equal(payload[h.length - 1], 'a' + i);
			}
		}
		assert_int_equal(at, len);
		ttrpc_reader_free(&r);
		free(bytes);
	}
}

static void an_oversize_frame_is_told_skipped_and_survived(void **state)
{
	uint32_t length = TTRPC_PAYLOAD_MAX + 1;
	uint8_t *bytes = malloc(TTRPC_HEADER_SIZE + length + 100);
	size_t len = make_frame(bytes, 7, length, 'x'), at, used = 0;
	enum ttrpc_take take = TTRPC_TAKE_MORE;
	const uint8_t *payload;
	struct ttrpc_reader r;
	struct ttrpc_header h;

	(void)state;
	len += make_frame(bytes + len, 9, 3, 'y');
	ttrpc_reader_init(&r);
	at = feed(&r, bytes, len, len, &take, &h, &payload);
	assert_int_equal(take, TTRPC_TAKE_OVERSIZE);
	assert_int_equal(h.stream_id, 7);
	assert_int_equal(h.length, length);
	assert_int_equal(at, TTRPC_HEADER_SIZE);
	used = feed(&r, bytes + at, len - at, 65536, &take, &h, &payload);
	assert_int_equal(take, TTRPC_TAKE_FRAME);
	assert_int_equal(h.stream_id, 9);
	assert_int_equal(at + used, len);
	assert_true(r.capacity < 65536);
	ttrpc_reader_free(&r);
	free(bytes);
}

static void the_largest_frame_is_no_oversize(void **state)
{
	uint8_t *bytes = malloc(TTRPC_HEADER_SIZE + TTRPC_PAYLOAD_MAX);
	size_t len = make_frame(bytes, 1, TTRPC_PAYLOAD_MAX, 'm');
	enum ttrpc_take take;
	const uint8_t *payload;
	struct ttrpc_reader r;
	struct ttrpc_header h;

	(void)state;
	ttrpc_reader_init(&r);
	feed(&r, bytes, len, len, &take, &h, &payload);
	assert_int_equal(take, TTRPC_TAKE_FRAME);
	assert_int_equal(h.length, TTRPC_PAYLOAD_MAX);
	assert_int_equal(payload[TTRPC_PAYLOAD_MAX - 1], 'm');
	ttrpc_reader_free(&r);
	free(bytes);
}

static void a_large_frame_does_not_keep_its_memory(void **state)
{
	uint8_t *bytes = malloc(TTRPC_HEADER_SIZE + (1 << 20));
	size_t len = make_frame(bytes, 1, 1 << 20, 'z');
	enum ttrpc_take take;
	const uint8_t *payload;
	struct ttrpc_reader r;
	struct ttrpc_header h;

	(void)state;
	ttrpc_reader_init(&r);
	feed(&r, bytes, len, len, &take, &h, &payload);
	assert_int_equal(take, TTRPC_TAKE_FRAME);
	assert_true(r.capacity >= 1 << 20);
	assert_int_equal(ttrpc_reader_take(&r, &h, &payload), TTRPC_TAKE_MORE);
	assert_non_null(ttrpc_reader_space(&r, &len));
	assert_true(r.capacity < 65536);
	ttrpc_reader_free(&r);
	free(bytes);
}

static void status_codes_outside_the_table_have_a_name_too(void **state)
{
	(void)state;
	assert_string_equal(ttrpc_status_name(TTRPC_UNIMPLEMENTED), "UNIMPLEMENTED");
	assert_string_equal(ttrpc_status_name(2), "UNKNOWN");
	assert_string_equal(ttrpc_status_name(-1), "UNKNOWN");
	assert_string_equal(ttrpc_status_name(1000000), "UNKNOWN");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_ten_big_endian_bytes),
		cmocka_unit_test(frames_come_out_whole_however_they_arrive),
		cmocka_unit_test(an_oversize_frame_is_told_skipped_and_survived),
		cmocka_unit_test(the_largest_frame_is_no_oversize),
		cmocka_unit_test(a_large_frame_does_not_keep_its_memory),
		cmocka_unit_test(status_codes_outside_the_table_have_a_name_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
