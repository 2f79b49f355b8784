// SPDX-License-Identifier: Apache-2.0
/* File systems that are listed, frozen and trimmed, where all goes well. */
#include "fake_filesystems.h"

static void real_file_systems_are_listed(void **state)
{
	Vmctl__Agent__V1__ListFilesystemsRequest request =
		VMCTL__AGENT__V1__LIST_FILESYSTEMS_REQUEST__INIT;
	const struct fixture *f = *state;
	struct rpc_stream stream;
	unsigned int n = 0;
	char path[PATH_MAX];
	struct error err;
	ProtobufCMessage *message;
	struct rpc rpc;
	int ret;

	rpc_init(&rpc, dial(f));
	path_of(f, "t\no", path);
	assert_int_equal(guest_rpc_open(&rpc, &stream, "ListFilesystems", &request.base,
					RPC_SERVER_SENDS, patience(), &err),
			 0);
	while ((ret = guest_rpc_next(
			&stream,
			&vmctl__agent__v1__list_filesystems_response__descriptor,
			patience(), &message, &err)) == 1) {
		const Vmctl__Agent__V1__ListFilesystemsResponse *r =
			(const Vmctl__Agent__V1__ListFilesystemsResponse *)message;

		assert_int_equal(r->error, 0);
		assert_true(r->total_bytes >= r->free_bytes);
		assert_int_equal(r->source.len, strlen("/dev/sd a"));
		assert_memory_equal(r->source.data, "/dev/sd a", r->source.len);
		if (++n == 2) {
			assert_int_equal(r->mountpoint.len, strlen(path));
			assert_memory_equal(r->mountpoint.data, path, strlen(path));
			assert_string_equal(r->type, "xfs");
		}
		assert_int_equal(r->read_only, n == 3);
		message_free(message);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(n, 4);
	rpc_close(&rpc);
}

static void all_are_frozen_the_last_first_and_thawed(void **state)
{
	struct error err;
	struct rpc rpc;
	bool expired;
	size_t n;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(freeze(&rpc, *state, NULL, 0, &n), 0);
	assert_int_equal(n, 3); /* the one that cannot is told of */
	assert_true(was_asked("freeze t\no\nfreeze one\n"));
	assert_true(is_frozen(&rpc));
	assert_int_equal(freeze(&rpc, *state, NULL, 0, &n), RPC_REFUSED);
	assert_int_equal(write_text(&rpc, "/tmp/x", "x", &err), RPC_REFUSED);
	assert_false(log_has(*state, "FreezeFilesystems: OK"));
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	assert_int_equal(n, 3);
	assert_false(expired);
	assert_int_equal(count_asked("freeze "), 2);
	assert_int_equal(count_asked("thaw one\n"), 1);
	assert_int_equal(count_asked("thaw t\no\n"), 1);
	assert_false(is_frozen(&rpc));
	/* What was not written while a disk might have been frozen. */
	wait_until(log_has(*state, "FreezeFilesystems: OK"));
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	assert_int_equal(n, 0);
	rpc_close(&rpc);
}

static void one_that_fails_thaws_the_others(void **state)
{
	struct rpc rpc;
	size_t n;

	add_mount(*state, "broken", "broken", 9, "ext4", "rw");
	add_mount(*state, "last", "last", 10, "ext4", "rw");
	rpc_init(&rpc, dial(*state));
	assert_int_equal(freeze(&rpc, *state, NULL, 0, &n), RPC_REFUSED);
	assert_true(was_asked("freeze last\nthaw last\n"));
	assert_false(is_frozen(&rpc));
	assert_int_equal(freeze(&rpc, *state, "cannot", 0, &n), RPC_REFUSED);
	assert_int_equal(freeze(&rpc, *state, "none", 0, &n), RPC_REFUSED);
	assert_int_equal(freeze(&rpc, *state, "one", 1000000, &n), RPC_REFUSED);
	assert_int_equal(freeze(&rpc, *state, "one", 0, &n), 0);
	assert_true(was_asked("freeze last\nthaw last\nfreeze one\n"));
	rpc_close(&rpc);
}

static void each_file_system_is_trimmed(void **state)
{
	Vmctl__Agent__V1__TrimFilesystemsRequest request =
		VMCTL__AGENT__V1__TRIM_FILESYSTEMS_REQUEST__INIT;
	struct rpc_stream stream;
	unsigned int n = 0, failed = 0;
	struct error err;
	ProtobufCMessage *message;
	struct rpc rpc;
	int ret;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(guest_rpc_open(&rpc, &stream, "TrimFilesystems", &request.base,
					RPC_SERVER_SENDS, patience(), &err),
			 0);
	while ((ret = guest_rpc_next(&stream,
				     &vmctl__agent__v1__filesystem_result__descriptor,
				     patience(), &message, &err)) == 1) {
		const Vmctl__Agent__V1__FilesystemResult *r =
			(const Vmctl__Agent__V1__FilesystemResult *)message;

		n++;
		failed += r->error != 0;
		assert_int_equal(r->bytes, r->error ? 0 : 4096);
		message_free(message);
	}
	assert_int_equal(ret, 0);
	assert_int_equal(n, 3);
	assert_int_equal(failed, 1);
	assert_true(was_asked("trim one\ntrim t\no\n"));
	rpc_close(&rpc);
}

static void what_is_mounted_elsewhere_by_now_is_left_alone(void **state)
{
	const struct fixture *f = *state;
	char path[PATH_MAX], moved[PATH_MAX];
	struct rpc rpc;
	size_t n;

	path_of(f, "one", path);
	path_of(f, "moved", moved);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(symlink(moved, path), 0);
	rpc_init(&rpc, dial(f));
	assert_int_equal(freeze(&rpc, f, "one", 0, &n), RPC_REFUSED);
	assert_true(was_asked(""));
	rpc_close(&rpc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(real_file_systems_are_listed),
		test(all_are_frozen_the_last_first_and_thawed),
		test(one_that_fails_thaws_the_others),
		test(each_file_system_is_trimmed),
		test(what_is_mounted_elsewhere_by_now_is_left_alone),
	};

	return cmocka_run_group_tests_name("agent_filesystem", tests, NULL, NULL);
}
