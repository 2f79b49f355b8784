/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling a port step by step, by a program that never waits: against a server that
 * takes its time, and says the right thing or another.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

#include "dial.h"
#include "two_addresses.h"

struct server {
	char root[32];
	struct endpoint ep;
	int listener;
};

static void serve_unix(struct server *s)
{
	struct sockaddr_storage addr;
	socklen_t len;

	strcpy(s->root, "/tmp/dial.XXXXXX");
	assert_non_null(mkdtemp(s->root));
	s->ep.kind = ENDPOINT_UNIX;
	snprintf(s->ep.path, sizeof(s->ep.path), "%s/s", s->root);
	len = endpoint_address(&s->ep, 0, &addr);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(s->listener, 1), 0);
}

static void stop(struct server *s)
{
	close(s->listener);
	unlink(s->ep.path);
	rmdir(s->root);
}

/* Takes a connection, reads its line and says something, which may be nothing. */
static int answer(const struct server *s, const char *words)
{
	int fd = accept(s->listener, NULL, NULL);
	char line[64] = "";

	assert_true(fd >= 0);
	assert_true(recv(fd, line, sizeof(line) - 1, 0) > 0);
	assert_string_equal(line, "CONNECT 22\n");
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
	return fd;
}

static int step(struct dial *d, struct error *err)
{
	struct pollfd p = {.fd = d->fd, .events = dial_events(d)};

	poll(&p, 1, 1000);
	return dial_step(d, err);
}

static void it_is_done_when_the_answer_has_come_whole(void **state)
{
	struct server s;
	struct dial d;
	char rest[8] = "";
	int fd;

	(void)state;
	serve_unix(&s);
	dial_begin(&d, &s.ep, 22, NULL);
	assert_int_equal(dial_step(&d, NULL), -EAGAIN);
	assert_int_equal(dial_events(&d), POLLIN);
	fd = answer(&s, "OK 107");
	assert_int_equal(step(&d, NULL), -EAGAIN);
	send(fd, "4\nhello", 7, 0);
	assert_int_equal(step(&d, NULL), 0);
	/* What stands behind the line is the connection's. */
	assert_int_equal(recv(d.fd, rest, sizeof(rest), 0), 5);
	assert_string_equal(rest, "hello");
	dial_end(&d);
	close(fd);
	stop(&s);
}

static void what_goes_wrong_is_told_apart(void **state)
{
	struct error err = {0};
	struct server s;
	struct dial d;
	int fd;

	(void)state;
	serve_unix(&s);
	dial_begin(&d, &s.ep, 22, NULL);
	assert_int_equal(dial_step(&d, &err), -EAGAIN);
	close(answer(&s, ""));
	assert_int_equal(step(&d, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "the guest refuses port 22"));
	dial_end(&d);
	dial_begin(&d, &s.ep, 22, NULL);
	assert_int_equal(dial_step(&d, &err), -EAGAIN);
	fd = answer(&s, "HTTP/1.1 400\r\n");
	assert_int_equal(step(&d, &err), -EPROTO);
	assert_non_null(strstr(err.text, "no OK line"));
	dial_end(&d);
	close(fd);
	close(s.listener);
	dial_begin(&d, &s.ep, 22, NULL);
	assert_int_equal(dial_step(&d, &err), -ECONNREFUSED);
	unlink(s.ep.path);
	assert_int_equal(dial_step(&d, &err), -ENOENT);
	stop(&s);
}

static void a_full_backlog_is_tried_again(void **state)
{
	struct dial d[3];
	struct server s;
	int i, fd, full = -1;

	(void)state;
	serve_unix(&s);
	for (i = 0; i < 3; i++) {
		dial_begin(&d[i], &s.ep, 22, NULL);
		assert_int_equal(dial_step(&d[i], NULL), -EAGAIN);
		if (d[i].fd < 0)
			full = i;
	}
	assert_int_equal(full, 2);
	assert_int_equal(dial_events(&d[full]), 0);
	close(answer(&s, ""));
	assert_int_equal(dial_step(&d[full], NULL), -EAGAIN);
	assert_true(d[full].fd >= 0);
	close(answer(&s, ""));
	fd = answer(&s, "OK 1\n");
	assert_int_equal(step(&d[full], NULL), 0);
	for (i = 0; i < 3; i++)
		dial_end(&d[i]);
	close(fd);
	stop(&s);
}

/* On a port of one of this host's addresses; the name has two. */
static void serve_tcp(struct server *s, const char *address, int backlog)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);

	inet_pton(AF_INET, address, &addr.sin_addr);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(listen(s->listener, backlog), 0);
	s->ep.kind = ENDPOINT_TCP;
	strcpy(s->ep.host, TWO_NAME);
	snprintf(s->ep.service, sizeof(s->ep.service), "%u", ntohs(addr.sin_port));
}

static void check_dialled(struct server *s, const struct addrinfo *list)
{
	struct error err = {0};
	struct dial d;
	int fd;

	dial_begin(&d, &s->ep, 22, list);
	while (!d.connected) {
		struct pollfd p = {.fd = d.fd, .events = dial_events(&d)};

		poll(&p, 1, dial_turn_ms(&d));
		assert_int_equal(dial_step(&d, &err), -EAGAIN);
	}
	fd = answer(s, "OK 1\n");
	assert_int_equal(step(&d, &err), 0);
	dial_end(&d);
	close(fd);
}

static void each_address_of_a_name_is_tried(void **state)
{
	static const char *const addresses[] = {TWO_FIRST, TWO_SECOND};
	struct error err = {0};
	struct addrinfo *list;
	struct dial d;
	int ret;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct server s = {0};

		serve_tcp(&s, addresses[i], 8);
		assert_int_equal(endpoint_look_up(&s.ep, &list, &err), 0);
		check_dialled(&s, list);
		close(s.listener);
		/* Now none of them answers, and the last one's error counts. */
		dial_begin(&d, &s.ep, 22, list);
		ret = dial_step(&d, &err);
		while (ret == -EAGAIN)
			ret = step(&d, &err);
		assert_int_equal(ret, -ECONNREFUSED);
		assert_non_null(strstr(err.text, "connecting to tcp:" TWO_NAME));
		dial_end(&d);
		freeaddrinfo(list);
	}
}

/* What a packet filter does, a full backlog does too: no answer at all. */
static void an_address_that_does_not_answer_is_left(void **state)
{
	struct server silent = {0}, s = {0};
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	struct addrinfo *list;
	int fd[4], one = 1;
	size_t i;

	(void)state;
	serve_tcp(&silent, TWO_FIRST, 0);
	assert_int_equal(getsockname(silent.listener, (struct sockaddr *)&addr, &len),
			 0);
	for (i = 0; i < 4; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fd[i], (struct sockaddr *)&addr, len);
	}
	s.ep = silent.ep;
	s.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s.listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	inet_pton(AF_INET, TWO_SECOND, &addr.sin_addr);
	assert_int_equal(bind(s.listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(s.listener, 8), 0);
	assert_int_equal(endpoint_look_up(&s.ep, &list, NULL), 0);
	check_dialled(&s, list);
	freeaddrinfo(list);
	for (i = 0; i < 4; i++)
		close(fd[i]);
	close(s.listener);
	close(silent.listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_done_when_the_answer_has_come_whole),
		cmocka_unit_test(what_goes_wrong_is_told_apart),
		cmocka_unit_test(a_full_backlog_is_tried_again),
		cmocka_unit_test(each_address_of_a_name_is_tried),
		cmocka_unit_test(an_address_that_does_not_answer_is_left),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
