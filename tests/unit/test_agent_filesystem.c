// SPDX-License-Identifier: Apache-2.0
/*
 * File systems, of a /proc made of plain files. Nothing is frozen or trimmed: the
 * ioctls are this test's, which writes down what is asked of it.
 */
#include "file_client.h"

#include <linux/fs.h>

#include "../../agent/mounts.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

static char asked[PATH_MAX]; /* a file: a line for each ioctl */

/* A directory with "cannot" in its name cannot; one with "broken" fails. */
static int fake_ioctl(int fd, unsigned long request, void *arg)
{
	const char *what = request == FIFREEZE ? "freeze"
			   : request == FITHAW ? "thaw"
					       : "trim";
	char link[64], path[PATH_MAX];
	ssize_t n;
	FILE *file;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	if (strstr(path, "cannot")) {
		errno = EOPNOTSUPP;
		return -1;
	}
	if (strstr(path, "broken") && request != FITHAW) {
		errno = EIO;
		return -1;
	}
	if (request == FITRIM)
		((struct fstrim_range *)arg)->len = 4096;
	file = fopen(asked, "a");
	fprintf(file, "%s %s\n", what, strrchr(path, '/') + 1);
	fclose(file);
	return 0;
}

/* Adds a line for a directory of the fixture. */
static void add_mount(const struct fixture *f, const char *name, const char *escaped,
		      unsigned int minor, const char *type, const char *options)
{
	char path[PATH_MAX], info[PATH_MAX];
	struct statx st;
	FILE *file;

	path_of(f, name, path);
	assert_true(!mkdir(path, 0755) || errno == EEXIST);
	assert_int_equal(statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st), 0);
	path_of(f, "proc/self/mountinfo", info);
	file = fopen(info, "a");
	assert_non_null(file);
	fprintf(file,
		"%llu 1 8:%u / %s/%s %s,relatime shared:1 master:2 - %s /dev/sd\\040a "
		"%s\n",
		(unsigned long long)st.stx_mnt_id, minor, f->dir, escaped, options,
		type, options);
	fclose(file);
}

static int start(void **state)
{
	struct fixture *f;
	int ret;

	mounts_ioctl = fake_ioctl;
	snprintf(asked, sizeof(asked), "/tmp/vmctl-agent-asked.%d", getpid());
	fclose(fopen(asked, "w"));
	ret = start_agent(state);
	f = *state;
	put_file(f, "proc/filesystems", "nodev\ttmpfs\nnodev\tproc\n\text4\n\txfs\n");
	put_file(f, "proc/self/mountinfo", "");
	add_mount(f, "proc", "proc", 100, "proc", "rw");
	add_mount(f, "one", "one", 1, "ext4", "rw");
	add_mount(f, "t\no", "t\\012o", 2, "xfs", "rw");
	add_mount(f, "one", "one", 1, "ext4", "rw"); /* the same again */
	add_mount(f, "read", "read", 3, "ext4", "ro");
	add_mount(f, "cannot", "cannot", 4, "ext4", "rw");
	return ret;
}

static int stop(void **state)
{
	int ret = stop_agent(state);

	unlink(asked);
	return ret;
}

static bool was_asked(const char *lines)
{
	char text[4096];
	FILE *file = fopen(asked, "r");
	size_t n = fread(text, 1, sizeof(text) - 1, file);

	text[n] = '\0';
	fclose(file);
	return !strcmp(text, lines);
}

static int freeze(struct rpc *rpc, const struct fixture *f, const char *name,
		  uint64_t timeout_ms, size_t *n_results)
{
	Vmctl__Agent__V1__FreezeFilesystemsRequest request =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	ProtobufCBinaryData names[1];
	char path[PATH_MAX];
	struct error err;
	int ret;

	if (name) {
		path_of(f, name, path);
		names[0] = message_bytes(path);
		request.mountpoints = names;
		request.n_mountpoints = 1;
	}
	request.timeout_ms = timeout_ms;
	ret = guest_rpc_call(rpc, "FreezeFilesystems", &request.base,
			     &vmctl__agent__v1__freeze_filesystems_response__descriptor,
			     patience(), &reply, &err);
	if (!ret)
		*n_results = ((Vmctl__Agent__V1__FreezeFilesystemsResponse *)reply)
				     ->n_results;
	message_free(reply);
	return ret;
}

static int thaw(struct rpc *rpc, size_t *n_results, bool *expired)
{
	Vmctl__Agent__V1__ThawFilesystemsRequest request =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_REQUEST__INIT;
	const Vmctl__Agent__V1__ThawFilesystemsResponse *r;
	ProtobufCMessage *reply = NULL;
	struct error err;
	int ret =
		guest_rpc_call(rpc, "ThawFilesystems", &request.base,
			       &vmctl__agent__v1__thaw_filesystems_response__descriptor,
			       patience(), &reply, &err);

	if (!ret) {
		r = (const Vmctl__Agent__V1__ThawFilesystemsResponse *)reply;
		*n_results = r->n_results;
		*expired = r->expired;
	}
	message_free(reply);
	return ret;
}

static bool is_frozen(struct rpc *rpc)
{
	Vmctl__Agent__V1__GetFreezeStatusRequest request =
		VMCTL__AGENT__V1__GET_FREEZE_STATUS_REQUEST__INIT;
	ProtobufCMessage *reply;
	struct error err;
	bool frozen;

	assert_int_equal(
		guest_rpc_call(
			rpc, "GetFreezeStatus", &request.base,
			&vmctl__agent__v1__get_freeze_status_response__descriptor,
			patience(), &reply, &err),
		0);
	frozen = ((Vmctl__Agent__V1__GetFreezeStatusResponse *)reply)->frozen;
	message_free(reply);
	return frozen;
}

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
	assert_true(was_asked("freeze t\no\nfreeze one\nthaw one\nthaw t\no\n"));
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

static void a_freeze_thaws_itself(void **state)
{
	struct rpc rpc;
	bool expired;
	size_t n;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(freeze(&rpc, *state, "one", 50, &n), 0);
	rpc_close(&rpc);
	wait_until(was_asked("freeze one\nthaw one\n"));
	rpc_init(&rpc, dial(*state));
	wait_until(!is_frozen(&rpc));
	assert_int_equal(thaw(&rpc, &n, &expired), 0);
	assert_true(expired);
	wait_until(log_has(*state, "their time was up"));
	rpc_close(&rpc);
}

static void the_agents_death_thaws(void **state)
{
	struct fixture *f = *state;
	struct rpc rpc;
	size_t n;

	rpc_init(&rpc, dial(f));
	assert_int_equal(freeze(&rpc, f, "one", 0, &n), 0);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	wait_until(was_asked("freeze one\nthaw one\n"));
	rpc_close(&rpc);
	remove_tree(f->dir);
	unlink(asked);
	free(f);
	*state = NULL;
}

static pid_t child_of(const struct fixture *f)
{
	char path[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", f->pid, f->pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

static void the_death_of_who_holds_it_thaws(void **state)
{
	struct rpc rpc;
	pid_t pid;
	size_t n;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(freeze(&rpc, *state, "one", 0, &n), 0);
	pid = child_of(*state);
	if (!pid)
		skip(); /* the kernel does not list children */
	kill(pid, SIGKILL);
	wait_until(was_asked("freeze one\nthaw one\n"));
	wait_until(!is_frozen(&rpc));
	wait_until(log_has(*state, "has died"));
	wait_until(!child_of(*state));
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

static int stop_unless_killed(void **state)
{
	return *state ? stop(state) : 0;
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_unless_killed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(real_file_systems_are_listed),
		test(all_are_frozen_the_last_first_and_thawed),
		test(one_that_fails_thaws_the_others),
		test(a_freeze_thaws_itself),
		test(the_agents_death_thaws),
		test(the_death_of_who_holds_it_thaws),
		test(each_file_system_is_trimmed),
		test(what_is_mounted_elsewhere_by_now_is_left_alone),
	};

	return cmocka_run_group_tests_name("agent_filesystem", tests, NULL, NULL);
}
