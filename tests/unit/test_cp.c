// SPDX-License-Identifier: Apache-2.0
/* vmctl cp, with an agent behind a hybrid vsock socket, and with a guest that lies. */
#include "run_cp.h"

#include <pty.h>

static void a_file_goes_both_ways(void **state)
{
	struct output o = run(
		cp_main, ARGS("cp", on_host(*state, "host/here"), in_guest("/etc")));

	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "");
	assert_string_equal(o.err, "");
	expect_file(*state, ROOT "/etc/here", "hello from the host");
	o = run(cp_main,
		ARGS("cp", in_guest("etc/hello"), on_host(*state, "host/there")));
	assert_int_equal(o.code, 0);
	expect_file(*state, "host/there", "hello from the guest");
	assert_int_equal(count_names(*state, "host", "."), 0);
}

static void a_tree_goes_both_ways(void **state)
{
	char path[PATH_MAX], target[8];
	struct output o;

	put_file(*state, "host/tree/a/b", "b");
	path_of(*state, "host/tree/link", path);
	assert_int_equal(symlink("a/b", path), 0);
	o = run(cp_main,
		ARGS("cp", "--json", on_host(*state, "host/tree"), in_guest("/")));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\"files\":1,\"directories\":2,\"symlinks\":1"));
	expect_file(*state, ROOT "/tree/a/b", "b");
	o = run(cp_main, ARGS("cp", in_guest("tree"), on_host(*state, "host/back")));
	assert_int_equal(o.code, 0);
	expect_file(*state, "host/back/a/b", "b");
	path_of(*state, "host/back/link", path);
	assert_true(readlink(path, target, sizeof(target)) == 3);
}

/* Nothing on stdout, and these words on stderr. */
static void check_failed(const struct output *o, int code, const char *words)
{
	assert_int_equal(o->code, code);
	assert_string_equal(o->out, "");
	if (!strstr(o->err, words))
		fail_msg("'%s' is not in: %s", words, o->err);
}

static void a_symlink_that_came_from_a_guest_is_no_destination(void **state)
{
	char path[PATH_MAX];
	struct output o;

	put_file(*state, "host/precious/hello", "precious");
	make_link(*state, ROOT "/data", "precious");
	o = CP(in_guest("data"), on_host(*state, "host/backup"));
	assert_int_equal(o.code, 0);
	o = CP(in_guest("etc/hello"), on_host(*state, "host/backup"));
	assert_int_equal(o.code, STATUS_FAILURE);
	assert_non_null(strstr(o.err, "host/backup is a symlink"));
	expect_file(*state, "host/precious/hello", "precious");
	path_of(*state, "host/backup/", path);
	o = CP(in_guest("etc/hello"), path);
	assert_int_equal(o.code, 0);
	expect_file(*state, "host/precious/hello", "hello from the guest");
}

static void a_dry_run_copies_nothing(void **state)
{
	struct output o =
		run(cp_main, ARGS("cp", "--dry-run", on_host(*state, "host/here"),
				  in_guest("/etc")));

	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "/etc/here"));
	assert_int_equal(count_names(*state, ROOT "/etc", ""), 1);
}

static void a_dry_run_finds_what_is_in_the_way(void **state)
{
	struct output o;

	o = CP("--dry-run", on_host(*state, "host/none"), in_guest("/etc"));
	check_failed(&o, STATUS_FAILURE, "host/none: No such file");
	o = CP("--dry-run", in_guest("/etc/none"), on_host(*state, "host"));
	check_failed(&o, STATUS_REFUSED, "NOT_FOUND");
	o = CP("--dry-run", in_guest("/etc/hello"), on_host(*state, "none/new"));
	check_failed(&o, STATUS_FAILURE, "none: No such file");
	o = CP("--dry-run", "/dev/null", in_guest("/etc"));
	assert_int_equal(o.code, STATUS_FAILURE);
	assert_string_equal(o.out, "");
	assert_non_null(strstr(o.err, "/dev/null is neither"));
	o = CP("--dry-run", in_guest("/etc"), on_host(*state, "host"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "host/etc; nothing was changed"));
	assert_int_equal(count_names(*state, "host", ""), 1);
}

/* The longest of what stands between a line's beginning and its being cleared. */
static size_t longest_row(const char *text)
{
	size_t longest = 0;

	while (*text) {
		size_t len;

		text += strncmp(text, "[K", 2) ? 0 : 2;
		len = strcspn(text, "\r\n\033");

		longest = len > longest ? len : longest;
		text += len + strspn(text + len, "\r\n\033");
	}
	return longest;
}

static void progress_fits_the_terminal(void **state)
{
	struct winsize size = {.ws_row = 24, .ws_col = 20};
	int terminal, end, saved = dup(STDERR_FILENO), code;
	char text[4096];
	ssize_t n;

	assert_int_equal(setenv("TERM", "xterm", 1), 0);
	assert_int_equal(openpty(&terminal, &end, NULL, NULL, &size), 0);
	dup2(end, STDERR_FILENO);
	code = cp_main(3,
		       ARGS("cp", in_guest("etc/hello"), on_host(*state, "host/new")));
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(terminal, text, sizeof(text) - 1);
	close(terminal);
	close(end);
	assert_int_equal(code, 0);
	assert_true(n > 0);
	text[n] = '\0';
	/* The address alone is longer. */
	assert_int_equal(longest_row(text), 19);
}

static void wrong_operands_are_said(void **state)
{
	struct output o = run(cp_main, ARGS("cp", "a", "b"));

	(void)state;
	assert_int_equal(o.code, STATUS_USAGE);
	o = run(cp_main, ARGS("cp", "vm1:a", "vm2:b"));
	assert_int_equal(o.code, STATUS_USAGE);
	o = run(cp_main, ARGS("cp", "vm1:a", "b", "c"));
	assert_int_equal(o.code, STATUS_USAGE);
	o = run(cp_main, ARGS("cp", "./vm1:a", "./b:c"));
	assert_int_equal(o.code, STATUS_USAGE);
}

static void a_partial_file_is_gone_on_with(void **state)
{
	char path[PATH_MAX];
	struct output o;

	put_file(*state, "host/.new.vmctl-partial", "hello");
	path_of(*state, "host/.new.vmctl-partial", path);
	assert_int_equal(chmod(path, 0600), 0);
	o = run(cp_main, ARGS("cp", "--resume", "--json", in_guest("etc/hello"),
			      on_host(*state, "host/new")));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\"resumed_bytes\":5"));
	expect_file(*state, "host/new", "hello from the guest");
	put_file(*state, ROOT "/etc/.new.vmctl-partial", "hello from");
	path_of(*state, ROOT "/etc/.new.vmctl-partial", path);
	assert_int_equal(chmod(path, 0600), 0);
	o = run(cp_main, ARGS("cp", "--resume", "--json", on_host(*state, "host/here"),
			      in_guest("etc/new")));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\"resumed_bytes\":10"));
	expect_file(*state, ROOT "/etc/new", "hello from the host");
	assert_int_equal(count_names(*state, "host", ".new"), 0);
}

/* A guest that lies: every path is a directory, which has what the tests say. */

static const char *lies[2];
static Vmctl__Agent__V1__FileType lie_types[2];

static void lying_stat(struct agent_call *call, const ProtobufCMessage *request)
{
	Vmctl__Agent__V1__StatFileResponse response =
		VMCTL__AGENT__V1__STAT_FILE_RESPONSE__INIT;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;

	(void)request;
	stat.type = VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_DIRECTORY;
	stat.mode = 06777;
	response.stat = &stat;
	agent_call_reply(call, &response.base);
}

static void lying_list(struct agent_call *call, const ProtobufCMessage *request)
{
	Vmctl__Agent__V1__ListDirectoryResponse response =
		VMCTL__AGENT__V1__LIST_DIRECTORY_RESPONSE__INIT;
	Vmctl__Agent__V1__DirectoryEntry entry[2], *list[2] = {&entry[0], &entry[1]};
	Vmctl__Agent__V1__FileStat stat[2];

	(void)request;
	for (size_t i = 0; i < 2 && lies[i]; i++) {
		vmctl__agent__v1__directory_entry__init(&entry[i]);
		vmctl__agent__v1__file_stat__init(&stat[i]);
		entry[i].name = message_bytes(lies[i]);
		entry[i].stat = &stat[i];
		stat[i].type = lie_types[i];
		stat[i].mode = 0777;
		stat[i].target = message_bytes("../../" OUTSIDE);
		response.n_entries++;
	}
	response.entries = list;
	agent_call_send(call, &response.base);
	agent_call_finish(call);
}

static void lying_read(struct agent_call *call, const ProtobufCMessage *request)
{
	ReadResponse response = VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;

	(void)request;
	stat.size = 1;
	response.stat = &stat;
	agent_call_send(call, &response.base);
	response.stat = NULL;
	response.data = message_bytes("more than one");
	agent_call_send(call, &response.base);
	agent_call_finish(call);
}

/* Its list of names has no end, of names of this length; 0: of no names at all. */
static size_t name_len;

static void list_on(struct agent_call *call)
{
	Vmctl__Agent__V1__ListDirectoryResponse response =
		VMCTL__AGENT__V1__LIST_DIRECTORY_RESPONSE__INIT;
	Vmctl__Agent__V1__DirectoryEntry
		entry = VMCTL__AGENT__V1__DIRECTORY_ENTRY__INIT,
		*entries = &entry;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;
	static uint8_t name[1 << 20];

	entry.name.data = name;
	entry.name.len = name_len;
	entry.stat = &stat;
	response.entries = &entries;
	response.n_entries = name_len ? 1 : 0;
	while (agent_call_has_room(call))
		agent_call_send(call, &response.base);
}

static void endless_list(struct agent_call *call, const ProtobufCMessage *request)
{
	(void)request;
	list_on(call);
}

static const struct agent_method endless_methods[] = {
	{.name = "StatFile",
	 .request = &vmctl__agent__v1__stat_file_request__descriptor,
	 .response = &vmctl__agent__v1__stat_file_response__descriptor,
	 .handle = lying_stat},
	{.name = "ListDirectory",
	 .kind = AGENT_SERVER_STREAM,
	 .request = &vmctl__agent__v1__list_directory_request__descriptor,
	 .response = &vmctl__agent__v1__list_directory_response__descriptor,
	 .handle = endless_list,
	 .room = list_on},
};

static const struct agent_service endless_service = {
	.name = SERVICE, .methods = endless_methods, .n_methods = 2};
static const struct agent_service *const endless_services[] = {&endless_service, NULL};

static int start_endless(void **state)
{
	name_len = 1 << 20;
	test_services = endless_services;
	return start_with(state);
}

static int start_empty(void **state)
{
	name_len = 0;
	test_services = endless_services;
	return start_with(state);
}

/* A file of one byte, which is followed by messages without any, for ever. */

static void regular_stat(struct agent_call *call, const ProtobufCMessage *request)
{
	Vmctl__Agent__V1__StatFileResponse response =
		VMCTL__AGENT__V1__STAT_FILE_RESPONSE__INIT;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;

	(void)request;
	stat.type = VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_REGULAR;
	response.stat = &stat;
	agent_call_reply(call, &response.base);
}

static void read_nothing(struct agent_call *call)
{
	ReadResponse response = VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;

	while (agent_call_has_room(call))
		agent_call_send(call, &response.base);
}

static void read_little(struct agent_call *call, const ProtobufCMessage *request)
{
	ReadResponse response = VMCTL__AGENT__V1__READ_FILE_RESPONSE__INIT;
	Vmctl__Agent__V1__FileStat stat = VMCTL__AGENT__V1__FILE_STAT__INIT;

	(void)request;
	stat.size = 2;
	response.stat = &stat;
	agent_call_send(call, &response.base);
	response.stat = NULL;
	response.data = message_bytes("a");
	agent_call_send(call, &response.base);
	read_nothing(call);
}

static const struct agent_method slow_methods[] = {
	{.name = "StatFile",
	 .request = &vmctl__agent__v1__stat_file_request__descriptor,
	 .response = &vmctl__agent__v1__stat_file_response__descriptor,
	 .handle = regular_stat},
	{.name = "ReadFile",
	 .kind = AGENT_SERVER_STREAM,
	 .request = &vmctl__agent__v1__read_file_request__descriptor,
	 .response = &vmctl__agent__v1__read_file_response__descriptor,
	 .handle = read_little,
	 .room = read_nothing},
};

static const struct agent_service slow_service = {
	.name = SERVICE, .methods = slow_methods, .n_methods = 2};
static const struct agent_service *const slow_services[] = {&slow_service, NULL};

static int start_slow(void **state)
{
	test_services = slow_services;
	return start_with(state);
}

static const struct agent_method lying_methods[] = {
	{.name = "StatFile",
	 .request = &vmctl__agent__v1__stat_file_request__descriptor,
	 .response = &vmctl__agent__v1__stat_file_response__descriptor,
	 .handle = lying_stat},
	{.name = "ListDirectory",
	 .kind = AGENT_SERVER_STREAM,
	 .request = &vmctl__agent__v1__list_directory_request__descriptor,
	 .response = &vmctl__agent__v1__list_directory_response__descriptor,
	 .handle = lying_list},
	{.name = "ReadFile",
	 .kind = AGENT_SERVER_STREAM,
	 .request = &vmctl__agent__v1__read_file_request__descriptor,
	 .response = &vmctl__agent__v1__read_file_response__descriptor,
	 .handle = lying_read},
};

static const struct agent_service lying_service = {
	.name = SERVICE, .methods = lying_methods, .n_methods = 3};
static const struct agent_service *const lying_services[] = {&lying_service, NULL};

static int lie(void **state, const char *first, Vmctl__Agent__V1__FileType first_type,
	       const char *second, Vmctl__Agent__V1__FileType second_type)
{
	int ret;

	lies[0] = first;
	lies[1] = second;
	lie_types[0] = first_type;
	lie_types[1] = second_type;
	test_services = lying_services;
	ret = start_with(state);
	put_file(*state, OUTSIDE "/secret", "secret");
	return ret;
}

#define DIRECTORY VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_DIRECTORY
#define REGULAR	  VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_REGULAR
#define SYMLINK	  VMCTL__AGENT__V1__FILE_TYPE__FILE_TYPE_SYMLINK

static int lie_dots(void **state)
{
	return lie(state, "..", DIRECTORY, NULL, DIRECTORY);
}

static int lie_slash(void **state)
{
	return lie(state, "../../" OUTSIDE "/new", REGULAR, NULL, REGULAR);
}

static int lie_link(void **state)
{
	return lie(state, "x", SYMLINK, "x", DIRECTORY);
}

static int lie_size(void **state)
{
	return lie(state, "x", REGULAR, NULL, REGULAR);
}

static int lie_depth(void **state)
{
	return lie(state, "d", DIRECTORY, NULL, DIRECTORY);
}

static void the_host_is_left_alone(void **state)
{
	struct output o = run(
		cp_main, ARGS("cp", in_guest("tree"), on_host(*state, "host/tree")));

	assert_int_not_equal(o.code, 0);
	assert_int_equal(count_names(*state, OUTSIDE, ""), 1);
	assert_int_equal(count_names(*state, "host", ""), 2);
	assert_true(count_names(*state, "host/tree", "") <= 1);
	assert_int_equal(count_names(*state, "host/tree", "."), 0);
}

static void a_list_without_end_is_left(void **state)
{
	struct output o = run(
		cp_main, ARGS("cp", in_guest("tree"), on_host(*state, "host/tree")));

	assert_int_equal(o.code, STATUS_FAILURE);
	assert_non_null(strstr(o.err, "more names than fit"));
	assert_int_equal(count_names(*state, "host/tree", ""), 0);
}

static void a_list_of_nothing_is_left(void **state)
{
	struct output o = run(
		cp_main, ARGS("cp", in_guest("tree"), on_host(*state, "host/tree")));

	assert_int_equal(o.code, STATUS_NO_AGENT);
	assert_non_null(strstr(o.err, "nothing in it"));
}

static void messages_without_data_are_no_progress(void **state)
{
	struct output o =
		run(cp_main, ARGS("cp", in_guest("file"), on_host(*state, "host/new")));

	assert_int_equal(o.code, STATUS_NO_AGENT);
	assert_non_null(strstr(o.err, "nothing in it"));
	assert_int_equal(count_names(*state, "host", ""), 1);
}

#define test(name)	   cmocka_unit_test_setup_teardown(name, start, stop_front)
#define test_of(name, how) cmocka_unit_test_setup_teardown(name, how, stop_front)
#define lying(how)                                                            \
	{                                                                     \
		"the_host_is_left_alone: " #how, the_host_is_left_alone, how, \
			stop_front, NULL                                      \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_file_goes_both_ways),
		test(a_tree_goes_both_ways),
		test(a_symlink_that_came_from_a_guest_is_no_destination),
		test(a_dry_run_copies_nothing),
		test(a_dry_run_finds_what_is_in_the_way),
		test(progress_fits_the_terminal),
		test(wrong_operands_are_said),
		test(a_partial_file_is_gone_on_with),
		lying(lie_dots),
		lying(lie_slash),
		lying(lie_link),
		lying(lie_size),
		lying(lie_depth),
		test_of(a_list_without_end_is_left, start_endless),
		test_of(a_list_of_nothing_is_left, start_empty),
		test_of(messages_without_data_are_no_progress, start_slow),
	};

	return cmocka_run_group_tests_name("cp", tests, NULL, NULL);
}
