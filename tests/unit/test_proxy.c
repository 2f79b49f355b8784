/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmctl proxy: sockets of the host, in a process of its own, that lead to ports of the
 * guest.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/wait.h>

#include "fake_vm.h"
#include "run_verb.h"
#include "two_addresses.h"

#include "../../host-cli/verbs.h"

/* A port of the guest that sends back what came, until the end, and then that end. */
static void serve_port(struct fake_vm *vm, int fd, unsigned int port)
{
	char buf[8192];
	ssize_t n;

	(void)vm;
	(void)port;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		fake_send(fd, buf, (size_t)n);
}

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

static int dial_tcp_at(const char *address, unsigned int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &addr.sin_addr);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static int dial_tcp(unsigned int port)
{
	return dial_tcp_at("127.0.0.1", port);
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

/* A forwarder to a guest, which echoes what comes first on each connection. */
static void *forward_echoes(void *arg)
{
	char buf[64];
	ssize_t n;
	int fd;

	while ((fd = accept(*(int *)arg, NULL, NULL)) >= 0) {
		if (recv(fd, buf, sizeof(buf), 0) > 0)
			fake_send(fd, "OK 1\n", 5);
		n = recv(fd, buf, sizeof(buf), 0);
		if (n > 0)
			fake_send(fd, buf, (size_t)n);
		close(fd);
	}
	return NULL;
}

static void proxy_tries_each_address_of_the_vm(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	char root[] = "/tmp/two.XXXXXX", path[64], vm[64], one[80];
	socklen_t len = sizeof(addr);
	struct proxy p;
	pthread_t thread;

	(void)state;
	assert_non_null(mkdtemp(root));
	inet_pton(AF_INET, TWO_SECOND, &addr.sin_addr);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(listen(listener, 8), 0);
	snprintf(path, sizeof(path), "%s/local", root);
	snprintf(vm, sizeof(vm), "tcp:" TWO_NAME ":%u", ntohs(addr.sin_port));
	snprintf(one, sizeof(one), "unix:%s=22", path);
	start_proxy(&p, ARGS("proxy", vm, one));
	assert_true(hear(&p, "leads to port 22"));
	pthread_create(&thread, NULL, forward_echoes, &listener);
	for (int i = 0; i < 2; i++) {
		fd = dial_unix(path);
		echoes(fd, "some words");
		close(fd);
	}
	assert_int_equal(end_proxy(&p, SIGTERM), 0);
	shutdown(listener, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listener);
	assert_int_equal(rmdir(root), 0);
}

static void proxy_listens_on_each_address_of_a_name(void **state)
{
	struct fake_vm vm = {.port = serve_port};
	unsigned int port = free_tcp_port();
	struct proxy p;
	char one[64];
	int fd[2];

	(void)state;
	fake_start(&vm, 0);
	snprintf(one, sizeof(one), "tcp:" TWO_NAME ":%u=22", port);
	start_proxy(&p, ARGS("proxy", "vm1", one));
	assert_true(hear(&p, "leads to port 22"));
	fd[0] = dial_tcp_at(TWO_FIRST, port);
	fd[1] = dial_tcp_at(TWO_SECOND, port);
	echoes(fd[0], "some words");
	echoes(fd[1], "others");
	assert_int_equal(end_proxy(&p, SIGTERM), 0);
	close(fd[0]);
	close(fd[1]);
	fake_stop(&vm);
}

static void proxy_says_failures_with_quiet_too(void **state)
{
	struct fake_vm vm = {0};
	char path[96], one[128], byte;
	struct proxy p;
	int fd;

	(void)state;
	fake_start(&vm, 0);
	snprintf(path, sizeof(path), "%s/local.sock", vm.root);
	snprintf(one, sizeof(one), "unix:%s=77", path);
	for (int json = 0; json < 2; json++) {
		start_proxy(&p,
			    ARGS("proxy", "vm1", one, "-q", json ? "--json" : NULL));
		while ((fd = dial_unix(path)) < 0)
			poll(NULL, 0, 1);
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
		close(fd);
		assert_true(hear(&p, "the guest refuses port 77"));
		assert_int_equal(end_proxy(&p, SIGINT), 0);
		/* And nothing else. */
		assert_null(strstr(p.said, "leads to"));
		assert_null(strstr(p.said, "listening"));
		assert_ptr_equal(strchr(p.said, '\n'), p.said + p.len - 1);
	}
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
		cmocka_unit_test_teardown(proxy_joins_many_at_once_and_ends_cleanly,
					  teardown),
		cmocka_unit_test_teardown(proxy_says_events_as_json, teardown),
		cmocka_unit_test_teardown(proxy_tries_each_address_of_the_vm, teardown),

		cmocka_unit_test_teardown(proxy_listens_on_each_address_of_a_name,
					  teardown),
		cmocka_unit_test_teardown(proxy_says_failures_with_quiet_too, teardown),
		cmocka_unit_test_teardown(
			proxy_takes_over_a_dead_socket_and_nothing_else, teardown),
		cmocka_unit_test_teardown(proxy_lets_no_more_in_than_it_can_serve,
					  teardown),
		cmocka_unit_test_teardown(proxy_refuses_what_is_no_forward, teardown),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
