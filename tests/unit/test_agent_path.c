// SPDX-License-Identifier: Apache-2.0
/*
 * Paths in the guest: names, directories and symlinks, and every way out of the root
 * that is none.
 */
#include "file_client.h"

/* A link to a root that no path beneath the agent's may be taken through. */
#define OWN_ROOT "proc/self/root"

static int stat_bytes(struct rpc *rpc, ProtobufCBinaryData path, bool follow,
		      Vmctl__Agent__V1__StatFileResponse **response)
{
	Vmctl__Agent__V1__StatFileRequest request =
		VMCTL__AGENT__V1__STAT_FILE_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct error err = {0};
	int ret;

	request.path = path;
	request.follow = follow;
	ret = guest_rpc_call(rpc, "StatFile", &request.base,
			     &vmctl__agent__v1__stat_file_response__descriptor,
			     patience(), &reply, &err);
	*response = (Vmctl__Agent__V1__StatFileResponse *)reply;
	return ret;
}

static int stat_path(struct rpc *rpc, const char *path, bool follow,
		     Vmctl__Agent__V1__StatFileResponse **response)
{
	return stat_bytes(rpc, message_bytes(path), follow, response);
}

static int make_directory(struct rpc *rpc, const char *path, bool parents)
{
	Vmctl__Agent__V1__MakeDirectoryRequest request =
		VMCTL__AGENT__V1__MAKE_DIRECTORY_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct error err = {0};
	int ret;

	request.path = message_bytes(path);
	request.parents = parents;
	ret = guest_rpc_call(rpc, "MakeDirectory", &request.base,
			     &vmctl__agent__v1__make_directory_response__descriptor,
			     patience(), &reply, &err);
	message_free(reply);
	return ret;
}

static int make_symlink(struct rpc *rpc, const char *path, const char *target)
{
	Vmctl__Agent__V1__MakeSymlinkRequest request =
		VMCTL__AGENT__V1__MAKE_SYMLINK_REQUEST__INIT;
	ProtobufCMessage *reply = NULL;
	struct error err = {0};
	int ret;

	request.path = message_bytes(path);
	request.target = message_bytes(target);
	ret = guest_rpc_call(rpc, "MakeSymlink", &request.base,
			     &vmctl__agent__v1__make_symlink_response__descriptor,
			     patience(), &reply, &err);
	message_free(reply);
	return ret;
}

static void directories_and_symlinks_are_made(void **state)
{
	Vmctl__Agent__V1__StatFileResponse *r;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(make_directory(&rpc, "a/b/c", false), RPC_REFUSED);
	assert_int_equal(make_directory(&rpc, "a/b/c", true), 0);
	wait_until(log_has(*state, "MakeDirectory: OK (a/b/c)"));
	assert_int_equal(make_directory(&rpc, "a/b/c", false), 0);
	assert_int_equal(make_directory(&rpc, "etc/hello", false), RPC_REFUSED);
	assert_int_equal(make_directory(&rpc, "/", false), RPC_REFUSED);
	assert_int_equal(make_directory(&rpc, "a/..", false), RPC_REFUSED);
	assert_int_equal(make_symlink(&rpc, "a/link", "/etc/hello"), 0);
	assert_int_equal(make_symlink(&rpc, "a/link", "../etc/hello"), 0);
	assert_int_equal(make_symlink(&rpc, "a/b", "x"), RPC_REFUSED);
	assert_int_equal(count_names(*state, ROOT "/a", ".vmctl"), 0);
	assert_int_equal(stat_path(&rpc, "a/link", false, &r), 0);
	assert_int_equal(r->stat->type, VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_SYMLINK);
	assert_int_equal(r->stat->target.len, strlen("../etc/hello"));
	message_free(r);
	assert_int_equal(stat_path(&rpc, "a/link", true, &r), 0);
	assert_int_equal(r->stat->size, strlen("hello from the guest"));
	message_free(r);
	rpc_close(&rpc);
}

/* As the agent's unit has it. */
static int start_with_umask(void **state)
{
	mode_t before = umask(077);
	int ret = start_with_files(state);

	umask(before);
	return ret;
}

static void the_agents_umask_is_not_that_of_what_it_makes(void **state)
{
	static const char *const made[] = {"d", "d/e", "d/e/f"};
	Vmctl__Agent__V1__StatFileResponse *r;
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(make_directory(&rpc, "d/e/f", true), 0);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		assert_int_equal(stat_path(&rpc, made[i], false, &r), 0);
		assert_int_equal(r->stat->mode, 0755);
		message_free(r);
	}
	rpc_close(&rpc);
}

static void a_path_through_a_file_is_the_callers_mistake(void **state)
{
	Vmctl__Agent__V1__StatFileRequest request =
		VMCTL__AGENT__V1__STAT_FILE_REQUEST__INIT;
	int fd = dial(*state);

	request.path = message_bytes("etc/hello/x");
	send_call(fd, 1, SERVICE, "StatFile", &request.base, 0);
	expect_status(fd, 1, TTRPC_FAILED_PRECONDITION);
	close(fd);
}

/* The names that a listing has, in a set: 1 for each that is among `names`. */
static unsigned int list_directory(struct rpc *rpc, const char *path,
				   const char *const *names, size_t n)
{
	Vmctl__Agent__V1__ListDirectoryRequest request =
		VMCTL__AGENT__V1__LIST_DIRECTORY_REQUEST__INIT;
	struct rpc_stream stream;
	unsigned int total = 0;
	ProtobufCMessage *message;
	struct error err;
	int ret;

	request.path = message_bytes(path);
	assert_int_equal(guest_rpc_open(rpc, &stream, "ListDirectory", &request.base,
					RPC_SERVER_SENDS, patience(), &err),
			 0);
	while ((ret = guest_rpc_next(
			&stream, &vmctl__agent__v1__list_directory_response__descriptor,
			patience(), &message, &err)) == 1) {
		const Vmctl__Agent__V1__ListDirectoryResponse *r =
			(const Vmctl__Agent__V1__ListDirectoryResponse *)message;

		for (size_t i = 0; i < r->n_entries; i++) {
			const ProtobufCBinaryData *name = &r->entries[i]->name;
			bool found = !n;

			for (size_t j = 0; j < n; j++)
				found |= strlen(names[j]) == name->len &&
					 !memcmp(names[j], name->data, name->len);
			assert_true(found);
			total++;
		}
		message_free(message);
	}
	assert_int_equal(ret, 0);
	return total;
}

static void names_are_bytes(void **state)
{
	static const char *const names[] = {"new\nline", "\xff\xfe not UTF-8", " ",
					    "-rf", "\x1b[31m"};
	struct error err = {0};
	struct rpc rpc;
	char path[64];

	rpc_init(&rpc, dial(*state));
	assert_int_equal(make_directory(&rpc, "names", false), 0);
	for (size_t i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "names/%s", names[i]);
		assert_int_equal(write_text(&rpc, path, names[i], &err), 0);
		snprintf(path, sizeof(path), ROOT "/names/%s", names[i]);
		expect_file(*state, path, names[i]);
	}
	assert_int_equal(list_directory(&rpc, "names", names, 5), 5);
	rpc_close(&rpc);
}

static void a_large_directory_is_listed_whole(void **state)
{
	struct rpc rpc;
	char name[300];

	rpc_init(&rpc, dial(*state));
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), ROOT "/many/%0200d", i);
		put_file(*state, name, "");
	}
	assert_int_equal(list_directory(&rpc, "many", NULL, 0), 1000);
	rpc_close(&rpc);
}

/* Neither read, nor written, nor listed, nor made: what is outside stays as it was. */
static void expect_no_way_out(struct fixture *f, struct rpc *rpc, const char *path)
{
	char text[256];
	struct error err = {0};

	if (!read_text(rpc, path, text, sizeof(text), &err))
		assert_string_not_equal(text, "secret");
	write_text(rpc, path, "overwritten", &err);
	make_symlink(rpc, path, "overwritten");
	expect_file(f, OUTSIDE "/secret", "secret");
	assert_int_equal(count_names(f, OUTSIDE, ""), 1);
}

static void no_symlink_and_no_dots_lead_out(void **state)
{
	static const char *const paths[] = {
		"../outside/secret",
		"/../../outside/secret",
		"etc/../../outside/secret",
		"up/outside/secret",
		"absolute/secret",
		"chain",
		"chain1/secret",
		"etc/middle/secret",
		"leaf",
		"absolute/new",
		"up/outside/new",
		OWN_ROOT "/secret",
	};
	struct fixture *f = *state;
	char target[PATH_MAX];
	struct rpc rpc;

	rpc_init(&rpc, dial(f));
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		make_link(f, ROOT "/up", "..");
		path_of(f, OUTSIDE, target);
		make_link(f, ROOT "/absolute", target);
		make_link(f, ROOT "/etc/middle", "../../outside");
		make_link(f, ROOT "/chain1", "chain2");
		make_link(f, ROOT "/chain2", "etc/chain3");
		make_link(f, ROOT "/etc/chain3", target);
		make_link(f, ROOT "/chain", "chain1/secret");
		path_of(f, OUTSIDE "/secret", target);
		make_link(f, ROOT "/leaf", target);
		expect_no_way_out(f, &rpc, paths[i]);
	}
	rpc_close(&rpc);
}

/* Its root is the machine's own, where /proc is. */
static int start_at_slash(void **state)
{
	test_files_root = NULL;
	return start_agent(state);
}

static void magic_links_are_not_followed(void **state)
{
	struct error err = {0};
	char text[256];
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	assert_int_equal(
		read_text(&rpc, "/" OWN_ROOT "/proc/version", text, sizeof(text), &err),
		RPC_REFUSED);
	assert_non_null(strstr(err.text, strerror(ELOOP)));
	assert_int_equal(read_text(&rpc, "/proc/version", text, sizeof(text), &err), 0);
	assert_non_null(strstr(text, "Linux"));
	rpc_close(&rpc);
}

static void an_absolute_symlink_means_the_roots(void **state)
{
	struct error err = {0};
	char text[256];
	struct rpc rpc;

	rpc_init(&rpc, dial(*state));
	make_link(*state, ROOT "/abs", "/etc/hello");
	assert_int_equal(read_text(&rpc, "abs", text, sizeof(text), &err), 0);
	assert_string_equal(text, "hello from the guest");
	/* A write replaces the link, not what it names. */
	assert_int_equal(write_text(&rpc, "abs", "new", &err), 0);
	expect_file(*state, ROOT "/etc/hello", "hello from the guest");
	expect_file(*state, ROOT "/abs", "new");
	rpc_close(&rpc);
}

/* A process of the guest swaps a directory and a symlink without end. */
static pid_t start_swapping(const struct fixture *f)
{
	char dir[PATH_MAX], link[PATH_MAX], target[PATH_MAX];
	pid_t pid;

	path_of(f, ROOT "/swap", dir);
	path_of(f, ROOT "/link", link);
	path_of(f, OUTSIDE, target);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(symlink(target, link), 0);
	fflush(NULL);
	pid = fork();
	while (!pid)
		if (renameat2(AT_FDCWD, dir, AT_FDCWD, link, RENAME_EXCHANGE) < 0)
			_exit(1);
	return pid;
}

static void a_directory_swapped_for_a_symlink_leads_nowhere(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct rpc rpc;
	pid_t swapper;

	rpc_init(&rpc, dial(f));
	swapper = start_swapping(f);
	for (int i = 0; i < 200; i++) {
		write_text(&rpc, "swap/secret", "overwritten", &err);
		write_text(&rpc, "swap/new", "made", &err);
		make_directory(&rpc, "swap/dir/dir", true);
	}
	kill(swapper, SIGKILL);
	waitpid(swapper, NULL, 0);
	expect_file(f, OUTSIDE "/secret", "secret");
	assert_int_equal(count_names(f, OUTSIDE, ""), 1);
	rpc_close(&rpc);
}

static void a_directory_swapped_during_a_transfer_keeps_the_file_inside(void **state)
{
	WriteOpen request = VMCTL__AGENT__V1__WRITE_FILE_OPEN__INIT;
	char dir[PATH_MAX], moved[PATH_MAX], target[PATH_MAX];
	struct fixture *f = *state;
	struct rpc_stream stream;
	struct error err = {0};
	struct rpc rpc;

	put_file(f, ROOT "/dir/there", "");
	path_of(f, ROOT "/dir", dir);
	path_of(f, ROOT "/moved", moved);
	path_of(f, OUTSIDE, target);
	rpc_init(&rpc, dial(f));
	request.path = message_bytes("dir/secret");
	request.size = 3;
	assert_int_equal(begin_write(&rpc, &stream, &request, &err), 0);
	assert_int_equal(rename(dir, moved), 0);
	assert_int_equal(symlink(target, dir), 0);
	send_data(&stream, "new", 3);
	assert_int_equal(end_write(&stream, &err), 0);
	expect_file(f, ROOT "/moved/secret", "new");
	expect_file(f, OUTSIDE "/secret", "secret");
	rpc_close(&rpc);
}

static void what_is_no_path_is_refused(void **state)
{
	static char slashes[PATH_MAX + 10];
	const ProtobufCBinaryData none[] = {
		{0, NULL},
		{9, (uint8_t *)"etc\0hello"},
		{sizeof(slashes), (uint8_t *)slashes},
	};
	Vmctl__Agent__V1__StatFileResponse *r;
	struct error err = {0};
	struct rpc rpc;

	memset(slashes, 'x', sizeof(slashes));
	rpc_init(&rpc, dial(*state));
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(stat_bytes(&rpc, none[i], false, &r), RPC_REFUSED);
	assert_int_equal(write_text(&rpc, "..", "", &err), RPC_REFUSED);
	assert_int_equal(write_text(&rpc, "etc/.", "", &err), RPC_REFUSED);
	assert_int_equal(write_text(&rpc, "/", "", &err), RPC_REFUSED);
	assert_int_equal(write_text(&rpc, "etc", "", &err), RPC_REFUSED);
	assert_int_equal(write_text(&rpc, "etc/hello/x", "", &err), RPC_REFUSED);
	rpc_close(&rpc);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_with_files, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(directories_and_symlinks_are_made),
		cmocka_unit_test_setup_teardown(
			the_agents_umask_is_not_that_of_what_it_makes, start_with_umask,
			stop_agent),
		test(a_path_through_a_file_is_the_callers_mistake),
		test(names_are_bytes),
		test(a_large_directory_is_listed_whole),
		test(no_symlink_and_no_dots_lead_out),
		cmocka_unit_test_setup_teardown(magic_links_are_not_followed,
						start_at_slash, stop_agent),
		test(an_absolute_symlink_means_the_roots),
		test(a_directory_swapped_for_a_symlink_leads_nowhere),
		test(a_directory_swapped_during_a_transfer_keeps_the_file_inside),
		test(what_is_no_path_is_refused),
	};

	return cmocka_run_group_tests_name("agent_path", tests, NULL, NULL);
}
