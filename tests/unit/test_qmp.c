/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The QMP client against a server that greets wrongly, answers in pieces, at great
 * length, with something else, or not at all.
 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../host-cli/qmp.h"

#define SOON deadline_after_ms(200)
#define LONG deadline_after_ms(20000)

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"
#define ACCEPTED "{\"return\": {}, \"id\": 0}\r\n"
#define EVENT	 "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": 1}}\r\n"

/*
 * Says the greeting, then one of `lines` for each line that it reads. After the
 * last it closes if told to, else it waits for the client to.
 */
struct server {
	const char *greeting;
	const char *lines[4];
	bool bytewise; /* a write for each byte */
	bool closes;
	bool floods; /* events without end, in place of an answer */
	size_t huge; /* a line of that many bytes, in place of an answer */
	char dir[32], path[64];
	char heard[1024]; /* what the client sent */
	int listener;
	pthread_t thread;
};

static bool send_all(int fd, const char *bytes, size_t len, bool bytewise)
{
	while (len) {
		ssize_t n = send(fd, bytes, bytewise ? 1 : len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		bytes += n;
		len -= n;
	}
	return true;
}

/* One line more into `heard`. */
static bool hear(struct server *s, int fd)
{
	size_t len = strlen(s->heard);
	char c = 0;

	while (c != '\n' && len < sizeof(s->heard) - 1) {
		if (read(fd, &c, 1) != 1)
			return false;
		s->heard[len++] = c;
	}
	return c == '\n';
}

static void answer(struct server *s, int fd, const char *line)
{
	if (line)
		send_all(fd, line, strlen(line), s->bytewise);
	if (!line && s->huge) {
		char *x = malloc(s->huge);

		memset(x, 'x', s->huge);
		send_all(fd, x, s->huge, false);
		free(x);
	}
	while (!line && s->floods && send_all(fd, EVENT, strlen(EVENT), false))
		;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->listener, NULL, NULL);
	size_t i = 0;
	char c;

	send_all(fd, s->greeting, strlen(s->greeting), s->bytewise);
	while (hear(s, fd)) {
		answer(s, fd, i < 4 ? s->lines[i] : NULL);
		if (s->closes && (i == 3 || !s->lines[i + 1]))
			break;
		i++;
	}
	while (!s->closes && read(fd, &c, 1) > 0)
		;
	close(fd);
	return NULL;
}

static void start(struct server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(s->dir, "/tmp/test_qmp.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/qmp.sock", s->dir);
	strcpy(addr.sun_path, s->path);
	s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->listener, 1), 0);
	if (!s->greeting)
		s->greeting = GREETING;
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s, struct qmp *q)
{
	qmp_close(q);
	pthread_join(s->thread, NULL);
	close(s->listener);
	unlink(s->path);
	rmdir(s->dir);
}

/* What executing one command on such a server comes to. */
static int execute(struct server *s, deadline_t deadline, json_t **ret,
		   struct error *err)
{
	struct qmp q;
	int rc;

	start(s);
	rc = qmp_open(&q, s->path, LONG, err);
	assert_int_equal(rc, 0);
	rc = qmp_execute(&q, "query-x", json_pack("{s:i}", "a", 1), deadline, ret, err);
	if (rc && rc != QMP_REFUSED)
		assert_int_equal(q.fd, -1);
	stop(s, &q);
	return rc;
}

static void an_answer_in_single_bytes_with_events_before_it_is_found(void **state)
{
	struct server s = {.lines = {EVENT ACCEPTED,
				     EVENT EVENT "{\"return\": [7], \"id\": 1}\r\n"},
			   .bytewise = true};
	struct error err = {0};
	json_t *ret = NULL;

	(void)state;
	assert_int_equal(execute(&s, LONG, &ret, &err), 0);
	assert_int_equal(json_integer_value(json_array_get(ret, 0)), 7);
	assert_string_equal(
		s.heard,
		"{\"execute\":\"qmp_capabilities\",\"id\":0}\n"
		"{\"execute\":\"query-x\",\"id\":1,\"arguments\":{\"a\":1}}\n");
	json_decref(ret);
}

static void an_error_is_a_refusal_with_qemus_words(void **state)
{
	struct server s = {
		.lines = {ACCEPTED,
			  "{\"id\": 1, \"error\": {\"class\": \"GenericError\", "
			  "\"desc\": \"CPU[1] exists\"}}\n"}};
	struct error err = {0};

	(void)state;
	assert_int_equal(execute(&s, LONG, NULL, &err), QMP_REFUSED);
	assert_non_null(strstr(err.text, "CPU[1] exists"));
}

static void an_error_without_words_is_a_refusal_too(void **state)
{
	struct server s = {.lines = {ACCEPTED, "{\"id\": 1, \"error\": 3}\n"}};
	struct error err = {0};

	(void)state;
	assert_int_equal(execute(&s, LONG, NULL, &err), QMP_REFUSED);
}

static void what_is_no_answer_is_a_protocol_error(void **state)
{
	static const char *const lines[] = {
		"garbage\n",
		"\n",
		"[]\n",
		"{}\n",
		"{\"return\": {}, \"id\": 2}\n",
		"{\"return\": {}, \"id\": \"1\"}\n",
		"{\"return\": {}, \"id\": 1, \"id\": 1}\n",
		"{\"return\": {}, \"id\": 1\n}\n",
		"{\"return\": {}, \"id\": 1} {}\n",
		"{\"return\": \"\xff\", \"id\": 1}\n",
		GREETING,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct server s = {.lines = {ACCEPTED, lines[i]}};
		struct error err = {0};

		if (execute(&s, LONG, NULL, &err) != -EPROTO)
			fail_msg("%s", lines[i]);
	}
}

static void deep_nesting_is_refused_and_does_no_harm(void **state)
{
	char *line = malloc(1000002);
	struct server s = {.lines = {ACCEPTED, line}};
	struct error err = {0};

	(void)state;
	memset(line, '[', 1000000);
	strcpy(line + 1000000, "\n");
	assert_int_equal(execute(&s, LONG, NULL, &err), -EPROTO);
	free(line);
}

static void a_line_without_end_is_cut_off(void **state)
{
	struct server s = {.lines = {ACCEPTED}, .huge = 2 * QMP_LINE_MAX};
	struct error err = {0};

	(void)state;
	assert_int_equal(execute(&s, LONG, NULL, &err), -EMSGSIZE);
}

static void events_without_end_cost_no_more_than_the_deadline(void **state)
{
	struct server s = {.lines = {ACCEPTED}, .floods = true};
	struct error err = {0};

	(void)state;
	assert_int_equal(execute(&s, SOON, NULL, &err), -ETIMEDOUT);
}

static void silence_costs_no_more_than_the_deadline(void **state)
{
	struct server s = {.lines = {ACCEPTED}};
	struct error err = {0};

	(void)state;
	assert_int_equal(execute(&s, SOON, NULL, &err), -ETIMEDOUT);
}

static void a_server_that_closes_is_a_reset(void **state)
{
	struct server s = {.lines = {ACCEPTED, "{\"return\": "}, .closes = true};
	struct error err = {0};

	(void)state;
	assert_int_equal(execute(&s, LONG, NULL, &err), -ECONNRESET);
}

static void what_does_not_greet_as_qmp_is_told_apart(void **state)
{
	struct server hello = {.greeting = "{\"hello\": 1}\n"};
	struct server silent = {.greeting = ""};
	struct error err = {0};
	struct qmp q;

	(void)state;
	start(&hello);
	assert_int_equal(qmp_open(&q, hello.path, LONG, &err), -EPROTO);
	stop(&hello, &q);
	start(&silent);
	assert_int_equal(qmp_open(&q, silent.path, SOON, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "one client at a time"));
	stop(&silent, &q);
}

static void a_socket_that_is_not_there_is_told_from_one_nobody_serves(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/test_qmp.XXXXXX";
	struct error err = {0};
	struct qmp q;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/q", dir);
	assert_int_equal(qmp_open(&q, addr.sun_path, LONG, &err), -ENOENT);
	qmp_close(&q);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	assert_int_equal(qmp_open(&q, addr.sun_path, LONG, &err), -ECONNREFUSED);
	qmp_close(&q);
	unlink(addr.sun_path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			an_answer_in_single_bytes_with_events_before_it_is_found),
		cmocka_unit_test(an_error_is_a_refusal_with_qemus_words),
		cmocka_unit_test(an_error_without_words_is_a_refusal_too),
		cmocka_unit_test(what_is_no_answer_is_a_protocol_error),
		cmocka_unit_test(deep_nesting_is_refused_and_does_no_harm),
		cmocka_unit_test(a_line_without_end_is_cut_off),
		cmocka_unit_test(events_without_end_cost_no_more_than_the_deadline),
		cmocka_unit_test(silence_costs_no_more_than_the_deadline),
		cmocka_unit_test(a_server_that_closes_is_a_reset),
		cmocka_unit_test(what_does_not_greet_as_qmp_is_told_apart),
		cmocka_unit_test(
			a_socket_that_is_not_there_is_told_from_one_nobody_serves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
