// SPDX-License-Identifier: Apache-2.0
/* The agent's policy, and what it tells the service manager. */
#include "test_agent_common.h"

#include "../../agent/child.h"
#include "../../agent/policy.h"

static int start(void **state)
{
	static char path[PATH_MAX];

	test_policy = path;
	test_policy_text = "# Nothing that changes the guest.\n\n"
			   "allow vmctl.agent.v1.GuestAgent/Ping\n"
			   "deny *\n";
	return start_agent(state);
}

static void expect_message(int fd, uint32_t stream_id, int status, const char *part)
{
	struct answer a = take_answer(fd);

	assert_int_equal(a.header.stream_id, stream_id);
	assert_int_equal(status_of(&a), status);
	assert_non_null(strstr(a.response->status->message, part));
	free_answer(&a);
}

static void a_call_that_is_denied_names_file_and_line(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	expect_works(fd, 1);
	send_call(fd, 3, SERVICE, "OnlineCpus", NULL, 0);
	expect_message(fd, 3, TTRPC_PERMISSION_DENIED, "/policy line 4");
	assert_true(log_has(f, "OnlineCpus refused by"));
	/* What does not exist is not a matter of policy. */
	send_call(fd, 5, SERVICE, "Explode", NULL, 0);
	expect_status(fd, 5, TTRPC_UNIMPLEMENTED);
	close(fd);
}

static void a_hangup_reads_the_policy_again(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	expect_works(fd, 1);
	put_file(f, "policy", "deny */Ping\n");
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "policy read: 1 rules"));
	send_ping(fd, 3, "?");
	expect_message(fd, 3, TTRPC_PERMISSION_DENIED, "/policy line 1");
	put_file(f, "policy", "# nothing\ndenny */Ping\n");
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "/policy:2: "));
	assert_true(log_has(f, "the policy stays as it was"));
	send_ping(fd, 5, "?");
	expect_status(fd, 5, TTRPC_PERMISSION_DENIED);
	put_file(f, "policy", "");
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "policy read: 0 rules"));
	expect_works(fd, 7);
	close(fd);
}

static void a_broken_policy_is_no_start(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	put_file(f, "policy", "allow\n");
	fflush(NULL);
	pid = fork();
	if (!pid)
		agent_child(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_true(log_has(f, "/policy:1: a line is"));
}

static unsigned int refusal(const char *text, const char *service, const char *method)
{
	char path[] = "/tmp/vmctl-policy-test.XXXXXX";
	struct agent_policy policy = {0};
	struct error err;
	unsigned int line;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	line = agent_policy_load(&policy, path, &err) < 0
		       ? UINT32_MAX
		       : agent_policy_refuses(&policy, service, method);
	agent_policy_free(&policy);
	unlink(path);
	return line;
}

static void the_first_line_that_matches_decides(void **state)
{
	(void)state;
	assert_int_equal(refusal("", "a.B", "C"), 0);
	assert_int_equal(refusal("deny a.B/C", "a.B", "C"), 1);
	assert_int_equal(refusal("deny a.B/C", "a.B", "D"), 0);
	assert_int_equal(refusal("deny a.B/C\nallow *", "a.B", "C"), 1);
	assert_int_equal(refusal("allow */C # why\n\tdeny\t*\r\n", "a.B", "C"), 0);
	assert_int_equal(refusal("allow */C # why\n\tdeny\t*\r\n", "a.B", "D"), 2);
	assert_int_equal(refusal("deny a.B/[A-C]*", "a.B", "Cat"), 1);
	assert_int_equal(refusal("deny a.B/[A-C]*", "a.B", "Dog"), 0);
}

static void what_is_no_rule_is_refused(void **state)
{
	static const char *const wrong[] = {
		"allow", "deny", "Deny *", "deny a.B", "deny * *", "permit */X", "*",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(refusal(wrong[i], "a.B", "C"), UINT32_MAX);
}

static bool take_notice(int fd, char *text, size_t size)
{
	ssize_t n = recv(fd, text, size - 1, 0);

	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

/* Datagrams until one has the part. */
static void expect_notice(int fd, const char *part)
{
	char text[512];

	do {
		assert_true(take_notice(fd, text, sizeof(text)));
	} while (!strstr(text, part));
}

static void the_service_manager_hears_of_it_all(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE / 1000};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char dir[] = "/tmp/vmctl-notify-test.XXXXXX";
	struct fixture *f;

	assert_true(fd >= 0);
	assert_non_null(mkdtemp(dir));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/notify", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setenv("NOTIFY_SOCKET", un.sun_path, 1);
	setenv("WATCHDOG_USEC", "100000", 1);
	assert_int_equal(start(state), 0);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	f = *state;
	expect_notice(fd, "STATUS=listens on");
	expect_notice(fd, "READY=1");
	expect_notice(fd, "WATCHDOG=1");
	expect_notice(fd, "WATCHDOG=1");
	kill(f->pid, SIGHUP);
	expect_notice(fd, "RELOADING=1\nMONOTONIC_USEC=");
	expect_notice(fd, "READY=1");
	kill(f->pid, SIGTERM);
	expect_notice(fd, "STOPPING=1");
	close(fd);
	remove_tree(dir);
}

struct process {
	struct agent_child child;
	struct agent_loop *loop;
	int status;
};

static void exited(struct agent_child *child, int status)
{
	struct process *process = agent_container(child, struct process, child);

	process->status = status;
	agent_loop_stop(process->loop);
}

static pid_t fork_child(int status)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	setpgid(0, 0);
	if (status < 0)
		for (;;)
			pause();
	_exit(status);
}

static void a_childs_end_is_told_and_a_dropped_one_leaves_nothing(void **state)
{
	struct agent_children children;
	struct process process;
	struct agent_loop loop;
	struct error err;
	pid_t dropped;

	(void)state;
	assert_int_equal(agent_loop_init(&loop, &err), 0);
	agent_children_init(&children, &loop);
	process.loop = &loop;
	process.child = (struct agent_child){.pid = fork_child(-1), .exited = exited};
	dropped = process.child.pid;
	assert_int_equal(agent_child_watch(&children, &process.child), 0);
	agent_child_drop(&process.child);
	memset(&process.child, 0xee, sizeof(process.child)); /* may be freed */
	process.child = (struct agent_child){.pid = fork_child(7), .exited = exited};
	assert_int_equal(agent_child_watch(&children, &process.child), 0);
	assert_int_equal(agent_loop_run(&loop, &err), 0);
	assert_true(WIFEXITED(process.status) && WEXITSTATUS(process.status) == 7);
	process.child = (struct agent_child){.pid = fork_child(-1), .exited = exited};
	assert_int_equal(agent_child_watch(&children, &process.child), 0);
	assert_int_equal(agent_child_signal(&process.child, SIGTERM), 0);
	loop.stop = false;
	assert_int_equal(agent_loop_run(&loop, &err), 0);
	assert_true(WIFSIGNALED(process.status));
	agent_children_stop(&children);
	agent_loop_free(&loop);
	/* Neither there nor a zombie. */
	wait_until(waitpid(dropped, NULL, WNOHANG) != 0);
	assert_true(kill(dropped, 0) < 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_call_that_is_denied_names_file_and_line),
		test(a_hangup_reads_the_policy_again),
		test(a_broken_policy_is_no_start),
		cmocka_unit_test(the_first_line_that_matches_decides),
		cmocka_unit_test(what_is_no_rule_is_refused),
		cmocka_unit_test_teardown(the_service_manager_hears_of_it_all,
					  stop_agent),
		cmocka_unit_test(a_childs_end_is_told_and_a_dropped_one_leaves_nothing),
	};

	return cmocka_run_group_tests_name("agent_policy", tests, NULL, NULL);
}
