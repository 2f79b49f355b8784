/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

#include "endpoint.h"
#include "registry.h"

static char run_dir[64];

static int make_run_dir(void **state)
{
	(void)state;
	strcpy(run_dir, "/tmp/test_endpoint.XXXXXX");
	if (!mkdtemp(run_dir))
		return -1;
	return setenv("VMCTL_RUN_DIR", run_dir, 1);
}

static int remove_run_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", run_dir);
	return system(command);
}

static void write_file(const char *vm, const char *file, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", run_dir, vm);
	mkdir(path, 0700);
	if (!file)
		return;
	snprintf(path, sizeof(path), "%s/%s/%s", run_dir, vm, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void assert_round_trip(const char *text, const char *expected)
{
	char buf[ENDPOINT_TEXT_MAX];
	struct endpoint ep;
	struct error err = {0};

	if (endpoint_parse(text, &ep, &err))
		fail_msg("%s: %s", text, err.text);
	assert_string_equal(endpoint_format(&ep, buf), expected);
}

static void assert_refused(const char *text, int code)
{
	struct endpoint ep;
	struct error err = {0};

	assert_int_equal(endpoint_parse(text, &ep, &err), code);
	assert_int_equal(err.code, code);
	assert_true(err.text[0] != '\0');
}

static void addresses_of_each_scheme_parse_and_print(void **state)
{
	(void)state;
	assert_round_trip("unix:/run/vmctl/vm1/vsock.sock",
			  "unix:/run/vmctl/vm1/vsock.sock");
	assert_round_trip("vsock:3", "vsock:3");
	assert_round_trip("vsock:4294967294", "vsock:4294967294");
	assert_round_trip("tcp:host.example:7000", "tcp:host.example:7000");
	assert_round_trip("tcp:[::1]:65535", "tcp:[::1]:65535");
}

static void wrong_addresses_are_refused_with_words(void **state)
{
	char path[200], host[400];

	(void)state;
	assert_refused("unix:", -EINVAL);
	assert_refused("vsock:", -EINVAL);
	assert_refused("vsock:2", -EINVAL);
	assert_refused("vsock:4294967295", -EINVAL);
	assert_refused("vsock:99999999999999999999", -EINVAL);
	assert_refused("vsock:3x", -EINVAL);
	assert_refused("tcp:host", -EINVAL);
	assert_refused("tcp::1", -EINVAL);
	assert_refused("tcp:host:0", -EINVAL);
	assert_refused("tcp:host:65536", -EINVAL);
	assert_refused("tcp:::1:80", -EINVAL);
	assert_refused("tcp:[]:80", -EINVAL);
	assert_refused("", -EINVAL);
	assert_refused("../vm1", -EINVAL);
	assert_refused("a/b", -EINVAL);
	assert_refused("http://x", -EINVAL);
	snprintf(path, sizeof(path), "unix:/%0150d", 0);
	assert_refused(path, -ENAMETOOLONG);
	snprintf(host, sizeof(host), "tcp:%0300d:80", 0);
	assert_refused(host, -EINVAL);
}

static void a_host_name_may_fill_its_place_and_no_more(void **state)
{
	char text[400];

	(void)state;
	snprintf(text, sizeof(text), "tcp:%0255d:80", 0);
	assert_round_trip(text, text);
	snprintf(text, sizeof(text), "tcp:%0256d:80", 0);
	assert_refused(text, -EINVAL);
}

static void a_name_is_looked_up_in_the_registry(void **state)
{
	char expected[256];

	(void)state;
	write_file("plain", NULL, NULL);
	snprintf(expected, sizeof(expected), "unix:%s/plain/vsock.sock", run_dir);
	assert_round_trip("plain", expected);
	write_file("other", "endpoint", "vsock:7\n");
	assert_round_trip("other", "vsock:7");
	assert_refused("absent", -ENOENT);
	write_file("broken", "endpoint", "other\n");
	assert_refused("broken", -EINVAL);
	write_file("empty", "endpoint", "");
	assert_refused("empty", -EINVAL);
}

static void names_are_plain_and_bounded(void **state)
{
	char name[REGISTRY_NAME_MAX + 2];

	(void)state;
	assert_true(registry_name_valid("vm1"));
	assert_true(registry_name_valid("a.b_c-d"));
	assert_false(registry_name_valid(""));
	assert_false(registry_name_valid(".hidden"));
	assert_false(registry_name_valid("a/b"));
	assert_false(registry_name_valid("a b"));
	memset(name, 'a', sizeof(name));
	name[REGISTRY_NAME_MAX + 1] = '\0';
	assert_false(registry_name_valid(name));
	name[REGISTRY_NAME_MAX] = '\0';
	assert_true(registry_name_valid(name));
}

/* A server in a child: takes one connection and answers it with `answer`. */
static pid_t serve_once(int listener, const char *answer)
{
	pid_t pid = fork();
	char line[64];
	int fd;

	if (pid)
		return pid;
	fd = accept(listener, NULL, NULL);
	if (fd >= 0 && read(fd, line, sizeof(line)) > 0 &&
	    write(fd, answer, strlen(answer)) >= 0)
		shutdown(fd, SHUT_WR);
	/* Stay until the client is done, so that nothing ends as a reset. */
	while (fd >= 0 && read(fd, line, sizeof(line)) > 0)
		;
	_exit(0);
}

static int listen_unix(struct endpoint *ep)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", run_dir);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	memset(ep, 0, sizeof(*ep));
	ep->kind = ENDPOINT_UNIX;
	strcpy(ep->path, addr.sun_path);
	return fd;
}

static int listen_tcp(struct endpoint *ep)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	memset(ep, 0, sizeof(*ep));
	ep->kind = ENDPOINT_TCP;
	strcpy(ep->host, "127.0.0.1");
	snprintf(ep->service, sizeof(ep->service), "%u", ntohs(addr.sin_port));
	return fd;
}

static void check_dial(int (*listen_on)(struct endpoint *), const char *answer,
		       int expected)
{
	struct endpoint ep;
	struct error err = {0};
	int listener = listen_on(&ep), fd;
	pid_t pid = serve_once(listener, answer);
	char byte;

	fd = endpoint_dial(&ep, 219, deadline_after_ms(20000), &err);
	if (expected) {
		assert_int_equal(fd, expected);
		assert_true(err.text[0] != '\0');
	} else {
		assert_true(fd >= 0);
		/* The byte behind the OK line is the peer's first. */
		assert_int_equal(
			io_read_full(fd, &byte, 1, deadline_after_ms(20000), NULL), 0);
		assert_int_equal(byte, '!');
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
		close(fd);
	}
	close(listener);
	waitpid(pid, NULL, 0);
}

static void dialling_stops_at_the_newline_of_the_ok_line(void **state)
{
	(void)state;
	check_dial(listen_unix, "OK 1073741824\n!", 0);
	check_dial(listen_tcp, "OK 1073741824\n!", 0);
}

static void a_close_in_place_of_ok_is_a_refused_port(void **state)
{
	(void)state;
	check_dial(listen_unix, "", -ECONNRESET);
	check_dial(listen_tcp, "O", -ECONNRESET);
}

static void an_answer_that_is_no_ok_line_is_a_protocol_error(void **state)
{
	(void)state;
	check_dial(listen_unix, "HTTP/1.1 400 Bad Request\r\n", -EPROTO);
	check_dial(listen_unix, "OK\n", -EPROTO);
}

static void dialling_nobody_says_which_nobody(void **state)
{
	struct endpoint ep = {.kind = ENDPOINT_UNIX};
	struct error err = {0};

	(void)state;
	snprintf(ep.path, sizeof(ep.path), "%s/nobody", run_dir);
	assert_int_equal(endpoint_dial(&ep, 1, deadline_after_ms(1000), &err), -ENOENT);
	close(listen_unix(&ep));
	assert_int_equal(endpoint_dial(&ep, 1, deadline_after_ms(1000), &err),
			 -ECONNREFUSED);
	assert_non_null(strstr(err.text, ep.path));
}

static void a_closed_tcp_port_refuses(void **state)
{
	struct endpoint ep;
	struct error err = {0};

	(void)state;
	close(listen_tcp(&ep));
	assert_int_equal(endpoint_dial(&ep, 1, deadline_after_ms(20000), &err),
			 -ECONNREFUSED);
}

static void a_full_backlog_runs_into_the_deadline(void **state)
{
	struct endpoint ep;
	struct error err = {0};
	int listener = listen_unix(&ep), waiting[8], count = 0, fd;

	(void)state;
	/* The backlog is 1: two wait in it, and the next finds it full. */
	do {
		fd = endpoint_connect_unix(ep.path, deadline_after_ms(50), &err);
		waiting[count++] = fd;
	} while (fd >= 0 && count < 8);
	assert_in_range(count, 2, 7);
	assert_int_equal(fd, -ETIMEDOUT);
	while (--count > 0)
		close(waiting[count - 1]);
	close(listener);
}

static void deadlines_far_away_do_not_wrap(void **state)
{
	(void)state;
	assert_true(deadline_after_ms(INT64_MAX) == DEADLINE_NEVER);
	assert_true(deadline_after_ms(-1) == DEADLINE_NEVER);
	assert_int_equal(deadline_left_ms(DEADLINE_NEVER), -1);
	assert_int_equal(deadline_left_ms(deadline_after_ms(1LL << 40)), INT_MAX);
	assert_int_equal(deadline_left_ms(deadline_after_ms(0)), 0);
	/* Rounded up: a wait never ends before its time. */
	assert_in_range(deadline_left_ms(deadline_after_ms(60000)), 1, 60000);
}

static void a_silent_server_runs_into_the_deadline(void **state)
{
	struct endpoint ep;
	struct error err = {0};
	int listener = listen_unix(&ep);

	(void)state;
	assert_int_equal(endpoint_dial(&ep, 1, deadline_after_ms(50), &err),
			 -ETIMEDOUT);
	close(listener);
}

static void writing_to_a_closed_peer_is_an_error_and_no_signal(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	assert_int_equal(io_write_full(pair[0], "x", 1, DEADLINE_NEVER, NULL), -EPIPE);
	close(pair[0]);
}

static void a_long_error_is_cut_and_keeps_its_code(void **state)
{
	struct error err;
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(error_set(&err, -EPERM, "%s", text), -EPERM);
	assert_int_equal(error_prefix(&err, "step %d", 2), -EPERM);
	assert_memory_equal(err.text, "step 2: xxx", 11);
	assert_int_equal(error_prefix(&err, "%s", text), -EPERM);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(error_set(NULL, -EPERM, "nobody listens"), -EPERM);
	assert_int_equal(error_prefix(NULL, "nobody listens"), -EIO);
}

static void addresses_of_services_need_not_be_guests(void **state)
{
	struct endpoint ep;
	struct error err;

	(void)state;
	assert_int_equal(endpoint_parse_address("vsock:1", &ep, &err), 0);
	assert_int_equal(ep.cid, 1);
	assert_int_equal(endpoint_parse_address("tcp:[::1]:22", &ep, &err), 0);
	assert_string_equal(ep.host, "::1");
	assert_int_equal(endpoint_parse_address("vsock:0", &ep, &err), -EINVAL);
	/* Not even a name that the registry has. */
	assert_int_equal(endpoint_parse_address("vm1", &ep, &err), -EINVAL);
	assert_non_null(strstr(err.text, "'vm1' is no address"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_each_scheme_parse_and_print),
		cmocka_unit_test(wrong_addresses_are_refused_with_words),
		cmocka_unit_test(a_host_name_may_fill_its_place_and_no_more),
		cmocka_unit_test(a_closed_tcp_port_refuses),
		cmocka_unit_test(a_full_backlog_runs_into_the_deadline),
		cmocka_unit_test(deadlines_far_away_do_not_wrap),
		cmocka_unit_test(a_name_is_looked_up_in_the_registry),
		cmocka_unit_test(names_are_plain_and_bounded),
		cmocka_unit_test(dialling_stops_at_the_newline_of_the_ok_line),
		cmocka_unit_test(a_close_in_place_of_ok_is_a_refused_port),
		cmocka_unit_test(an_answer_that_is_no_ok_line_is_a_protocol_error),
		cmocka_unit_test(dialling_nobody_says_which_nobody),
		cmocka_unit_test(a_silent_server_runs_into_the_deadline),
		cmocka_unit_test(writing_to_a_closed_peer_is_an_error_and_no_signal),
		cmocka_unit_test(a_long_error_is_cut_and_keeps_its_code),
		cmocka_unit_test(addresses_of_services_need_not_be_guests),
	};

	return cmocka_run_group_tests(tests, make_run_dir, remove_run_dir);
}
