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

static void a_policy_that_vanishes_stays(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	assert_int_equal(unlink(test_policy), 0);
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "an empty file would allow everything"));
	send_call(fd, 1, SERVICE, "OnlineCpus", NULL, 0);
	expect_message(fd, 1, TTRPC_PERMISSION_DENIED, "/policy line 4");
	put_file(f, "policy", "");
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "policy read: 0 rules"));
	/* None is as good as an empty one. */
	assert_int_equal(unlink(test_policy), 0);
	kill(f->pid, SIGHUP);
	expect_works(fd, 3);
	close(fd);
}

static int start_with_default(void **state)
{
	int ret;

	test_policy_may_miss = true;
	ret = start(state);
	test_policy_may_miss = false;
	return ret;
}

static void a_pattern_that_matches_no_call_is_told(void **state)
{
	struct fixture *f = *state;

	put_file(f, "policy",
		 "deny vmctl.agent.v1.GuestAgent/Exec\n"
		 "deny vmctl.agent.v1.GuestAgent/exec\n"
		 "deny grpc.AgentService/CopyFile\n"
		 "deny */Sut*\n");
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "policy read: 4 rules"));
	assert_true(log_has(f, "/policy:2: no call of this agent matches "
			       "vmctl.agent.v1.GuestAgent/exec"));
	assert_true(log_has(f, "/policy:4: no call"));
	assert_false(log_has(f, "/policy:1: no call"));
	assert_false(log_has(f, "/policy:3: no call"));
}

static void a_policy_that_is_no_file_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	assert_int_equal(unlink(test_policy), 0);
	assert_int_equal(mkfifo(test_policy, 0600), 0);
	kill(f->pid, SIGHUP);
	wait_until(log_has(f, "/policy is no file; the policy stays as it was"));
	expect_works(fd, 1);
	close(fd);
}

/* Kata's names for what other calls do are denied by name as well. */
static int start_with_kata(void **state)
{
	static char path[PATH_MAX];
	int ret;

	test_policy = path;
	test_policy_text = "deny */OnlineCpus\ndeny grpc.AgentService/SetGuest*\n";
	test_services = agent_services_kata;
	ret = start_agent(state);
	test_services = agent_services;
	return ret;
}

static void katas_calls_go_by_their_own_names(void **state)
{
	int fd = dial(*state);

	send_call(fd, 1, "grpc.AgentService", "SetGuestDateTime", NULL, 0);
	expect_message(fd, 1, TTRPC_PERMISSION_DENIED, "/policy line 2");
	send_call(fd, 3, SERVICE, "OnlineCpus", NULL, 0);
	expect_message(fd, 3, TTRPC_PERMISSION_DENIED, "/policy line 1");
	send_call(fd, 5, "grpc.AgentService", "GetGuestDetails", NULL, 0);
	expect_status(fd, 5, TTRPC_OK);
	close(fd);
}

/* What changes the guest, and none of its files. */
static const char *const no_files[] = {
	"OnlineCpus",
	"SetTime",
	"OfflineCpus",
	"AddEntropy",
	"ThawFilesystems",
	"TrimFilesystems",
	"OnlineMemoryBlocks",
	"OfflineMemoryBlocks",
	"SetInterface",
	"AddRoute",
	"RemoveRoute",
	"Shutdown",
	"Reboot",
	"Suspend",
	"OnlineCPUMem",
	"MemHotplugByProbe",
	"SetGuestDateTime",
	"ReseedRandomDev",
	"UpdateInterface",
	"UpdateRoutes",
	"AddARPNeighbors",
	"SetIPTables",
	"AddSwap",
	"AddSwapPath",
	"RemoveStaleVirtiofsShareMounts",
	"MemAgentMemcgSet",
	"MemAgentCompactSet",
};

static bool changes_files(const struct agent_method *method)
{
	if (!method->changes)
		return false;
	for (size_t i = 0; i < sizeof(no_files) / sizeof(no_files[0]); i++)
		if (!strcmp(method->name, no_files[i]))
			return false;
	return true;
}

/* The page's example that follows the words, in a file of its own. */
static void load_example(struct agent_policy *policy, const char *words)
{
	static char text[1 << 17];
	char path[] = "/tmp/vmctl-policy-test.XXXXXX", *begin, *end;
	FILE *page = fopen("docs/vmctl-agent.8", "re");
	int fd = mkstemp(path);
	struct error err;
	size_t n;

	assert_non_null(page);
	assert_true(fd >= 0);
	n = fread(text, 1, sizeof(text) - 1, page);
	text[n] = '\0';
	fclose(page);
	begin = strstr(text, words);
	assert_non_null(begin);
	begin = strstr(begin, "\ndeny ");
	assert_non_null(begin);
	end = strstr(begin, ".Ed");
	assert_non_null(end);
	assert_int_equal(write(fd, begin, end - begin), end - begin);
	close(fd);
	if (agent_policy_load(policy, path, &err) < 0)
		fail_msg("%s", err.text);
	unlink(path);
}

static void the_pages_example_denies_all_that_changes_files(void **state)
{
	const struct agent_service *const *s = agent_services_kata;
	struct agent_policy policy = {0};
	size_t used = 0;

	(void)state;
	load_example(&policy, "Keep all that changes files from the host");
	for (; *s; s++) {
		for (size_t i = 0; i < (*s)->n_methods; i++) {
			const struct agent_method *m = &(*s)->methods[i];
			unsigned int line =
				agent_policy_refuses(&policy, (*s)->name, m->name);

			if (!line != !changes_files(m))
				fail_msg("%s/%s is %s", (*s)->name, m->name,
					 line ? "denied" : "allowed");
			used += line != 0;
		}
	}
	assert_true(used >= policy.n_rules);
	agent_policy_free(&policy);
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
		test(a_pattern_that_matches_no_call_is_told),
		test(a_policy_that_is_no_file_is_not_waited_for),
		cmocka_unit_test_setup_teardown(a_policy_that_vanishes_stays,
						start_with_default, stop_agent),
		cmocka_unit_test_setup_teardown(katas_calls_go_by_their_own_names,
						start_with_kata, stop_agent),
		cmocka_unit_test(the_pages_example_denies_all_that_changes_files),
		cmocka_unit_test(the_first_line_that_matches_decides),
		cmocka_unit_test(what_is_no_rule_is_refused),
		cmocka_unit_test_teardown(the_service_manager_hears_of_it_all,
					  stop_agent),
		cmocka_unit_test(a_childs_end_is_told_and_a_dropped_one_leaves_nothing),
	};

	return cmocka_run_group_tests_name("agent_policy", tests, NULL, NULL);
}
