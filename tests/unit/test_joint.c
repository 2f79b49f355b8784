/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmctl nc and vmctl proxy: bytes and ends go both ways between what stands on the
 * host and a port of the guest.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/wait.h>

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

/* --- proxy --- */

struct proxy {
	pid_t pid;
	int err; /* its standard error */
	char said[65536];
	size_t len;
};

/* Starts it, and waits until it says that it listens. */
static void start_proxy(struct proxy *p, char **argv)
{
	int err[2], argc = 0;

	while (argv[argc])
		argc++;
	memset(p, 0, sizeof(*p));
	assert_int_equal(pipe(err), 0);
	fflush(NULL);
	p->pid = fork();
	if (!p->pid) {
		dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		close(err[0]);
		_exit(proxy_main(argc, argv));
	}
	close(err[1]);
	p->err = err[0];
}

/* Reads what it says until this is in it, or until its end. */
static bool hear(struct proxy *p, const char *words)
{
	while (!strstr(p->said, words)) {
		ssize_t n =
			read(p->err, p->said + p->len, sizeof(p->said) - 1 - p->len);

		if (n <= 0)
			return false;
		p->len += (size_t)n;
		p->said[p->len] = '\0';
	}
	return true;
}

static int end_proxy(struct proxy *p, int signal)
{
	int status;

	kill(p->pid, signal);
	while (hear(p, "\n\n"))
		;
	close(p->err);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int dial_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

/* A port of the loopback that is free now. */
static unsigned int free_tcp_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

static int dial_tcp(unsigned int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void echoes(int fd, const char *text)
{
	char buf[64] = "";
	size_t have = 0;

	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	while (have < strlen(text)) {
		ssize_t n = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_string_equal(buf, text);
}

static void proxy_joins_many_at_once_and_ends_cleanly(void **state)
{
	struct fake_vm vm = {.port = serve_port};
	char path[96], one[128], two[64], byte;
	unsigned int port = free_tcp_port();
	struct proxy p;
	int fd[12], i;

	(void)state;
	fake_start(&vm, 0);
	snprintf(path, sizeof(path), "%s/local.sock", vm.root);
	snprintf(one, sizeof(one), "unix:%s=22", path);
	snprintf(two, sizeof(two), "tcp:127.0.0.1:%u=22", port);
	start_proxy(&p, ARGS("proxy", "vm1", one, two, "-v"));
	snprintf(two, sizeof(two), "tcp:127.0.0.1:%u leads to port 22", port);
	assert_true(hear(&p, two));
	for (i = 0; i < 12; i++)
		fd[i] = i % 2 ? dial_tcp(port) : dial_unix(path);
	for (i = 11; i >= 0; i--)
		echoes(fd[i], "some words");
	/* An end is passed on, and comes back. */
	shutdown(fd[0], SHUT_WR);
	assert_int_equal(recv(fd[0], &byte, 1, 0), 0);
	assert_true(hear(&p, "connection 1: closed, 10 bytes sent, 10 received"));
	assert_int_equal(end_proxy(&p, SIGTERM), 0);
	/* Those that were open are closed, and the file is gone. */
	assert_true(recv(fd[5], &byte, 1, 0) <= 0);
	assert_int_equal(access(path, F_OK), -1);
	for (i = 0; i < 12; i++)
		close(fd[i]);
	fake_stop(&vm);
}

static void proxy_says_events_as_json(void **state)
{
	struct fake_vm vm = {0};
	char path[96], one[128], byte;
	struct proxy p;
	int fd;

	(void)state;
	fake_start(&vm, 0);
	snprintf(path, sizeof(path), "%s/local.sock", vm.root);
	snprintf(one, sizeof(one), "unix:%s=77", path);
	start_proxy(&p, ARGS("proxy", "vm1", one, "--json"));
	assert_true(
		hear(&p, "{\"event\":\"listening\",\"vm\":\"vm1\",\"local\":\"unix:"));
	/* The guest refuses the port: the connection is closed, and another may come.
	 */
	for (int i = 0; i < 2; i++) {
		fd = dial_unix(path);
		assert_true(fd >= 0);
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
		close(fd);
	}
	assert_true(hear(&p, "{\"event\":\"failed\""));
	assert_true(hear(&p, "\"connection\":2,\"error\":\"unix:"));
	assert_true(hear(&p, "the guest refuses port 77"));
	assert_int_equal(end_proxy(&p, SIGINT), 0);
	fake_stop(&vm);
}

static void proxy_takes_over_a_dead_socket_and_nothing_else(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct fake_vm vm = {.port = serve_port};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	char path[96], one[128];
	struct output o;
	struct proxy p;

	(void)state;
	fake_start(&vm, 0);
	snprintf(path, sizeof(path), "%s/local.sock", vm.root);
	snprintf(one, sizeof(one), "unix:%s=22", path);
	strcpy(addr.sun_path, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	o = run(proxy_main, ARGS("proxy", "vm1", one));
	check_failure(&o, 1, "another program listens");
	close(listener);
	start_proxy(&p, ARGS("proxy", "vm1", one));
	assert_true(hear(&p, "leads to port 22"));
	listener = dial_unix(path);
	echoes(listener, "alive");
	close(listener);
	assert_int_equal(end_proxy(&p, SIGHUP), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	o = run(proxy_main, ARGS("proxy", "vm1", one));
	check_failure(&o, 1, "is no socket");
	assert_int_equal(unlink(path), 0);
	fake_stop(&vm);
}

/* A guest that takes any number of connections, and keeps them. */
struct many {
	int listener, taken;
	pthread_mutex_t lock;
};

static void *take_many(void *arg)
{
	struct many *m = arg;
	int fd;

	while ((fd = accept(m->listener, NULL, NULL)) >= 0) {
		char line[64];

		if (recv(fd, line, sizeof(line), 0) <= 0)
			continue;
		fake_send(fd, "OK 1\n", 5);
		pthread_mutex_lock(&m->lock);
		m->taken++;
		pthread_mutex_unlock(&m->lock);
	}
	return NULL;
}

/* Until so many were taken, and for a moment longer. */
static int await_taken(struct many *m, int count)
{
	int taken = 0;

	for (int i = 0; i < 1000 && taken < count; i++) {
		poll(NULL, 0, 10);
		pthread_mutex_lock(&m->lock);
		taken = m->taken;
		pthread_mutex_unlock(&m->lock);
	}
	poll(NULL, 0, 50);
	return m->taken;
}

static void proxy_lets_no_more_in_than_it_can_serve(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct many m = {.listener = socket(AF_UNIX, SOCK_STREAM, 0),
			 .lock = PTHREAD_MUTEX_INITIALIZER};
	char root[] = "/tmp/many.XXXXXX", vm[64], local[64], one[80];
	struct proxy p;
	pthread_t thread;
	int fd[260], i;

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/vm", root);
	snprintf(vm, sizeof(vm), "unix:%s/vm", root);
	snprintf(local, sizeof(local), "%s/local", root);
	snprintf(one, sizeof(one), "unix:%s=9", local);
	assert_int_equal(bind(m.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(m.listener, 8), 0); /* and it is full at times */
	start_proxy(&p, ARGS("proxy", vm, one));
	assert_true(hear(&p, "leads to port 9"));
	pthread_create(&thread, NULL, take_many, &m);
	for (i = 0; i < 260; i++)
		fd[i] = dial_unix(local);
	assert_int_equal(await_taken(&m, 256), 256);
	assert_int_equal(end_proxy(&p, SIGTERM), 0);
	shutdown(m.listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(m.listener);
	for (i = 0; i < 260; i++)
		close(fd[i]);
	unlink(addr.sun_path);
	assert_int_equal(rmdir(root), 0);
}

static void proxy_refuses_what_is_no_forward(void **state)
{
	static char *const wrong[] = {
		"22",	      "unix:/tmp/x",	 "unix:=22", "tcp:127.0.0.1=22",
		"vsock:3=22", "unix:/tmp/x=ssh", "vm2=22"};
	struct fake_vm vm = {0};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		o = run(proxy_main, ARGS("proxy", "vm1", wrong[i]));
		assert_int_equal(o.code, 2);
		assert_string_equal(o.out, "");
	}
	fake_stop(&vm);
}

/* The signals that proxy_main() held back. */
static int teardown(void **state)
{
	sigset_t set;

	(void)state;
	sigemptyset(&set);
	return sigprocmask(SIG_SETMASK, &set, NULL);
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
		cmocka_unit_test_teardown(proxy_joins_many_at_once_and_ends_cleanly,
					  teardown),
		cmocka_unit_test_teardown(proxy_says_events_as_json, teardown),
		cmocka_unit_test_teardown(
			proxy_takes_over_a_dead_socket_and_nothing_else, teardown),
		cmocka_unit_test_teardown(proxy_lets_no_more_in_than_it_can_serve,
					  teardown),
		cmocka_unit_test_teardown(proxy_refuses_what_is_no_forward, teardown),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
