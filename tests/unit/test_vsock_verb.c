/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmctl vsock stats and list: what they print of a vsockd, and of what is none.
 */
#include "fake_control.h"
#include "run_verb.h"

#include <jansson.h>

#include "../../host-cli/verbs.h"
#include "../../host-cli/vsock_traffic.h"

/* A registry with the daemon's sockets as vm1's. */
static void enter(const struct guest *g)
{
	char path[128];

	setenv("VMCTL_RUN_DIR", g->dir, 1);
	snprintf(path, sizeof(path), "%s/vm1", g->dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/vm1/vsock.sock", g->dir);
	assert_int_equal(symlink(g->uds, path), 0);
	snprintf(path, sizeof(path), "%s/vm1/control.sock", g->dir);
	assert_int_equal(symlink(g->control, path), 0);
}

/* One connection by which five bytes have come to the guest, and three from it. */
static int talk(struct guest *g, uint32_t *port)
{
	int fd = join_in(g, 5000, port);
	struct packet rw = guest_packet(PACKET_RW, 5000, *port, 3);

	host_send(fd, "hello");
	guest_expect(g, PACKET_RW, 5000, *port);
	guest_send(g, &rw, "abc");
	return fd;
}

static json_int_t number_at(const json_t *o, const char *name, const char *word)
{
	const json_t *value = json_object_get(o, name);

	if (word)
		value = json_object_get(value, word);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void traffic_is_what_the_daemon_has_counted(void **state)
{
	struct guest *g = *state;
	struct vsock_traffic t;
	uint32_t port;
	int fd;

	enter(g);
	fd = talk(g, &port);
	assert_true(vsock_traffic_ask("vm1", deadline_after_ms(60000), &t));
	assert_int_equal(t.to_guest, 5);
	assert_int_equal(t.from_guest, 3);
	assert_int_equal(t.connections, 1);
	assert_false(vsock_traffic_ask("vm2", deadline_after_ms(60000), &t));
	assert_false(vsock_traffic_ask("unix:/x", deadline_after_ms(60000), &t));
	close(fd);
}

static void stats_are_what_the_daemon_has_counted(void **state)
{
	struct guest *g = *state;
	const json_t *stats;
	struct output o;
	uint32_t port;
	json_t *r;
	int fd;

	enter(g);
	fd = talk(g, &port);
	o = run(vsock_main, ARGS("vsock", "stats", "vm1"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out,
			       "\nconnections_asked         host 1\n"
			       "connections_opened        1\n"
			       "connections_refused       0\n"
			       "packets                   from_guest 1, to_guest 1\n"
			       "bytes                     from_guest 3, to_guest 5\n"
			       "resets                    0\n"));
	assert_non_null(strstr(o.out, "\ndriver_up                 yes\n"));
	o = run(vsock_main, ARGS("vsock", "stats", "--json", "vm1"));
	assert_int_equal(o.code, 0);
	r = json_loads(o.out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(r, "verb")),
			    "vsock stats");
	stats = json_object_get(r, "stats");
	assert_int_equal(number_at(stats, "cid", NULL), GUEST_CID);
	assert_int_equal(number_at(stats, "connections", NULL), 1);
	assert_int_equal(number_at(stats, "bytes", "to_guest"), 5);
	assert_int_equal(number_at(stats, "resets", "guest_refused"), 0);
	assert_int_equal(number_at(stats, "limits_reached", "rate"), 0);
	json_decref(r);
	close(fd);
}

static void metrics_are_passed_on(void **state)
{
	struct guest *g = *state;
	struct output o;

	enter(g);
	o = run(vsock_main, ARGS("vsock", "stats", "vm1", "--metrics"));
	assert_int_equal(o.code, 0);
	assert_memory_equal(o.out, "# TYPE vsockd_", 14);
	assert_string_equal(o.out + strlen(o.out) - 7, "\n# EOF\n");
	o = run(vsock_main, ARGS("vsock", "stats", "vm1", "--metrics", "--json"));
	assert_int_equal(o.code, 2);
	assert_string_equal(o.out, "");
}

static void a_list_has_a_line_for_each_connection(void **state)
{
	struct guest *g = *state;
	char ends[64], address[128];
	const json_t *list, *entry;
	struct output o;
	uint32_t port;
	json_t *r;
	int fd;

	fd = talk(g, &port);
	/* By an address, and the socket's path. */
	snprintf(address, sizeof(address), "unix:%s", g->uds);
	o = run(vsock_main, ARGS("vsock", "list", address, "--control", g->control));
	assert_int_equal(o.code, 0);
	assert_memory_equal(o.out, "TYPE      STATE      RECV-Q  SEND-Q LOCAL ", 42);
	snprintf(ends, sizeof(ends), " 5       0 42:5000          2:%u ", port);
	assert_non_null(strstr(o.out, "\nstream    open  "));
	assert_non_null(strstr(o.out, ends));
	assert_non_null(strstr(o.out, "           3            5\n"));
	enter(g);
	o = run(vsock_main, ARGS("vsock", "list", "vm1", "--json"));
	r = json_loads(o.out, 0, NULL);
	list = json_object_get(r, "connections");
	assert_int_equal(json_array_size(list), 1);
	entry = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(entry, "state")), "open");
	assert_int_equal(number_at(entry, "peer_port", NULL), port);
	assert_int_equal(number_at(entry, "in_flight_bytes", NULL), 5);
	assert_int_equal(number_at(entry, "peer_credit", NULL), GUEST_BUFALLOC - 5);
	json_decref(r);
	close(fd);
}

static void what_cannot_be_asked_is_told_with_what_to_do(void **state)
{
	struct guest *g = *state;
	char address[128], control[128];
	struct output o;

	enter(g);
	o = run(vsock_main, ARGS("vsock", "stats", "vm2"));
	assert_int_equal(o.code, 3);
	assert_non_null(strstr(o.err, "'vmctl list' shows"));
	snprintf(control, sizeof(control), "%s/vm1/control.sock", g->dir);
	unlink(control);
	o = run(vsock_main, ARGS("vsock", "list", "vm1"));
	check_failure(&o, 5, "; start vsockd with --control ");
	snprintf(address, sizeof(address), "unix:%s", g->uds);
	o = run(vsock_main, ARGS("vsock", "stats", address));
	assert_int_equal(o.code, 5);
	assert_non_null(strstr(o.err, "name it with --control"));
	o = run(vsock_main, ARGS("vsock"));
	assert_int_equal(o.code, 2);
	o = run(vsock_main, ARGS("vsock", "\x1b[2J"));
	assert_int_equal(o.code, 2);
	assert_null(strchr(o.err, '\x1b'));
	o = run(vsock_main, ARGS("vsock", "stats"));
	assert_int_equal(o.code, 2);
	o = run(vsock_main, ARGS("vsock", "--help"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "stats"));
	o = run(vsock_main, ARGS("vsock", "list", "--help"));
	assert_int_equal(o.code, 0);
}

/* What answers is not vsockd, or not itself any more. Answers once. */
static pid_t play(const char *path, const char *answer, bool hold)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int fd = accept(listener, NULL, NULL);
		char line[64];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (recv(fd, line, sizeof(line), 0) > 0)
			send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		if (hold)
			pause();
		_exit(0);
	}
	close(listener);
	return pid;
}

static void end_play(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void what_is_no_answer_is_not_shown(void **state)
{
	static const struct {
		const char *answer, *words;
	} plays[] = {
		{"", "no whole answer"},
		{"cid 3\nconnections 1\n", "no whole answer"},
		{"cid 3\nen", "no whole answer"},
		{"error no such request\n", "no such request"},
		{"\x1b[2J\x1b[2J 1 2 3\nend\n", "a line that begins with \"?[2J?[2J\""},
		{"cid\nend\n", "a line that begins with \"cid\""},
	};
	struct guest *g = *state;
	char control[128];
	struct output o;
	pid_t pid;

	enter(g);
	snprintf(control, sizeof(control), "%s/vm1/control.sock", g->dir);
	for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++) {
		pid = play(control, plays[i].answer, false);
		o = run(vsock_main, ARGS("vsock", "stats", "vm1"));
		end_play(pid);
		check_failure(&o, 1, plays[i].words);
	}
	pid = play(control, "cid 3\n", true);
	o = run(vsock_main, ARGS("vsock", "stats", "vm1", "--timeout", "0.2"));
	end_play(pid);
	check_failure(&o, 11, "--timeout of 0.2 s passed");
	pid = play(control, "type state\nstream open much\nend 1\n", false);
	o = run(vsock_main, ARGS("vsock", "list", "vm1", "--json"));
	end_play(pid);
	assert_int_equal(o.code, 1);
	assert_non_null(strstr(o.err, "a line of 3 words, where 2 are columns"));
	/* A newer one has more columns, and other figures. */
	pid = play(control,
		   "type newer guest_cid guest_port peer_cid\n"
		   "stream word 3 4 2\nend 1\n",
		   false);
	o = run(vsock_main, ARGS("vsock", "list", "vm1"));
	end_play(pid);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\nstream    -               -       - 3:4 "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_guest(traffic_is_what_the_daemon_has_counted),
		test_guest(stats_are_what_the_daemon_has_counted),
		test_guest(metrics_are_passed_on),
		test_guest(a_list_has_a_line_for_each_connection),
		test_guest(what_cannot_be_asked_is_told_with_what_to_do),
		test_guest(what_is_no_answer_is_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
