// SPDX-License-Identifier: Apache-2.0
/* Files of the guest: reading and writing them, whole or not. */
#include "file_client.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "vmctl/agent/v1/file.pb-c.h"

#define MIB (1u << 20)

static char *pattern(size_t len)
{
	char *data = malloc(len + 1);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 31 + i / 4099);
	return data;
}

static void what_is_written_is_read(void **state)
{
	static char back[4 * MIB];
	char *data = pattern(3 * MIB + 5);
	struct error err = {0};
	uint64_t offset;
	struct rpc rpc;
	size_t used;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(write_text(&rpc, "/etc/new", "new", &err), 0);
	expect_file(*state, ROOT "/etc/new", "new");
	assert_int_equal(write_text(&rpc, "etc//new/", "", &err), 0);
	expect_file(*state, ROOT "/etc/new", "");
	assert_int_equal(write_bytes(&rpc, "etc/large", data, 3 * MIB + 5, &err), 0);
	assert_int_equal(read_from(&rpc, "/etc/large", NULL, &offset, back,
				   sizeof(back), &used, &err),
			 0);
	assert_int_equal(used, 3 * MIB + 5);
	assert_memory_equal(back, data, used);
	assert_int_equal(count_names(*state, ROOT "/etc", "."), 0);
	rpc_close(&rpc);
	free(data);
}

static void mode_owner_and_time_are_set(void **state)
{
	Vmctl__Agent__V1__FileAttributes a = VMCTL__AGENT__V1__FILE_ATTRIBUTES__INIT;
	Vmctl__Agent__V1__FileMode mode = VMCTL__AGENT__V1__FILE_MODE__INIT;
	Vmctl__Agent__V1__FileOwner owner = VMCTL__AGENT__V1__FILE_OWNER__INIT;
	Vmctl__Agent__V1__FileTime mtime = VMCTL__AGENT__V1__FILE_TIME__INIT;
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct error err = {0};
	struct rpc_stream stream;
	char path[PATH_MAX];
	struct rpc rpc;
	struct stat st;

	rpc_init(&rpc, dial(*state));
	mode.bits = 04751;
	owner.uid = geteuid() ? geteuid() : 1234;
	owner.gid = getegid() ? getegid() : 2345;
	mtime.sec = 1000000000;
	mtime.nsec = 5000;
	a.mode = &mode;
	a.owner = &owner;
	a.mtime = &mtime;
	request.path = message_bytes("program");
	request.attributes = &a;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	assert_int_equal(end_write(&stream, &err), 0);
	path_of(*state, ROOT "/program", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 04751);
	assert_int_equal(st.st_uid, owner.uid);
	assert_int_equal(st.st_gid, owner.gid);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	mode.bits = 010644;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	assert_int_equal(end_write(&stream, &err), RPC_REFUSED);
	rpc_close(&rpc);
}

static void what_is_no_regular_file_is_not_read(void **state)
{
	char path[PATH_MAX], text[64];
	struct error err = {0};
	struct rpc rpc;

	path_of(*state, ROOT "/fifo", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	rpc_init(&rpc, dial(*state));
	assert_int_equal(read_text(&rpc, "fifo", text, sizeof(text), &err),
			 RPC_REFUSED);
	assert_non_null(strstr(err.text, "no regular file"));
	assert_int_equal(read_text(&rpc, "etc", text, sizeof(text), &err), RPC_REFUSED);
	assert_int_equal(read_text(&rpc, "none", text, sizeof(text), &err),
			 RPC_REFUSED);
	assert_non_null(strstr(err.text, "NOT_FOUND"));
	rpc_close(&rpc);
}

static void more_or_fewer_bytes_than_said_leave_nothing(void **state)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct rpc_stream stream;
	struct error err = {0};
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	for (int resumable = 0; resumable < 2; resumable++) {
		request.path = message_bytes("etc/new");
		request.resumable = resumable;
		request.size = 4;
		assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
		send_data(&stream, "12345", 5);
		assert_int_equal(end_write(&stream, &err), RPC_REFUSED);
		assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
		send_data(&stream, "123", 3);
		assert_int_equal(end_write(&stream, &err), RPC_REFUSED);
		request.size = UINT64_MAX;
		assert_int_equal(begin_write(&rpc, &stream, &request, &err),
				 RPC_REFUSED);
		assert_int_equal(count_names(*state, ROOT "/etc", ""), 1);
	}
	rpc_close(&rpc);
}

#define PARTIAL ROOT "/etc/.new.vmctl-partial"

static uint64_t size_of(const struct fixture *f, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(f, name, path);
	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

/* Sends a part of a file, and goes, if it is to be kept when it is on the disk. */
static void break_off(struct fixture *f, const char *data, size_t part, size_t size,
		      bool resumable)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct rpc_stream stream;
	struct error err = {0};
	struct rpc rpc;

	rpc_init(&rpc, dial(f));
	request.path = message_bytes("etc/new");
	request.size = size;
	request.resumable = resumable;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	send_data(&stream, data, part);
	if (rpc.out_len)
		wait_until(rpc_recv(&stream, deadline_after_ms(1), &(uint8_t *){0},
				    &(size_t){0}, &err) &&
			   !rpc.out_len);
	/* What is on its way when the connection goes is lost. */
	wait_until(!resumable || size_of(f, PARTIAL) == part);
	rpc_close(&rpc);
}

static void a_client_that_goes_leaves_nothing(void **state)
{
	char *data = pattern(2 * MIB);

	break_off(*state, data, MIB, 2 * MIB, false);
	wait_until(log_has(*state, "WriteFile: CANCELLED"));
	assert_true(log_has(*state, " (etc/new)"));
	wait_until(count_names(*state, ROOT "/etc", "") == 1);
	wait_until(count_fds(*state) == IDLE_FDS);
	free(data);
}

static void a_broken_write_is_gone_on_with(void **state)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	static char back[3 * MIB];
	char *data = pattern(2 * MIB);
	struct rpc_stream stream;
	struct error err = {0};
	uint8_t digest[32];
	struct rpc rpc;
	Prefix prefix;

	break_off(*state, data, MIB, 2 * MIB, true);
	wait_until(size_of(*state, PARTIAL) == MIB);
	assert_false(exists(*state, ROOT "/etc/new"));
	rpc_init(&rpc, dial(*state));
	request.path = message_bytes("etc/new");
	request.size = 2 * MIB;
	request.resumable = true;
	request.prefix = &prefix;
	prefix = prefix_of(data, MIB, digest);
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), MIB);
	send_data(&stream, data + MIB, MIB);
	assert_int_equal(end_write(&stream, &err), 0);
	assert_false(exists(*state, PARTIAL));
	assert_int_equal(size_of(*state, ROOT "/etc/new"), 2 * MIB);
	assert_int_equal(read_text(&rpc, "etc/new", back, sizeof(back), &err), 0);
	assert_memory_equal(back, data, 2 * MIB);
	rpc_close(&rpc);
	free(data);
}

static void what_is_not_the_same_file_is_written_anew(void **state)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct rpc_stream stream;
	struct error err = {0};
	uint8_t digest[32];
	char path[PATH_MAX];
	struct rpc rpc;
	Prefix prefix;

	break_off(*state, "12345", 5, 10, true);
	wait_until(size_of(*state, PARTIAL) == 5);
	rpc_init(&rpc, dial(*state));
	request.path = message_bytes("etc/new");
	request.size = 6;
	request.resumable = true;
	request.prefix = &prefix;
	prefix = prefix_of("12x45", 5, digest);
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	send_data(&stream, "abcdef", 6);
	assert_int_equal(end_write(&stream, &err), 0);
	expect_file(*state, ROOT "/etc/new", "abcdef");
	/* One that another may have put there: a symlink, a hard link, open to all. */
	prefix = prefix_of("secret", 6, digest);
	make_link(*state, PARTIAL, "../../" OUTSIDE "/secret");
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	send_data(&stream, "ABCDEF", 6);
	assert_int_equal(end_write(&stream, &err), 0);
	put_file(*state, PARTIAL, "secret");
	path_of(*state, PARTIAL, path);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	send_data(&stream, "ghijkl", 6);
	assert_int_equal(end_write(&stream, &err), 0);
	expect_file(*state, ROOT "/etc/new", "ghijkl");
	expect_file(*state, OUTSIDE "/secret", "secret");
	/* A prefix of absurd size. */
	prefix.size = UINT64_MAX;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	rpc_close(&rpc);
}

static void a_write_that_is_not_resumable_removes_what_was_given_up(void **state)
{
	struct error err = {0};
	struct rpc rpc;

	break_off(*state, "12345", 5, 10, true);
	wait_until(size_of(*state, PARTIAL) == 5);
	rpc_init(&rpc, dial(*state));
	assert_int_equal(write_text(&rpc, "etc/new", "whole", &err), 0);
	assert_int_equal(count_names(*state, ROOT "/etc", "."), 0);
	rpc_close(&rpc);
}

static void a_broken_read_is_gone_on_with(void **state)
{
	char text[256];
	struct error err = {0};
	uint64_t offset = 99;
	uint8_t digest[32];
	struct rpc rpc;
	Prefix prefix = prefix_of("hello", 5, digest);
	size_t used;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(read_from(&rpc, "etc/hello", &prefix, &offset, text,
				   sizeof(text), &used, &err),
			 0);
	assert_int_equal(offset, 5);
	assert_int_equal(used, strlen(" from the guest"));
	prefix = prefix_of("hallo", 5, digest);
	assert_int_equal(read_from(&rpc, "etc/hello", &prefix, &offset, text,
				   sizeof(text), &used, &err),
			 0);
	assert_int_equal(offset, 0);
	assert_int_equal(used, strlen("hello from the guest"));
	prefix.size = INT64_MAX;
	assert_int_equal(read_from(&rpc, "etc/hello", &prefix, &offset, text,
				   sizeof(text), &used, &err),
			 0);
	assert_int_equal(offset, 0);
	rpc_close(&rpc);
}

static void an_agent_that_is_killed_leaves_nothing(void **state)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct fixture *f = *state;
	struct rpc_stream stream;
	struct error err = {0};
	char *data = pattern(MIB);
	struct rpc rpc;

	rpc_init(&rpc, dial(f));
	request.path = message_bytes("etc/new");
	request.size = 2 * MIB;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	send_data(&stream, data, MIB);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	wait_until(count_names(f, ROOT "/etc", "") == 1);
	rpc_close(&rpc);
	free(data);
	remove_tree(f->dir);
	free(f);
	*state = NULL;
}

static int stop_unless_killed(void **state)
{
	return *state ? stop_agent(state) : 0;
}

/* The agent's processes may not write beyond so much: the limit is inherited. */
static void a_full_disk_is_said_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	char *data = pattern(2 * MIB), path[PATH_MAX];
	struct error err = {0};
	struct rpc rpc;

	path_of(f, ROOT "/small", path);
	assert_int_equal(mkdir(path, 0755), 0);
	rpc_init(&rpc, dial(f));
	if (mount("none", path, "tmpfs", 0, "size=1m") < 0)
		skip();
	assert_int_equal(write_bytes(&rpc, "small/file", data, 2 * MIB, &err),
			 RPC_REFUSED);
	assert_non_null(strstr(err.text, "RESOURCE_EXHAUSTED"));
	assert_non_null(strstr(err.text, strerror(ENOSPC)));
	wait_until(count_names(f, ROOT "/small", "") == 0);
	assert_int_equal(write_bytes(&rpc, "small/file", data, MIB / 2, &err), 0);
	rpc_close(&rpc);
	umount2(path, MNT_DETACH);
	free(data);
}

/* Mounts of this test are nobody else's. */
static int start_apart(void **state)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return start_with_files(state);
	return start_with_files(state);
}

static void a_read_that_nobody_takes_delays_nobody(void **state)
{
	ReadRequest request = VMCTL__AGENT__V1__READ_FILE_REQUEST__INIT;
	int other = dial(*state);
	struct rpc_stream stream;
	struct error err = {0};
	char path[PATH_MAX];
	struct rpc rpc;

	put_file(*state, ROOT "/sparse", "");
	path_of(*state, ROOT "/sparse", path);
	assert_int_equal(truncate(path, 1ll << 40), 0);
	rpc_init(&rpc, dial(*state));
	request.path = message_bytes("sparse");
	assert_int_equal(guest_rpc_open(&rpc, &stream, "ReadFile", &request.base,
					RPC_SERVER_SENDS, patience(), &err),
			 0);
	for (uint32_t id = 1; id < 100; id += 2)
		expect_works(other, id);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
	rpc_close(&rpc);
	wait_until(count_fds(*state) == IDLE_FDS + 1);
	close(other);
}

static void a_long_write_bounds_memory(void **state)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	char *data = pattern(16 * MIB);
	struct rpc_stream stream;
	struct error err = {0};
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	request.path = message_bytes("etc/new");
	request.size = 16 * MIB;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	send_data(&stream, data, 16 * MIB);
	assert_int_equal(end_write(&stream, &err), 0);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
	assert_int_equal(size_of(*state, ROOT "/etc/new"), 16 * MIB);
	rpc_close(&rpc);
	free(data);
}

static void the_first_message_opens_and_no_other(void **state)
{
	WriteRequest message = VMCTL__AGENT__V1__WRITE_FILE_REQUEST__INIT;
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	struct rpc_stream stream;
	struct error err = {0};
	struct rpc rpc;
	uint64_t offset;
	bool done;

	rpc_init(&rpc, dial(*state));
	message.data = message_bytes("data");
	assert_int_equal(guest_rpc_open(&rpc, &stream, "WriteFile", &message.base,
					RPC_CLIENT_SENDS, patience(), &err),
			 0);
	assert_int_equal(take_write_response(&stream, &offset, &done, &err),
			 RPC_REFUSED);
	request.path = message_bytes("etc/new");
	request.size = 4;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	message.open = &request;
	send_message(&stream, &message.base);
	assert_int_equal(take_write_response(&stream, &offset, &done, &err),
			 RPC_REFUSED);
	wait_until(count_names(*state, ROOT "/etc", "") == 1);
	rpc_close(&rpc);
}

#define test(name) \
	cmocka_unit_test_setup_teardown(name, start_with_files, stop_unless_killed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(what_is_written_is_read),
		test(mode_owner_and_time_are_set),
		test(what_is_no_regular_file_is_not_read),
		test(more_or_fewer_bytes_than_said_leave_nothing),
		test(a_client_that_goes_leaves_nothing),
		test(a_broken_write_is_gone_on_with),
		test(what_is_not_the_same_file_is_written_anew),
		test(a_write_that_is_not_resumable_removes_what_was_given_up),
		test(a_broken_read_is_gone_on_with),
		test(an_agent_that_is_killed_leaves_nothing),
		test(a_read_that_nobody_takes_delays_nobody),
		test(a_long_write_bounds_memory),
		test(the_first_message_opens_and_no_other),
		cmocka_unit_test_setup_teardown(a_full_disk_is_said_and_leaves_nothing,
						start_apart, stop_unless_killed),
	};

	return cmocka_run_group_tests_name("agent_file", tests, NULL, NULL);
}
