// SPDX-License-Identifier: Apache-2.0
/* vmctl cp when something happens to the file, the connection or the disk meanwhile. */
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>

#include "new_file.h"
#include "run_cp.h"

#define BIG	(1 << 20)
#define CHANGED "changed while it was copied"

/* A guest that does this when it is to take or to give a file. */
static enum {
	CUTS,	 /* the file that is copied to it becomes short */
	APPENDS, /* and this, longer */
	DIES,	 /* in the middle */
	STALLS	 /* there */
} deed;

static void change(const struct agent_call *call)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/host/big", call->agent->options->root);
	if (deed != DIES && truncate(path, deed == CUTS ? 1 : BIG + 1) < 0)
		_exit(1);
}

static void begin(struct agent_call *call, const ProtobufCMessage *request)
{
	(void)call;
	(void)request;
}

static void take(struct agent_call *call, const ProtobufCMessage *message)
{
	WriteResponse response = VMCTL__AGENT__V1__WRITE_FILE_RESPONSE__INIT;

	if (!((const WriteRequest *)message)->open) {
		if (deed == DIES)
			_exit(0);
		return;
	}
	change(call);
	agent_call_send(call, &response.base);
}

static void taken(struct agent_call *call)
{
	WriteResponse response = VMCTL__AGENT__V1__WRITE_FILE_RESPONSE__INIT;

	response.done = true;
	agent_call_send(call, &response.base);
	agent_call_finish(call);
}

/* There is one file to be read, and none where one is to be written. */
static void tell_stat(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__StatFileRequest *request =
		(const Vmctl__Agent__V1__StatFileRequest *)message;
	Vmctl__Agent__V1__StatFileResponse response =
		VMCTL__AGENT__V1__STAT_FILE_RESPONSE__INIT;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;

	if (request->path.len != 4 || memcmp(request->path.data, "file", 4)) {
		agent_call_fail(call, TTRPC_NOT_FOUND, "nothing is here");
		return;
	}
	stat.type = VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_REGULAR;
	response.stat = &stat;
	agent_call_reply(call, &response.base);
}

/* As much as is kept for a client: with room again, some was taken. */
static void give(struct agent_call *call, const ProtobufCMessage *request)
{
	static uint8_t data[64 << 10];
	ReadResponse response = VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;

	(void)request;
	stat.size = 1ll << 40;
	response.stat = &stat;
	agent_call_send(call, &response.base);
	response.stat = NULL;
	response.data.data = data;
	response.data.len = sizeof(data);
	agent_call_send(call, &response.base);
	while (deed == DIES && agent_call_has_room(call))
		agent_call_send(call, &response.base);
}

static void die(struct agent_call *call)
{
	(void)call;
	_exit(0);
}

static const struct agent_method methods[] = {
	{.name = "StatFile",
	 .request = &vmctl__agent__v1__stat_file_request__descriptor,
	 .response = &vmctl__agent__v1__stat_file_response__descriptor,
	 .handle = tell_stat},
	{.name = "ReadFile",
	 .kind = AGENT_SERVER_STREAM,
	 .request = &vmctl__agent__v1__read_file_request__descriptor,
	 .response = &vmctl__agent__v1__read_file_response__descriptor,
	 .handle = give,
	 .room = die},
	{.name = "WriteFile",
	 .kind = AGENT_BIDI_STREAM,
	 .request = &vmctl__agent__v1__write_file_request__descriptor,
	 .response = &vmctl__agent__v1__write_file_response__descriptor,
	 .handle = begin,
	 .message = take,
	 .end = taken},
};

static const struct agent_service service = {
	.name = SERVICE, .methods = methods, .n_methods = 3};
static const struct agent_service *const services[] = {&service, NULL};

static int start_to_do(void **state)
{
	int ret;

	test_services = services;
	ret = start_with(state);
	put_file(*state, "host/big", "");
	return ret || truncate(on_host(*state, "host/big"), BIG);
}

static int start_cutting(void **state)
{
	deed = CUTS;
	return start_to_do(state);
}

static int start_appending(void **state)
{
	deed = APPENDS;
	return start_to_do(state);
}

static int start_dying(void **state)
{
	deed = DIES;
	return start_to_do(state);
}

static void a_broken_copy_to_a_guest_says_how_far_it_came(void **state)
{
	struct output o = CP(on_host(*state, "host/big"), in_guest("new"));

	assert_int_equal(o.code, STATUS_BROKEN);
	assert_non_null(strstr(o.err, "the connection broke"));
	assert_non_null(strstr(o.err, " of 1048576 bytes; nothing of it is kept"));
	assert_non_null(strstr(o.err, "--resume"));
}

static void a_broken_copy_from_a_guest_says_how_far_it_came(void **state)
{
	char path[PATH_MAX], said[32];
	struct output o;
	struct stat st;

	o = CP(in_guest("file"), on_host(*state, "host/new"), "--resume");
	assert_int_equal(o.code, STATUS_BROKEN);
	path_of(*state, "host/.new.vmctl-partial", path);
	assert_int_equal(stat(path, &st), 0);
	snprintf(said, sizeof(said), " at %lld of ", (long long)st.st_size);
	assert_non_null(strstr(o.err, said));
	assert_non_null(strstr(o.err, "run it again to go on"));
	assert_false(exists(*state, "host/new"));
}

static int start_stalling(void **state)
{
	deed = STALLS;
	return start_to_do(state);
}

/* As on a file system that has no files without a name. */
static void forbid_nameless_files(void)
{
	const uint64_t tmpfile_bit = O_TMPFILE & ~O_DIRECTORY;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (!filter ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(openat), 1,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, tmpfile_bit, tmpfile_bit)) ||
	    seccomp_load(filter))
		_exit(99);
}

static pid_t start_copy(const struct fixture *f, char *option)
{
	char *to = on_host(f, "host/new"), *from = in_guest("file");
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		forbid_nameless_files();
		_exit(cp_main(4, ARGS("cp", option, from, to)));
	}
	return pid;
}

static void a_killed_copy_leaves_what_resume_goes_on_with(void **state)
{
	static const struct {
		char *option;
		const char *meanwhile;
		unsigned int left;
	} cases[] = {
		{"--owner", NEW_FILE_PREFIX, 0},
		{"--resume", ".new" NEW_FILE_PARTIAL_SUFFIX, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = start_copy(*state, cases[i].option);
		int status;

		wait_until(count_names(*state, "host", cases[i].meanwhile) == 1);
		kill(pid, SIGTERM);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGTERM);
		assert_int_equal(count_names(*state, "host", "."), cases[i].left);
		assert_false(exists(*state, "host/new"));
	}
}

static bool apart; /* what is mounted is this test's alone */

static int start_apart(void **state)
{
	apart = !unshare(CLONE_NEWNS) &&
		!mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return start(state);
}

static void a_full_disk_of_the_host_leaves_no_file(void **state)
{
	char path[PATH_MAX], *how[] = {"--owner", "--resume"};
	const struct fixture *f = *state;
	struct output o;

	put_file(f, ROOT "/big", "");
	path_of(f, ROOT "/big", path);
	assert_int_equal(truncate(path, BIG), 0);
	path_of(f, "small", path);
	assert_int_equal(mkdir(path, 0755), 0);
	if (!apart || mount("none", path, "tmpfs", 0, "size=64k") < 0)
		skip();
	put_file(f, "small/big", "of before");
	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		o = CP(how[i], in_guest("big"), on_host(f, "small"));
		assert_int_equal(o.code, STATUS_FAILURE);
		assert_non_null(strstr(o.err, "big: No space left on device"));
		expect_file(f, "small/big", "of before");
		assert_int_equal(count_names(f, "small", ""), 1);
	}
	umount2(path, MNT_DETACH);
}

static void a_file_that_becomes_short_is_the_hosts_failure(void **state)
{
	struct output o = CP(on_host(*state, "host/big"), in_guest("big"));

	assert_int_equal(o.code, STATUS_FAILURE);
	assert_non_null(strstr(o.err, "host/big: it became shorter"));
	assert_null(strstr(o.err, "restart"));
}

static void a_file_that_grows_is_told(void **state)
{
	struct output o = CP(on_host(*state, "host/big"), in_guest("big"));

	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "host/big " CHANGED));
}

static void a_file_that_does_not_say_its_size_is_whole(void **state)
{
	static const char *const names[] = {
		"/proc/version", "/proc/filesystems", "/sys/kernel/notes",
		"/sys/kernel/mm/transparent_hugepage/enabled"};
	char there[65536], here[65536];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FILE *f = fopen(names[i], "r");
		struct output o;
		size_t n;

		if (!f)
			continue;
		n = fread(here, 1, sizeof(here) - 1, f);
		here[n] = '\0';
		fclose(f);
		o = CP((char *)names[i], in_guest("etc/new"));
		assert_string_equal(o.err, "");
		assert_int_equal(o.code, 0);
		get_file(*state, ROOT "/etc/new", there, sizeof(there));
		assert_string_equal(there, here);
	}
}

#define test_of(name, how) cmocka_unit_test_setup_teardown(name, how, stop_front)
#define test_dying(name)   cmocka_unit_test_setup_teardown(name, start_dying, bury_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_of(a_file_that_becomes_short_is_the_hosts_failure, start_cutting),
		test_of(a_file_that_grows_is_told, start_appending),
		test_dying(a_broken_copy_to_a_guest_says_how_far_it_came),
		test_dying(a_broken_copy_from_a_guest_says_how_far_it_came),
		test_of(a_killed_copy_leaves_what_resume_goes_on_with, start_stalling),
		test_of(a_full_disk_of_the_host_leaves_no_file, start_apart),
		test_of(a_file_that_does_not_say_its_size_is_whole, start),
	};

	return cmocka_run_group_tests_name("cp_faults", tests, NULL, NULL);
}
