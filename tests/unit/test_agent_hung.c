// SPDX-License-Identifier: Apache-2.0
/*
 * What hangs in the guest: file systems without their server, processes that cannot be
 * killed. The calls that wait for these are the only ones that do.
 */
#include "exec_client.h"
#include "file_client.h"
#include "hung_mount.h"

#include "../../agent/exec.h"
#include "../../agent/job.h"
#include "../../agent/task.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"
#include "vmctl/agent/v1/memory.pb-c.h"
#include "vmctl/agent/v1/metrics.pb-c.h"
#include "vmctl/agent/v1/power.pb-c.h"

#define HUNG	   "hung"
#define MEMORY_DIR "sys/devices/system/memory"
#define SHORT	   50000000 /* ns */

static struct hung_mount hung;

/* The state of memory block 0 is in the file system that hangs. */
static int start(void **state)
{
	struct fixture *f;
	char path[PATH_MAX];
	int ret = start_agent(state);

	f = *state;
	hung = (struct hung_mount){0};
	put_file(f, MEMORY_DIR "/block_size_bytes", "8000000\n");
	put_file(f, MEMORY_DIR "/memory0/valid_zones", "Normal\n");
	put_file(f, MEMORY_DIR "/memory1/state", "online\n");
	path_of(f, HUNG "/state", path);
	make_link(f, MEMORY_DIR "/memory0/state", path);
	return ret;
}

static int stop(void **state)
{
	hung_mount_let_go(&hung);
	return stop_agent(state);
}

/* SIGSTOP or SIGCONT to each of the agent's processes. */
static void signal_children(const struct fixture *f, int number)
{
	pid_t list[256];
	int n = proc_children(f->pid, list, 256);

	assert_in_range(n, 0, 256);
	while (n--)
		kill(list[n], number);
}

static void send_offline(int fd, uint32_t id, uint32_t block, int64_t timeout_nano)
{
	Vmctl__Agent__V1__OfflineMemoryBlocksRequest request =
		VMCTL__AGENT__V1__OFFLINE_MEMORY_BLOCKS_REQUEST__INIT;

	request.blocks = &block;
	request.n_blocks = 1;
	send_call(fd, id, SERVICE, "OfflineMemoryBlocks", &request.base, timeout_nano);
}

/*
 * Calls that wait for the file system that hangs until their time is up, until n
 * processes are left of them: one that is killed early enough ends.
 */
static void give_up_jobs(const struct fixture *f, unsigned int n)
{
	uint32_t id = 1;
	int fd = dial(f);

	while (count_children(f) < n) {
		assert_true(id < 20 * n);
		send_offline(fd, id, 0, SHORT);
		expect_status(fd, id, TTRPC_DEADLINE_EXCEEDED);
		id += 2;
	}
	close(fd);
}

static void a_slow_call_does_not_hold_up_the_quick_ones(void **state)
{
	int fd = dial(*state), other = dial(*state);

	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	for (uint32_t i = 0; i < AGENT_JOBS_MAX; i++)
		send_offline(fd, 2 * i + 1, 0, 0);
	wait_until(count_children(*state) == AGENT_JOBS_MAX);
	send_call(other, 1, SERVICE, "ListCpus", NULL, 0);
	expect_status(other, 1, TTRPC_OK);
	/* Those whose caller has gone keep the others of their kind no place either. */
	close(fd);
	send_offline(other, 3, 1, 0);
	expect_status(other, 3, TTRPC_OK);
	assert_true(count_children(*state) > 0);
	hung_mount_let_go(&hung);
	wait_until(count_children(*state) == 0);
	close(other);
}

static void calls_that_are_given_up_keep_no_place(void **state)
{
	int fd = dial(*state);

	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	give_up_jobs(*state, AGENT_JOBS_MAX + 1);
	send_offline(fd, 1, 1, 0);
	expect_status(fd, 1, TTRPC_OK);
	close(fd);
}

static void processes_that_do_not_end_are_counted_and_have_a_limit(void **state)
{
	Vmctl__Agent__V1__PowerRequest power = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	int fd = dial(*state);
	struct answer a;

	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	give_up_jobs(*state, AGENT_JOBS_LEFT_MAX);
	wait_until(log_has(*state, "have not ended"));
	send_offline(fd, 1, 1, 0);
	a = take_answer(fd);
	assert_int_equal(status_of(&a), TTRPC_RESOURCE_EXHAUSTED);
	assert_non_null(strstr(a.response->status->message, "have not ended"));
	free_answer(&a);
	assert_int_equal(count_children(*state), AGENT_JOBS_LEFT_MAX);
	/* The others go on, and the guest can still be turned off. */
	send_call(fd, 3, SERVICE, "ListCpus", NULL, 0);
	expect_status(fd, 3, TTRPC_OK);
	send_call(fd, 5, SERVICE, "Shutdown", &power.base, 0);
	expect_status(fd, 5, TTRPC_OK);
	wait_until(log_has(*state, "Shutdown failed: Operation not permitted"));
	hung_mount_let_go(&hung);
	wait_until(count_children(*state) == 0);
	send_offline(fd, 7, 1, 0);
	expect_status(fd, 7, TTRPC_OK);
	close(fd);
}

static void send_stat(int fd, uint32_t id, const char *path, int64_t timeout_nano)
{
	Vmctl__Agent__V1__StatFileRequest request =
		VMCTL__AGENT__V1__STAT_FILE_REQUEST__INIT;

	request.path = message_bytes(path);
	send_call(fd, id, SERVICE, "StatFile", &request.base, timeout_nano);
}

static void file_calls_that_are_given_up_have_a_limit(void **state)
{
	unsigned int n = 0, refused = 0;
	int fd = dial(*state), status;
	char path[PATH_MAX];
	struct answer a;

	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	path_of(*state, HUNG "/x", path);
	for (; refused < 20; n++) {
		assert_true(n < 10 * AGENT_TASKS_LEFT_MAX);
		send_stat(fd, 2 * n + 1, path, SHORT);
		a = take_answer(fd);
		status = status_of(&a);
		free_answer(&a);
		if (status == TTRPC_RESOURCE_EXHAUSTED)
			refused++;
		else
			assert_int_equal(status, TTRPC_DEADLINE_EXCEEDED);
	}
	assert_int_equal(count_children(*state), AGENT_TASKS_LEFT_MAX);
	hung_mount_let_go(&hung);
	wait_until(count_children(*state) == 0);
	send_stat(fd, 2 * n + 1, "/", 0);
	expect_status(fd, 2 * n + 1, TTRPC_OK);
	close(fd);
}

static void open_write(struct rpc *rpc, struct rpc_stream *stream,
		       const struct fixture *f, const char *path)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct error err;

	request.path = message_bytes(path);
	request.size = 1;
	rpc_init(rpc, dial(f));
	assert_int_equal(begin_write(rpc, stream, &request, &err), 0);
}

/* Those that undo are not killed; stopped, they are as good as on a dead disk. */
static void writes_whose_callers_have_gone_have_a_limit(void **state)
{
	struct rpc_stream stream;
	char path[PATH_MAX];
	struct error err;
	struct rpc rpc;

	path_of(*state, "new", path);
	for (unsigned int i = 0; i < AGENT_TASKS_LEFT_MAX; i++) {
		open_write(&rpc, &stream, *state, path);
		signal_children(*state, SIGSTOP);
		rpc_close(&rpc);
	}
	wait_until(count_fds(*state) == IDLE_FDS + AGENT_TASKS_LEFT_MAX);
	rpc_init(&rpc, dial(*state));
	assert_int_equal(write_text(&rpc, path, "x", &err), RPC_REFUSED);
	assert_non_null(strstr(err.text, "have not ended"));
	assert_int_equal(count_children(*state), AGENT_TASKS_LEFT_MAX);
	signal_children(*state, SIGCONT);
	wait_until(count_children(*state) == 0);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	assert_int_equal(write_text(&rpc, path, "x", &err), 0);
	rpc_close(&rpc);
}

/* As systemd does it, which ends the agent with all of its control group. */
static void a_write_heeds_its_caller_and_no_signal(void **state)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	struct rpc_stream stream;
	char path[PATH_MAX];
	struct error err;
	struct rpc rpc;

	path_of(*state, "new", path);
	open_write(&rpc, &stream, *state, path);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		signal_children(*state, numbers[i]);
	send_data(&stream, "x", 1);
	assert_int_equal(end_write(&stream, &err), 0);
	expect_file(*state, "new", "x");
	rpc_close(&rpc);
}

/* By the agent's own count. */
static unsigned int processes_left(const struct fixture *f)
{
	static const char name[] = "\nvmctl_agent_processes_left ";
	Vmctl__Agent__V1__GetMetricsResponse *r;
	unsigned int n;
	int fd = dial(f);

	send_call(fd, 1, SERVICE, "GetMetrics", NULL, 0);
	r = take_message(fd, 1, &vmctl__agent__v1__get_metrics_response__descriptor);
	assert_non_null(strstr(r->text, name));
	n = (unsigned int)atoi(strstr(r->text, name) + strlen(name));
	free_message(r);
	close(fd);
	return n;
}

static void commands_that_cannot_be_killed_keep_no_place(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	char script[PATH_MAX + 64];
	static struct client c[EXEC_MAX + 1];
	unsigned int n;

	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	snprintf(script, sizeof(script), "echo here; exec <%s/x", hung.path);
	fill_shell(&start, words, script);
	start.grace_nano = 1000000;
	for (int i = 0; i < EXEC_MAX - 1; i++) {
		client_open(&c[0], *state);
		client_start_with(&c[0], &start);
		client_until(&c[0], "here");
		rpc_close(&c[0].rpc);
	}
	/* One that got SIGTERM early enough has ended. */
	wait_until((n = processes_left(*state)) == count_children(*state));
	assert_in_range(n, 1, EXEC_MAX - 1);
	for (unsigned int i = 0; i <= EXEC_MAX - n; i++) {
		client_shell(&c[i], *state, "echo here; read -r line");
		client_until(&c[i], "here");
	}
	for (unsigned int i = 0; i <= EXEC_MAX - n; i++) {
		client_end_input(&c[i]);
		expect_exit(&c[i], 1, 0);
	}
	hung_mount_let_go(&hung);
	wait_until(count_children(*state) == 0);
}

/* The file system that hangs, between two that do not; and one to be mounted by use. */
static void put_mounts(const struct fixture *f)
{
	char text[4096] = "", line[1024], path[PATH_MAX];
	FILE *info = fopen("/proc/self/mountinfo", "r");
	struct statx st;
	size_t len = 0;

	put_file(f, "one/x", "");
	path_of(f, "one", path);
	assert_int_equal(statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st), 0);
	len += snprintf(text, sizeof(text), "%llu 1 8:1 / %s rw - ext4 one rw\n",
			(unsigned long long)st.stx_mnt_id, path);
	assert_non_null(info);
	while (fgets(line, sizeof(line), info))
		if (strstr(line, hung.path))
			len += snprintf(text + len, sizeof(text) - len, "%s", line);
	fclose(info);
	snprintf(text + len, sizeof(text) - len,
		 "%llu 1 8:2 / %s rw - ext4 two rw\n"
		 "%llu 1 0:3 / %s/no/such rw - autofs three rw\n",
		 (unsigned long long)st.stx_mnt_id, path,
		 (unsigned long long)st.stx_mnt_id, path);
	put_file(f, "proc/self/mountinfo", text);
	put_file(f, "proc/filesystems", "nodev\tautofs\n\text4\n\tfuse\n");
}

/* Returns how many file systems are listed. */
static unsigned int list(const struct fixture *f)
{
	Vmctl__Agent__V1__ListFilesystemsRequest request =
		VMCTL__AGENT__V1__LIST_FILESYSTEMS_REQUEST__INIT;
	const Vmctl__Agent__V1__ListFilesystemsResponse *r;
	struct rpc_stream stream;
	ProtobufCMessage *message;
	unsigned int n = 0;
	struct error err;
	struct rpc rpc;
	int ret;

	request.all = true;
	rpc_init(&rpc, dial(f));
	assert_int_equal(guest_rpc_open(&rpc, &stream, "ListFilesystems", &request.base,
					RPC_SERVER_SENDS, patience(), &err),
			 0);
	while ((ret = guest_rpc_next(
			&stream,
			&vmctl__agent__v1__list_filesystems_response__descriptor,
			patience(), &message, &err)) == 1) {
		r = (const Vmctl__Agent__V1__ListFilesystemsResponse *)message;
		assert_int_equal(r->error, !strcmp(r->type, "fuse") ? ETIMEDOUT : 0);
		assert_int_equal(!r->total_bytes, strcmp(r->type, "ext4") != 0);
		message_free(message);
		n++;
	}
	assert_int_equal(ret, 0);
	rpc_close(&rpc);
	return n;
}

/* The others are told of; and whether so many processes are left. */
static bool metrics_say(const struct fixture *f, const char *left)
{
	Vmctl__Agent__V1__GetMetricsResponse *r;
	int fd = dial(f);
	bool says;

	send_call(fd, 1, SERVICE, "GetMetrics", NULL, 0);
	r = take_message(fd, 1, &vmctl__agent__v1__get_metrics_response__descriptor);
	assert_non_null(strstr(r->text, "size_bytes{device=\"one\""));
	assert_non_null(strstr(r->text, "size_bytes{device=\"two\""));
	assert_null(strstr(r->text, "device=\"three\""));
	assert_null(strstr(r->text, "device=\"hung\""));
	says = strstr(r->text, left);
	free_message(r);
	close(fd);
	return says;
}

static void a_file_system_that_hangs_takes_no_other_along(void **state)
{
	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	put_mounts(*state);
	assert_true(metrics_say(*state, "\nvmctl_agent_processes_left 0\n"));
	/* It is not asked any more while somebody hangs in it. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(list(*state), 4);
	wait_until(metrics_say(*state, "\nvmctl_agent_processes_left 1\n"));
	hung_mount_let_go(&hung);
	wait_until(metrics_say(*state, "\nvmctl_agent_processes_left 0\n"));
}

static void who_does_not_wait_for_it_is_answered_the_next_time(void **state)
{
	int fd = dial(*state);
	struct answer a;
	int status = -1;

	if (!hung_mount_start(&hung, *state, HUNG))
		skip();
	put_mounts(*state);
	send_call(fd, 1, SERVICE, "GetMetrics", NULL, SHORT);
	expect_status(fd, 1, TTRPC_DEADLINE_EXCEEDED);
	/* A time-out that is shorter than what a hang takes to be known. */
	for (uint32_t id = 3; status != TTRPC_OK; id += 2) {
		send_call(fd, id, SERVICE, "GetMetrics", NULL, 500000000);
		a = take_answer(fd);
		status = status_of(&a);
		free_answer(&a);
		assert_true(id < 1000);
	}
	wait_until(count_children(*state) == 0);
	close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_slow_call_does_not_hold_up_the_quick_ones),
		test(calls_that_are_given_up_keep_no_place),
		test(processes_that_do_not_end_are_counted_and_have_a_limit),
		test(file_calls_that_are_given_up_have_a_limit),
		test(writes_whose_callers_have_gone_have_a_limit),
		test(a_write_heeds_its_caller_and_no_signal),
		test(commands_that_cannot_be_killed_keep_no_place),
		test(a_file_system_that_hangs_takes_no_other_along),
		test(who_does_not_wait_for_it_is_answered_the_next_time),
	};

	hung_mount_prepare();
	return cmocka_run_group_tests_name("agent_hung", tests, NULL, NULL);
}
