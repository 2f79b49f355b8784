/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of port 219 against a peer that lies. The peer's whole say is written
 * into the socket before the client looks.
 */
#include "unit.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../host-cli/upcall.h"

#define SOON deadline_after_ms(100)
#define LONG deadline_after_ms(20000)

struct peer {
	int ours, theirs;
	struct upcall u;
};

static struct peer open_peer(void)
{
	struct peer p = {0};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	p.ours = pair[0];
	p.theirs = pair[1];
	return p;
}

static void say(struct peer *p, const void *bytes, size_t len)
{
	assert_int_equal(write(p->ours, bytes, len), len);
}

static void close_peer(struct peer *p)
{
	upcall_close(&p->u);
	close(p->ours);
}

static void put(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

/* A good CONNECT with our announcement. */
static void make_connect(uint8_t msg[UPCALL_MSG_SIZE], uint32_t features)
{
	memset(msg, 0, UPCALL_MSG_SIZE);
	put(msg, UPCALL_MAGIC);
	put(msg + 0x40, UPCALL_EXT_MAGIC);
	put(msg + 0x44, 1);
	put(msg + 0x48, features);
	memcpy(msg + 0x50, "0.1\x1b[2J", 8);
	memset(msg + 0x70, 'k', 64); /* no NUL at the end */
}

/* A good reply to ADD_CPU. */
static void make_reply(uint8_t msg[UPCALL_MSG_SIZE], uint32_t type, uint32_t done)
{
	memset(msg, 0, UPCALL_MSG_SIZE);
	put(msg, UPCALL_MAGIC);
	put(msg + 4, 4);
	put(msg + 8, type);
	put(msg + 20, done);
}

static int greet(struct peer *p, const uint8_t msg[UPCALL_MSG_SIZE])
{
	struct error err = {0};
	char service;
	int ret;

	say(p, msg, UPCALL_MSG_SIZE);
	ret = upcall_greet(&p->u, p->theirs, LONG, &err);
	assert_int_equal(ret, err.code);
	assert_int_equal(read(p->ours, &service, 1), 1);
	assert_int_equal(service, 'd');
	return ret;
}

static struct peer greeted(uint32_t features)
{
	uint8_t msg[UPCALL_MSG_SIZE];
	struct peer p = open_peer();

	make_connect(msg, features);
	assert_int_equal(greet(&p, msg), 0);
	return p;
}

/* Sends ADD_CPU of APIC ids 1 to n, and checks the bytes that went out. */
static void send_add(struct peer *p, uint8_t n)
{
	uint8_t ids[255], msg[UPCALL_MSG_SIZE];
	struct error err = {0};
	unsigned int i;

	for (i = 0; i < n; i++)
		ids[i] = (uint8_t)(i + 1);
	assert_int_equal(upcall_send_cpu(&p->u, UPCALL_ADD_CPU, ids, n, LONG, &err), 0);
	assert_int_equal(recv(p->ours, msg, sizeof(msg), MSG_WAITALL), sizeof(msg));
	assert_memory_equal(msg, "\x00\x01\x4d\x44\x02\x01\0\0\x01\0\0\0\0\0\0\0", 16);
	assert_int_equal(msg[16], n);
	assert_int_equal(msg[18], 1);
	assert_int_equal(msg[18 + n], 0);
}

static int receive(struct peer *p, const uint8_t msg[UPCALL_MSG_SIZE],
		   struct upcall_result *result)
{
	struct error err = {0};
	int ret;

	say(p, msg, UPCALL_MSG_SIZE);
	ret = upcall_receive(&p->u, result, LONG, &err);
	assert_int_equal(ret, err.code);
	return ret;
}

static void the_announcement_is_taken_and_made_printable(void **state)
{
	struct peer p = greeted(UPCALL_FEATURE_DETAIL | UPCALL_FEATURE_DEL_CPU2);

	(void)state;
	assert_int_equal(p.u.features, 3);
	assert_string_equal(p.u.module, "0.1?[2J");
	assert_int_equal(strlen(p.u.kernel), 64);
	close_peer(&p);
}

static void a_server_without_extensions_has_no_features(void **state)
{
	uint8_t msg[UPCALL_MSG_SIZE] = {0};
	struct peer p = open_peer();

	(void)state;
	put(msg, UPCALL_MAGIC);
	memset(msg + 0x44, 0xff, 100);
	assert_int_equal(greet(&p, msg), 0);
	assert_int_equal(p.u.features, 0);
	assert_string_equal(p.u.module, "");
	close_peer(&p);
}

static void a_connect_with_any_field_wrong_is_refused(void **state)
{
	size_t at;

	(void)state;
	for (at = 0; at < 16; at += 4) {
		uint8_t msg[UPCALL_MSG_SIZE];
		struct peer p = open_peer();

		make_connect(msg, 3);
		msg[at] ^= 1;
		assert_int_equal(greet(&p, msg), -EPROTO);
		assert_int_equal(p.u.fd, -1);
		close_peer(&p);
	}
}

static void half_a_connect_and_a_close_is_a_reset(void **state)
{
	uint8_t msg[UPCALL_MSG_SIZE];
	struct peer p = open_peer();
	struct error err = {0};

	(void)state;
	make_connect(msg, 0);
	say(&p, msg, 1000);
	shutdown(p.ours, SHUT_WR);
	assert_int_equal(upcall_greet(&p.u, p.theirs, LONG, &err), -ECONNRESET);
	close_peer(&p);
}

static void a_silent_server_costs_no_more_than_the_deadline(void **state)
{
	struct peer p = open_peer();
	struct error err = {0};

	(void)state;
	assert_int_equal(upcall_greet(&p.u, p.theirs, SOON, &err), -ETIMEDOUT);
	close_peer(&p);
}

static void a_good_reply_counts_the_whole_list(void **state)
{
	struct peer p = greeted(0);
	uint8_t msg[UPCALL_MSG_SIZE];
	struct upcall_result r;

	(void)state;
	send_add(&p, 3);
	make_reply(msg, UPCALL_ADD_CPU, 3);
	assert_int_equal(receive(&p, msg, &r), 0);
	assert_int_equal(r.ret, 0);
	assert_int_equal(r.done, 3);
	assert_false(r.detailed);
	close_peer(&p);
}

/* Offset to change, value, and what the client must make of it. */
static void a_reply_that_lies_ends_the_connection(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} lies[] = {
		{0, 0x444D0101}, /* magic */
		{4, 0},		 /* success without a count */
		{4, 8},		 /* another size */
		{4, UPCALL_PAYLOAD_MAX + 1},
		{4, UINT32_MAX},
		{8, UPCALL_DEL_CPU}, /* another request's type */
		{20, 2},	     /* success, and not all are done */
		{20, 4},	     /* more done than asked for */
		{20, UINT32_MAX},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct peer p = greeted(UPCALL_FEATURE_DETAIL);
		uint8_t msg[UPCALL_MSG_SIZE];
		struct upcall_result r;

		send_add(&p, 3);
		make_reply(msg, UPCALL_ADD_CPU, 3);
		put(msg + lies[i].at, lies[i].value);
		assert_int_equal(receive(&p, msg, &r), -EPROTO);
		assert_int_equal(p.u.fd, -1);
		close_peer(&p);
	}
}

static void a_refusal_that_counts_more_than_was_asked_is_no_reply(void **state)
{
	struct peer p = greeted(0);
	uint8_t msg[UPCALL_MSG_SIZE];
	struct upcall_result r;

	(void)state;
	send_add(&p, 3);
	make_reply(msg, UPCALL_ADD_CPU, 4);
	put(msg + 16, (uint32_t)-EIO);
	assert_int_equal(receive(&p, msg, &r), -EPROTO);
	close_peer(&p);
}

static void a_refusal_has_its_reason_printable_and_bounded(void **state)
{
	struct peer p = greeted(UPCALL_FEATURE_DETAIL);
	uint8_t msg[UPCALL_MSG_SIZE];
	struct upcall_result r;

	(void)state;
	send_add(&p, 2);
	make_reply(msg, UPCALL_ADD_CPU, 0);
	put(msg + 16, (uint32_t)-ENOSPC);
	put(msg + 0x40, UPCALL_EXT_MAGIC);
	put(msg + 0x44, 1);
	put(msg + 0x48, 1);
	memset(msg + 0x40 + 24, 0x1b, 128);
	memset(msg + 0x40 + 24 + 128, 'x', 64);
	assert_int_equal(receive(&p, msg, &r), 0);
	assert_int_equal(r.ret, -ENOSPC);
	assert_int_equal(r.failed, 1);
	assert_int_equal(r.rolled_back, 1);
	assert_int_equal(strlen(r.reason), 128);
	assert_int_equal(strspn(r.reason, "?"), 128);
	close_peer(&p);
}

static void the_reference_servers_leftovers_on_an_error_are_not_believed(void **state)
{
	struct peer p = greeted(0);
	uint8_t msg[UPCALL_MSG_SIZE];
	struct upcall_result r;

	(void)state;
	send_add(&p, 2);
	make_reply(msg, UPCALL_ADD_CPU, 0xabcdef);
	put(msg + 4, 0);
	put(msg + 16, (uint32_t)-1);
	put(msg + 0x40, UPCALL_EXT_MAGIC); /* not announced: not looked at */
	assert_int_equal(receive(&p, msg, &r), 0);
	assert_int_equal(r.ret, -1);
	assert_int_equal(r.done, 0);
	assert_false(r.detailed);
	assert_true(r.failed == UINT32_MAX);
	close_peer(&p);
}

static void a_reply_that_is_late_and_in_pieces_is_still_taken(void **state)
{
	struct peer p = greeted(0);
	uint8_t msg[UPCALL_MSG_SIZE];
	struct upcall_result r;

	(void)state;
	send_add(&p, 1);
	make_reply(msg, UPCALL_ADD_CPU, 1);
	say(&p, msg, 17);
	assert_int_equal(upcall_receive(&p.u, &r, SOON, NULL), -ETIMEDOUT);
	assert_true(p.u.pending);
	/* No second request meanwhile. */
	assert_int_equal(upcall_send_cpu(&p.u, UPCALL_DEL_CPU, msg, 1, LONG, NULL),
			 -ENOTCONN);
	say(&p, msg + 17, sizeof(msg) - 17);
	assert_int_equal(upcall_receive(&p.u, &r, LONG, NULL), 0);
	assert_int_equal(r.done, 1);
	assert_int_equal(upcall_receive(&p.u, &r, LONG, NULL), -ENOTCONN);
	close_peer(&p);
}

static void del_cpu2_counts_only_its_entries(void **state)
{
	static const struct upcall_cpu2_entry entry = {0};
	struct upcall_cpu2_entry many[UPCALL_CPU2_MAX] = {0};
	struct peer p = greeted(UPCALL_FEATURE_DEL_CPU2);
	uint8_t msg[UPCALL_MSG_SIZE];

	(void)state;
	many[0].apic_id = htole32(300);
	assert_int_equal(upcall_send_cpu2(&p.u, 1, &entry, 0, LONG, NULL), -E2BIG);
	assert_int_equal(upcall_send_cpu2(&p.u, 1, many, 81, LONG, NULL), -E2BIG);
	assert_int_equal(upcall_send_cpu2(&p.u, 1, many, 2, LONG, NULL), 0);
	assert_int_equal(recv(p.ours, msg, sizeof(msg), MSG_WAITALL), sizeof(msg));
	assert_memory_equal(msg + 4,
			    "\x20\0\0\0\x01\x01\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0"
			    "\x2c\x01\0\0",
			    24);
	close_peer(&p);
}

static void lists_that_the_wire_cannot_carry_are_not_sent(void **state)
{
	struct peer p = greeted(0);
	uint8_t ids[256] = {0};

	(void)state;
	assert_int_equal(upcall_send_cpu(&p.u, UPCALL_ADD_CPU, ids, 0, LONG, NULL),
			 -E2BIG);
	assert_int_equal(upcall_send_cpu(&p.u, UPCALL_ADD_CPU, ids, 256, LONG, NULL),
			 -E2BIG);
	assert_false(p.u.pending);
	close_peer(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_announcement_is_taken_and_made_printable),
		cmocka_unit_test(a_server_without_extensions_has_no_features),
		cmocka_unit_test(a_connect_with_any_field_wrong_is_refused),
		cmocka_unit_test(half_a_connect_and_a_close_is_a_reset),
		cmocka_unit_test(a_silent_server_costs_no_more_than_the_deadline),
		cmocka_unit_test(a_good_reply_counts_the_whole_list),
		cmocka_unit_test(a_reply_that_lies_ends_the_connection),
		cmocka_unit_test(a_refusal_that_counts_more_than_was_asked_is_no_reply),
		cmocka_unit_test(a_refusal_has_its_reason_printable_and_bounded),
		cmocka_unit_test(
			the_reference_servers_leftovers_on_an_error_are_not_believed),
		cmocka_unit_test(a_reply_that_is_late_and_in_pieces_is_still_taken),
		cmocka_unit_test(del_cpu2_counts_only_its_entries),
		cmocka_unit_test(lists_that_the_wire_cannot_carry_are_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
