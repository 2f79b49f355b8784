// SPDX-License-Identifier: Apache-2.0
/*
 * Freezes in which something hangs, dies or is signalled: what was frozen is thawed,
 * and the agent answers and can freeze again.
 */
#include "fake_filesystems.h"

#define LONG_MS	 600000 /* so long that nothing ends by itself */
#define SHORT_MS 2000	/* yet enough to freeze in */

/* The first one's pid, or 0: none, or the kernel does not list children. */
static pid_t child_of(pid_t parent)
{
	pid_t pid = 0;

	proc_children(parent, &pid, 1);
	return pid;
}

/* The process of a freeze that is on, which leads a group of its own; or no test. */
static pid_t holder_of(const struct fixture *f)
{
	pid_t pid = child_of(f->pid);

	if (!pid)
		skip();
	return pid;
}

/* Of all, without waiting for an answer: on stream 1 of a connection of its own. */
static int begin_freeze(const struct fixture *f, uint64_t timeout_ms)
{
	Vmctl__Agent__V1__FreezeFilesystemsRequest request =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_REQUEST__INIT;
	int fd = dial(f);

	request.timeout_ms = timeout_ms;
	send_call(fd, 1, SERVICE, "FreezeFilesystems", &request.base, 0);
	return fd;
}

/* The second one that is frozen, while the first one is. */
static int begin_hung_freeze(const struct fixture *f, uint64_t timeout_ms)
{
	int fd;

	put_file(f, "one.freeze-hangs", "");
	fd = begin_freeze(f, timeout_ms);
	wait_until(exists(f, "one.freezing"));
	return fd;
}

/* What hung goes on, and thaws what is too late. */
static void end_hang(const struct fixture *f, const char *mark)
{
	char path[PATH_MAX];

	path_of(f, mark, path);
	assert_int_equal(unlink(path), 0);
}

/* What the agent lets others do is as ever. */
static void expect_no_freeze(const struct fixture *f)
{
	char path[PATH_MAX];
	struct error err;
	struct rpc rpc;
	bool expired;
	size_t n;

	rpc_init(&rpc, dial(f));
	wait_until(!is_frozen(&rpc));
	path_of(f, "written", path);
	assert_int_equal(write_text(&rpc, path, "x", &err), 0);
	assert_int_equal(freeze(&rpc, f, "t\no", LONG_MS, &n), 0);
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	assert_int_equal(n, 1);
	assert_false(expired);
	rpc_close(&rpc);
}

static void a_freeze_thaws_itself(void **state)
{
	struct rpc rpc;
	bool expired;
	size_t n;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(freeze(&rpc, *state, "one", SHORT_MS, &n), 0);
	rpc_close(&rpc);
	wait_until(was_asked("freeze one\nthaw one\n"));
	rpc_init(&rpc, dial(*state));
	wait_until(!is_frozen(&rpc));
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	assert_true(expired);
	wait_until(log_has(*state, "their time was up"));
	rpc_close(&rpc);
}

static void one_that_hangs_is_not_waited_for(void **state)
{
	const struct fixture *f = *state;
	int fd = begin_hung_freeze(f, SHORT_MS);

	expect_status(fd, 1, TTRPC_DEADLINE_EXCEEDED);
	assert_true(was_asked("freeze t\no\nthaw t\no\n"));
	expect_no_freeze(f);
	wait_until(log_has(f, "is thawed when it answers"));
	end_hang(f, "one.freeze-hangs");
	wait_until(count_asked("thaw one\n") == 1);
	assert_true(is_thawed(f, "one"));
	close(fd);
}

static void one_that_hangs_is_thawed_for_who_has_gone(void **state)
{
	const struct fixture *f = *state;

	close(begin_hung_freeze(f, LONG_MS));
	wait_until(was_asked("freeze t\no\nthaw t\no\n"));
	expect_no_freeze(f);
	end_hang(f, "one.freeze-hangs");
	wait_until(count_asked("thaw one\n") == 1);
}

static void a_thaw_ends_a_freeze_that_hangs(void **state)
{
	const struct fixture *f = *state;
	int fd = begin_hung_freeze(f, LONG_MS);
	struct rpc rpc;
	bool expired;
	size_t n;

	rpc_init(&rpc, dial(f));
	assert_true(is_frozen(&rpc));
	/* The one that hangs is not thawed. */
	assert_int_equal(thaw(&rpc, &n, &expired), RPC_REFUSED);
	expect_status(fd, 1, TTRPC_FAILED_PRECONDITION);
	assert_true(was_asked("freeze t\no\nthaw t\no\n"));
	expect_no_freeze(f);
	end_hang(f, "one.freeze-hangs");
	wait_until(count_asked("thaw one\n") == 1);
	rpc_close(&rpc);
	close(fd);
}

/* Killed while it hangs, which takes effect when the kernel has frozen. */
static void one_that_hangs_and_is_killed_is_thawed(void **state)
{
	const struct fixture *f = *state;
	int fd;

	put_file(f, "one.kills", "");
	fd = begin_hung_freeze(f, SHORT_MS);
	expect_status(fd, 1, TTRPC_DEADLINE_EXCEEDED);
	end_hang(f, "one.freeze-hangs");
	wait_until(count_asked("thaw one\n") == 1);
	close(fd);
}

static void a_mount_that_hangs_is_not_waited_for(void **state)
{
	const struct fixture *f = *state;
	struct rpc rpc;
	bool expired;
	size_t n;
	int fd;

	put_file(f, "one.open-hangs", "");
	fd = begin_freeze(f, 100);
	expect_status(fd, 1, TTRPC_DEADLINE_EXCEEDED);
	assert_true(was_asked(""));
	expect_no_freeze(f);
	close(fd);

	fd = begin_freeze(f, LONG_MS);
	rpc_init(&rpc, dial(f));
	wait_until(is_frozen(&rpc));
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	expect_status(fd, 1, TTRPC_FAILED_PRECONDITION);
	expect_no_freeze(f);
	rpc_close(&rpc);
	close(fd);
}

static void there_is_an_end_to_freezes_that_hang(void **state)
{
	const struct fixture *f = *state;
	unsigned int n = 0;
	struct answer a;
	int fd, status;

	put_file(f, "one.open-hangs", "");
	do {
		fd = begin_freeze(f, 1);
		a = take_answer(fd);
		status = status_of(&a);
		free_answer(&a);
		close(fd);
	} while (status == TTRPC_DEADLINE_EXCEEDED && ++n < 100);
	assert_int_equal(status, TTRPC_RESOURCE_EXHAUSTED);
	assert_in_range(n, 2, 99);
	end_hang(f, "one.open-hangs");
	wait_until(!child_of(f->pid));
	expect_no_freeze(f);
}

static void one_that_is_killed_in_mid_freeze_is_thawed(void **state)
{
	const struct fixture *f = *state;
	int fd;

	put_file(f, "one.kills", "");
	fd = begin_freeze(f, LONG_MS);
	expect_status(fd, 1, TTRPC_INTERNAL);
	assert_int_equal(count_asked("freeze "), 2);
	assert_int_equal(count_asked("thaw "), 2);
	assert_true(is_thawed(f, "one"));
	assert_true(is_thawed(f, "t\no"));
	expect_no_freeze(f);
	close(fd);
}

static void when_all_are_killed_in_mid_freeze_the_agent_thaws(void **state)
{
	const struct fixture *f = *state;
	int fd;

	put_file(f, "one.kills-all", "");
	fd = begin_freeze(f, LONG_MS);
	expect_status(fd, 1, TTRPC_INTERNAL);
	wait_until(is_thawed(f, "one") && is_thawed(f, "t\no"));
	assert_int_equal(count_asked("freeze "), 2);
	wait_until(log_has(f, "have died"));
	wait_until(!child_of(f->pid));
	expect_no_freeze(f);
	close(fd);
}

static void begin_held_freeze(const struct fixture *f, struct rpc *rpc)
{
	size_t n;

	rpc_init(rpc, dial(f));
	assert_int_equal(freeze(rpc, f, NULL, LONG_MS, &n), 0);
}

/* Thawed, and nobody is left who believes that it was frozen until he asked. */
static void expect_expired(const struct fixture *f, struct rpc *rpc)
{
	bool expired;
	size_t n;

	wait_until(is_thawed(f, "one") && is_thawed(f, "t\no"));
	wait_until(!is_frozen(rpc));
	assert_int_equal(thaw(rpc, &n, &expired), 0);
	assert_true(expired);
	rpc_close(rpc);
	expect_no_freeze(f);
}

static void the_death_of_who_holds_it_thaws(void **state)
{
	const struct fixture *f = *state;
	struct rpc rpc;
	pid_t pid;

	begin_held_freeze(f, &rpc);
	pid = holder_of(f);
	kill(pid, SIGKILL);
	expect_expired(f, &rpc);
	begin_held_freeze(f, &rpc);
	wait_until(holder_of(f) != pid);
	kill(-holder_of(f), SIGKILL);
	expect_expired(f, &rpc);
	wait_until(!child_of(f->pid));
}

static void the_death_of_one_process_thaws_all(void **state)
{
	const struct fixture *f = *state;
	struct rpc rpc;

	begin_held_freeze(f, &rpc);
	kill(child_of(holder_of(f)), SIGKILL);
	expect_expired(f, &rpc);
	wait_until(log_has(f, "was told to end"));
}

static void any_signal_thaws(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT,	SIGHUP,	 SIGABRT, SIGQUIT,
				      SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGXCPU,
				      SIGTSTP, SIGIO,	SIGPWR};
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		struct rpc rpc;

		wait_until(!child_of(f->pid));
		begin_held_freeze(f, &rpc);
		kill(-holder_of(f), signals[i]);
		expect_expired(f, &rpc);
	}
	assert_false(log_has(f, "have died"));
}

static void those_that_are_stopped_are_not_waited_for(void **state)
{
	const struct fixture *f = *state;
	struct rpc rpc;
	bool expired;
	pid_t one;
	size_t n;

	begin_held_freeze(f, &rpc);
	one = child_of(holder_of(f));
	kill(one, SIGSTOP);
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	assert_false(expired);
	assert_int_equal(count_asked("thaw "), 2);
	kill(one, SIGCONT);
	wait_until(!child_of(f->pid));

	assert_int_equal(freeze(&rpc, f, "one", SHORT_MS, &n), 0);
	one = child_of(holder_of(f));
	kill(one, SIGSTOP);
	wait_until(is_thawed(f, "one"));
	kill(one, SIGCONT);
	wait_until(!child_of(f->pid));
	rpc_close(&rpc);
}

static void when_all_are_stopped_the_agent_thaws(void **state)
{
	const struct fixture *f = *state;
	struct rpc rpc;
	bool expired;
	pid_t holder;
	size_t n;

	begin_held_freeze(f, &rpc);
	holder = holder_of(f);
	kill(-holder, SIGSTOP);
	assert_int_equal(thaw(&rpc, &n, &expired), RPC_REFUSED);
	expect_expired(f, &rpc);
	assert_true(log_has(f, "do not answer"));
	kill(-holder, SIGCONT);
	wait_until(!child_of(f->pid));
}

/* Of an agent that a signal ended: there is nothing more to be stopped. */
static void forget(void **state)
{
	struct fixture *f = *state;

	remove_tree(f->dir);
	unlink(asked);
	free(f);
	*state = NULL;
}

static void the_agents_death_thaws(void **state)
{
	struct fixture *f = *state;
	struct rpc rpc;

	begin_held_freeze(f, &rpc);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	wait_until(is_thawed(f, "one") && is_thawed(f, "t\no"));
	rpc_close(&rpc);
	forget(state);
}

/* As systemd does, to all of the control group. */
static void a_watchdogs_signal_to_all_thaws(void **state)
{
	struct fixture *f = *state;
	struct rpc rpc;
	pid_t holder;

	begin_held_freeze(f, &rpc);
	holder = holder_of(f);
	/* It is no help. */
	kill(f->pid, SIGSTOP);
	kill(-holder, SIGABRT);
	wait_until(is_thawed(f, "one") && is_thawed(f, "t\no"));
	kill(f->pid, SIGABRT);
	kill(f->pid, SIGCONT);
	waitpid(f->pid, NULL, 0);
	rpc_close(&rpc);
	forget(state);
}

static void the_agents_end_thaws_what_hangs_no_more(void **state)
{
	struct fixture *f = *state;
	int fd = begin_hung_freeze(f, LONG_MS);

	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	wait_until(was_asked("freeze t\no\nthaw t\no\n"));
	end_hang(f, "one.freeze-hangs");
	wait_until(count_asked("thaw one\n") == 1);
	close(fd);
	forget(state);
}

static void what_writes_files_is_refused(void **state)
{
	static const struct {
		const char *service, *method;
	} calls[] = {
		{SERVICE, "MakeDirectory"}, {SERVICE, "MakeSymlink"},
		{SERVICE, "WriteFile"},	    {SERVICE, "TrimFilesystems"},
		{SERVICE, "SetHostname"},   {SERVICE, "AddSshKeys"},
		{SERVICE, "RemoveSshKeys"}, {"grpc.AgentService", "CopyFile"},
	};
	const struct fixture *f = *state;
	uint32_t id = 1;
	struct rpc rpc;
	int fd = dial(f);

	begin_held_freeze(f, &rpc);
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++, id += 2) {
		send_call(fd, id, calls[i].service, calls[i].method, NULL, 0);
		expect_status(fd, id, TTRPC_FAILED_PRECONDITION);
	}
	send_call(fd, id, SERVICE, "ListSshKeys", NULL, 0);
	expect_status(fd, id, TTRPC_NOT_FOUND); /* no such user, in this tree */
	rpc_close(&rpc);
	close(fd);
}

/* Whoever writes a method that can change files thinks of a freeze. */
static void what_may_write_is_known(void **state)
{
	static const char *const harmless[] = {
		"FreezeFilesystems",
		"ThawFilesystems",
		/* The kernel's state alone. */
		"OnlineCpus",
		"OfflineCpus",
		"OnlineMemoryBlocks",
		"OfflineMemoryBlocks",
		"SetInterface",
		"AddRoute",
		"RemoveRoute",
		"SetTime",
		"AddEntropy",
		"OnlineCPUMem",
		"MemHotplugByProbe",
		"SetGuestDateTime",
		"ReseedRandomDev",
		"UpdateInterface",
		"UpdateRoutes",
		"AddARPNeighbors",
		"CreateSandbox",
		"SetIPTables",
		"AddSwap",
		"AddSwapPath",
		"RemoveStaleVirtiofsShareMounts",
		/* They are refused always. */
		"MemAgentMemcgSet",
		"MemAgentCompactSet",
		/* Programs, which wait for themselves. */
		"Exec",
		"Shutdown",
		"Reboot",
		"Suspend",
	};

	(void)state;
	for (size_t s = 0; agent_services_kata[s]; s++) {
		for (size_t i = 0; i < agent_services_kata[s]->n_methods; i++) {
			const struct agent_method *m =
				&agent_services_kata[s]->methods[i];
			bool known = m->writes || !m->changes;

			for (size_t j = 0; j < sizeof(harmless) / sizeof(*harmless);
			     j++)
				known |= !strcmp(m->name, harmless[j]);
			if (!known)
				fail_msg("%s: does it write files?", m->name);
		}
	}
}

/* They cannot be frozen, and may not answer. */
static void file_systems_of_servers_are_left_out(void **state)
{
	const struct fixture *f = *state;
	struct rpc rpc;
	size_t n;

	add_mount(f, "share", "share", 20, "nfs4", "rw");
	add_mount(f, "tree", "tree", 21, "overlay", "rw");
	put_file(f, "share.open-hangs", "");
	rpc_init(&rpc, dial(f));
	assert_int_equal(freeze(&rpc, f, NULL, LONG_MS, &n), 0);
	assert_int_equal(n, 3);
	rpc_close(&rpc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_freeze_thaws_itself),
		test(one_that_hangs_is_not_waited_for),
		test(one_that_hangs_is_thawed_for_who_has_gone),
		test(a_thaw_ends_a_freeze_that_hangs),
		test(one_that_hangs_and_is_killed_is_thawed),
		test(a_mount_that_hangs_is_not_waited_for),
		test(there_is_an_end_to_freezes_that_hang),
		test(one_that_is_killed_in_mid_freeze_is_thawed),
		test(when_all_are_killed_in_mid_freeze_the_agent_thaws),
		test(the_death_of_who_holds_it_thaws),
		test(the_death_of_one_process_thaws_all),
		test(any_signal_thaws),
		test(those_that_are_stopped_are_not_waited_for),
		test(when_all_are_stopped_the_agent_thaws),
		test(the_agents_death_thaws),
		test(a_watchdogs_signal_to_all_thaws),
		test(the_agents_end_thaws_what_hangs_no_more),
		test(what_writes_files_is_refused),
		cmocka_unit_test(what_may_write_is_known),
		test(file_systems_of_servers_are_left_out),
	};

	test_services = agent_services_kata;
	return cmocka_run_group_tests_name("agent_freeze", tests, NULL, NULL);
}
