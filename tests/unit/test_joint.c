/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmctl nc, and what it has in common with vmctl proxy: bytes and ends go both ways
 * between what stands on the host and a port of the guest.
 */
#include <fcntl.h>

#include "fake_vm.h"
#include "run_verb.h"

#include "../../host-cli/joint.h"
#include "../../host-cli/verbs.h"

#define MUCH (3 << 20)

/* Ports of the guest. */
enum {
	PORT_ECHO = 22,	  /* what came, until the end, and then that end */
	PORT_GREETS = 23, /* speaks first, and ends; then hears the rest */
	PORT_CLOSES = 24, /* is gone at once */
	PORT_COUNTS = 25, /* reads to the end, then says how much it was */
};

static void serve_port(struct fake_vm *vm, int fd, unsigned int port)
{
	char buf[8192], line[32];
	size_t count = 0;
	ssize_t n;

	(void)vm;
	if (port == PORT_CLOSES)
		return;
	if (port == PORT_GREETS) {
		fake_send(fd, "hello", 5);
		shutdown(fd, SHUT_WR);
	}
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		count += (size_t)n;
		if (port == PORT_ECHO)
			for (ssize_t at = 0; at < n;)
				at += send(fd, buf + at, (size_t)(n - at),
					   MSG_NOSIGNAL);
	}
	snprintf(line, sizeof(line), "%zu bytes", count);
	if (port == PORT_COUNTS)
		fake_send(fd, line, strlen(line));
}

/* --- a joint between socket pairs --- */

struct ends {
	int local[2], guest[2]; /* [0] is the joint's */
	struct joint joint;
};

static void open_ends(struct ends *e)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

	assert_int_equal(socketpair(AF_UNIX, type, 0, e->local), 0);
	assert_int_equal(socketpair(AF_UNIX, type, 0, e->guest), 0);
	assert_int_equal(joint_init(&e->joint, e->local[0], e->local[0], e->guest[0]),
			 0);
}

static void close_ends(struct ends *e)
{
	joint_free(&e->joint);
	for (int i = 0; i < 2; i++) {
		close(e->local[i]);
		close(e->guest[i]);
	}
}

/* Lets it run until it rests; what the last step returned. */
static int settle(struct ends *e)
{
	struct pollfd p[JOINT_POLLS];
	bool local;
	int ret = 0;

	for (int i = 0; i < 1000 && !ret; i++) {
		joint_prepare(&e->joint, p);
		if (!poll(p, JOINT_POLLS, 0))
			return 0;
		ret = joint_step(&e->joint, p, &local);
	}
	assert_int_not_equal(ret, 0); /* else it turns for nothing */
	return ret;
}

static void expect_at(int fd, const char *text)
{
	char buf[64] = "";
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static void an_end_is_passed_on_and_the_other_way_stays(void **state)
{
	struct ends e;

	(void)state;
	open_ends(&e);
	send(e.local[1], "question", 8, 0);
	shutdown(e.local[1], SHUT_WR);
	assert_int_equal(settle(&e), 0);
	expect_at(e.guest[1], "question");
	expect_at(e.guest[1], "");
	send(e.guest[1], "answer", 6, 0);
	assert_int_equal(settle(&e), 0);
	expect_at(e.local[1], "answer");
	shutdown(e.guest[1], SHUT_WR);
	assert_int_equal(settle(&e), 1);
	expect_at(e.local[1], "");
	assert_int_equal(e.joint.up.bytes, 8);
	assert_int_equal(e.joint.down.bytes, 6);
	close_ends(&e);
}

static void the_guest_may_end_first(void **state)
{
	struct ends e;

	(void)state;
	open_ends(&e);
	shutdown(e.guest[1], SHUT_WR);
	assert_int_equal(settle(&e), 0);
	expect_at(e.local[1], "");
	send(e.local[1], "still", 5, 0);
	assert_int_equal(settle(&e), 0);
	expect_at(e.guest[1], "still");
	shutdown(e.local[1], SHUT_WR);
	assert_int_equal(settle(&e), 1);
	close_ends(&e);
}

static void an_end_that_is_closed_ends_both_ways(void **state)
{
	struct ends e;

	(void)state;
	open_ends(&e);
	send(e.guest[1], "last", 4, 0);
	close(e.guest[1]);
	assert_int_equal(settle(&e), 1);
	expect_at(e.local[1], "last");
	expect_at(e.local[1], "");
	e.guest[1] = -1;
	close_ends(&e);
}

static void what_a_reader_that_is_gone_had_sent_is_delivered(void **state)
{
	struct ends e;

	(void)state;
	open_ends(&e);
	send(e.local[1], "bye", 3, 0);
	close(e.local[1]);
	e.local[1] = -1;
	send(e.guest[1], "too late", 8, 0);
	assert_int_equal(settle(&e), 1);
	expect_at(e.guest[1], "bye");
	close_ends(&e);
}

static void a_side_that_does_not_read_holds_the_other_back(void **state)
{
	static char block[65536];
	struct pollfd p[JOINT_POLLS];
	size_t sent = 0;
	struct ends e;
	ssize_t n;

	(void)state;
	open_ends(&e);
	while ((n = send(e.guest[1], block, sizeof(block), MSG_DONTWAIT)) > 0) {
		sent += (size_t)n;
		settle(&e);
		assert_true(sent < 16u << 20);
	}
	/* And it waits, rather than turns. */
	joint_prepare(&e.joint, p);
	assert_int_equal(poll(p, JOINT_POLLS, 0), 0);
	close_ends(&e);
}

/* --- nc --- */

/* Runs nc with this on its standard input. */
static struct output nc(const char *input, size_t len, char **argv)
{
	return run_with(input, len, nc_main, argv);
}

static void nc_carries_a_question_and_its_answer(void **state)
{
	struct fake_vm vm = {.port = serve_port};
	char *much = calloc(1, MUCH);
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = nc("hello\n", 6, ARGS("nc", "vm1", "22"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "hello\n");
	assert_string_equal(o.err, "");
	o = nc(much, MUCH, ARGS("nc", "vm1", "25"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "3145728 bytes");
	o = nc("x", 1, ARGS("nc", "vm1", "23", "--json"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "hello");
	r = json_loads(o.err, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(r, "sent_bytes")), 1);
	assert_int_equal(json_integer_value(json_object_get(r, "received_bytes")), 5);
	json_decref(r);
	fake_stop(&vm);
	free(much);
}

static void nc_ends_when_the_guest_has_closed(void **state)
{
	struct fake_vm vm = {.port = serve_port};
	int idle[2], saved = dup(STDIN_FILENO);
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	assert_int_equal(pipe(idle), 0);
	dup2(idle[0], STDIN_FILENO);
	o = run(nc_main, ARGS("nc", "vm1", "24"));
	dup2(saved, STDIN_FILENO);
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "");
	close(idle[0]);
	close(idle[1]);
	close(saved);
}

static void nc_fails_before_any_byte(void **state)
{
	struct fake_vm vm = {0}, silent = {.no_vsock = true};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = nc("x", 1, ARGS("nc", "vm1", "22"));
	check_failure(&o, 14, "refuses port 22; is a program listening");
	o = nc("x", 1, ARGS("nc", "vm1", "ssh"));
	check_failure(&o, 2, "PORT ssh");
	o = nc("x", 1, ARGS("nc", "vm1", "4294967295"));
	check_failure(&o, 2, "PORT 4294967295");
	o = nc("x", 1, ARGS("nc", "vm1"));
	assert_int_equal(o.code, 2);
	o = nc("x", 1, ARGS("nc", "nosuch", "22"));
	assert_int_equal(o.code, 3);
	fake_stop(&vm);
	fake_start(&silent, 0);
	o = nc("x", 1, ARGS("nc", "vm1", "22"));
	check_failure(&o, 5, "no vsock endpoint");
	fake_stop(&silent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_passed_on_and_the_other_way_stays),
		cmocka_unit_test(the_guest_may_end_first),
		cmocka_unit_test(an_end_that_is_closed_ends_both_ways),
		cmocka_unit_test(what_a_reader_that_is_gone_had_sent_is_delivered),
		cmocka_unit_test(a_side_that_does_not_read_holds_the_other_back),
		cmocka_unit_test(nc_carries_a_question_and_its_answer),
		cmocka_unit_test(nc_ends_when_the_guest_has_closed),
		cmocka_unit_test(nc_fails_before_any_byte),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
