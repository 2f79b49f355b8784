/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the control socket that dawdle, with the clock in the test's hand. */
#include "../../transport/control.h"
#include "fake_control.h"

enum {
	MANY = 4000
};

struct still {
	struct loop loop;
	struct routes routes;
	struct device dev;
	struct control control;
	char dir[64], path[80];
};

static int setup_still(void **state)
{
	struct limits limits = LIMITS_DEFAULT;
	struct still *s = calloc(1, sizeof(*s));
	struct error err;

	strcpy(s->dir, "/tmp/vsockd-test-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/c", s->dir);
	s->routes.guest_cid = GUEST_CID;
	assert_int_equal(loop_init(&s->loop), 0);
	assert_int_equal(device_init(&s->dev, &s->routes, 0, &limits, &s->loop), 0);
	control_init(&s->control);
	assert_int_equal(control_open(&s->control, s->path, &s->loop, &err), 0);
	*state = s;
	return 0;
}

static int teardown_still(void **state)
{
	struct still *s = *state;

	control_close(&s->control);
	device_free(&s->dev);
	loop_free(&s->loop);
	assert_int_equal(rmdir(s->dir), 0);
	free(s);
	return 0;
}

/* What is there to be done, without waiting. */
static void turn(struct still *s)
{
	struct loop_event event[LOOP_EVENTS_MAX];
	int n = loop_wait(&s->loop, event, 0);

	for (int i = 0; i < n; i++) {
		if (event[i].type == LOOP_CONTROL)
			control_accept(&s->control, &s->dev);
		else
			control_on_client(&s->control, event[i].id, &s->dev);
	}
	control_run(&s->control, s->dev.now);
}

static void a_line_that_does_not_end_is_waited_for_so_long(void **state)
{
	struct still *s = *state;
	int fd = connect_unix(s->path);

	assert_int_equal(control_timeout(&s->control, s->dev.now), -1);
	host_send(fd, "sta");
	turn(s);
	assert_int_equal(s->control.clients, 1);
	assert_int_equal(control_timeout(&s->control, s->dev.now),
			 CONTROL_LINE_TIMEOUT);
	s->dev.now += CONTROL_LINE_TIMEOUT - 1;
	/* Bytes one by one do not make it longer. */
	host_send(fd, "t");
	turn(s);
	assert_int_equal(s->control.clients, 1);
	s->dev.now++;
	turn(s);
	host_expect_closed(fd);
	close(fd);
	assert_int_equal(control_timeout(&s->control, s->dev.now), -1);
}

static void an_answer_that_is_not_read_is_cut_off(void **state)
{
	struct still *s = *state;
	char byte;
	int fd = connect_unix(s->path), turns = 0;

	/* Connections without a socket, for a long list. */
	for (int i = 0; i < MANY; i++)
		device_new_conn(&s->dev, PACKET_STREAM, ORIGIN_HOST);
	host_send(fd, "list\n");
	for (int i = 0; i < 1000; i++)
		turn(s);
	assert_int_equal(s->control.clients, 1);
	/* What reads a little at a time is not waited for for ever. */
	do {
		s->dev.now += CONTROL_STALL_TIMEOUT - 1;
		for (int i = 0; i < 9000; i++)
			assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) == 1);
		turn(s);
		turns++;
	} while (s->control.clients);
	assert_true(turns <= CONTROL_ANSWER_TIMEOUT / (CONTROL_STALL_TIMEOUT - 1) + 1);
	close(fd);
	/* And what reads nothing is cut off sooner. */
	fd = connect_unix(s->path);
	host_send(fd, "list\n");
	for (int i = 0; i < 1000; i++)
		turn(s);
	s->dev.now += CONTROL_STALL_TIMEOUT;
	turn(s);
	assert_int_equal(s->control.clients, 0);
	close(fd);
}

static void those_beyond_the_most_wait_for_their_turn(void **state)
{
	struct still *s = *state;
	int fd[CONTROL_CLIENTS_MAX + 2];

	for (int i = 0; i < CONTROL_CLIENTS_MAX + 2; i++)
		fd[i] = connect_unix(s->path);
	turn(s);
	assert_int_equal(s->control.clients, CONTROL_CLIENTS_MAX);
	host_send(fd[CONTROL_CLIENTS_MAX], "stats\n");
	turn(s);
	close(fd[0]);
	for (int i = 0; i < 4; i++)
		turn(s);
	host_expect(fd[CONTROL_CLIENTS_MAX], "cid 42\n");
	for (int i = 1; i < CONTROL_CLIENTS_MAX + 2; i++)
		close(fd[i]);
}

/* Longer than what a socket holds, and others come and go. */
static void a_list_that_is_read_slowly_has_each_once(void **state)
{
	static char answer[1 << 20];
	static uint32_t port[MANY];
	static uint32_t id[MANY];
	struct still *s = *state;
	unsigned int gone = 0;
	size_t len = 0;
	ssize_t n;
	int fd = connect_unix(s->path);

	/* Without sockets: there may not be so many. */
	for (int i = 0; i < MANY; i++) {
		struct conn *conn =
			device_new_conn(&s->dev, PACKET_STREAM, ORIGIN_HOST);

		port[i] = conn->host_port;
		id[i] = conn->id;
	}
	host_send(fd, "list\n");
	do {
		turn(s);
		n = recv(fd, answer + len, 1000, MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
		if (gone < MANY && gone % 2 == 0)
			conn_table_remove(&s->dev.conns,
					  conn_table_get(&s->dev.conns, id[gone]));
		if (gone < MANY && gone % 6 == 0)
			device_new_conn(&s->dev, PACKET_SEQPACKET, ORIGIN_HOST);
		gone++;
	} while (n);
	close(fd);
	assert_true(gone > 200);
	/* Those that were there all the time. */
	for (int i = 1; i < MANY; i += 2) {
		char name[64], *first;

		snprintf(name, sizeof(name), " 42 0 2 %u ", port[i]);
		first = strstr(answer, name);
		assert_non_null(first);
		assert_null(strstr(first + 1, name));
	}
	control_figure(answer, "end");
}

#define test_still(name) \
	cmocka_unit_test_setup_teardown(name, setup_still, teardown_still)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_still(a_line_that_does_not_end_is_waited_for_so_long),
		test_still(an_answer_that_is_not_read_is_cut_off),
		test_still(a_list_that_is_read_slowly_has_each_once),
		test_still(those_beyond_the_most_wait_for_their_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
