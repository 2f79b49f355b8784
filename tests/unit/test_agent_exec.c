// SPDX-License-Identifier: Apache-2.0
/* Commands that the agent runs: what they get, what comes of them, and their end. */
#include "exec_client.h"

#include <grp.h>
#include <pwd.h>
#include <sys/syscall.h>

static void output_errors_and_code_come_back(void **state)
{
	struct client c;

	client_shell(&c, *state, "echo out; echo err >&2; exit 3");
	expect_exit(&c, 3, 0);
	assert_string_equal(c.out, "out\n");
	assert_string_equal(c.errors, "err\n");
	assert_true(c.pid > 0);
	wait_until(log_has(*state, "Exec: OK (code 3)"));
}

static void a_signal_is_told_from_a_code(void **state)
{
	struct client c;

	client_shell(&c, *state, "kill -USR1 $$");
	expect_exit(&c, 0, SIGUSR1);
	wait_until(log_has(*state, "Exec: OK (killed by signal 10)"));
	assert_false(c.timed_out);
}

static void input_comes_whole_and_ends(void **state)
{
	static char bytes[100000];
	struct client c;

	memset(bytes, 'x', sizeof(bytes));
	client_shell(&c, *state, "sleep 0.2; wc -c");
	for (int i = 0; i < 20; i++)
		client_input(&c, bytes, sizeof(bytes));
	client_end_input(&c);
	expect_exit(&c, 0, 0);
	assert_int_equal(atoi(c.out), 20 * sizeof(bytes));
}

/* The last of the input, and its end, in one frame. */
static void input_with_end(struct client *c, const void *data, size_t len)
{
	struct ttrpc_header h = {.stream_id = c->stream.id,
				 .type = TTRPC_DATA,
				 .flags = TTRPC_REMOTE_CLOSED};
	ExecRequest request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	uint8_t *packed = malloc(len + 64);

	assert_non_null(packed);
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_INPUT;
	request.input.data = (uint8_t *)data;
	request.input.len = len;
	h.length = vmctl__agent__v1__exec_request__pack(&request, packed);
	send_frame(c->rpc.fd, h, packed);
	c->stream.sending = false;
	free(packed);
}

/* A command that waits until `go` is there, in the root of the tests. */
static void shell_that_waits(struct client *c, const struct fixture *f, bool terminal,
			     const char *before, const char *after)
{
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	char script[PATH_MAX + 256];

	snprintf(script, sizeof(script),
		 "%s echo ready; until [ -e %s/go ]; do sleep 0.02; done; %s", before,
		 f->dir, after);
	fill_shell(&start, words, script);
	if (terminal)
		start.terminal = &size;
	client_open(c, f);
	client_start_with(c, &start);
	client_until(c, "ready");
}

static void input_that_comes_with_its_end_is_whole(void **state)
{
	const size_t len = 500000; /* more than a pipe takes */
	char *bytes = calloc(1, len);
	struct fixture *f = *state;
	struct client c;

	assert_non_null(bytes);
	shell_that_waits(&c, f, false, "", "wc -c");
	input_with_end(&c, bytes, len);
	put_file(f, "go", "");
	expect_exit(&c, 0, 0);
	assert_int_equal(atoi(strchr(c.out, '\n')), len);
	free(bytes);
}

static void a_terminals_input_that_comes_with_its_end_is_whole(void **state)
{
	const size_t len = 200000; /* more than a terminal takes */
	struct fixture *f = *state;
	char *bytes = malloc(len), script[64];
	struct client c;

	assert_non_null(bytes);
	memset(bytes, 'x', len);
	snprintf(script, sizeof(script), "head -c %zu | tr -dc x | wc -c", len);
	shell_that_waits(&c, f, true, "stty raw -echo;", script);
	input_with_end(&c, bytes, len);
	put_file(f, "go", "");
	expect_exit(&c, 0, 0);
	assert_int_equal(atoi(strchr(c.out, '\n')), len);
	free(bytes);
}

static void input_for_one_that_does_not_read_is_dropped(void **state)
{
	static char bytes[100000];
	struct client c;

	client_shell(&c, *state, "exec 0<&-; echo closed; read -r line; sleep 0.1");
	client_until(&c, "closed");
	for (int i = 0; i < 20; i++)
		client_input(&c, bytes, sizeof(bytes));
	expect_exit(&c, 0, 0);
}

/* Ignored signals are inherited, those of the C library's own too. */
static int start_deaf(void **state)
{
	static const struct {
		void (*handler)(int);
		unsigned long rest[7];
	} ignore = {.handler = SIG_IGN};

	syscall(SYS_rt_sigaction, SIGQUIT, &ignore, NULL, 8);
	syscall(SYS_rt_sigaction, 33, &ignore, NULL, 8);
	return start_agent(state);
}

static void nothing_of_the_agents_is_inherited(void **state)
{
	struct client c;

	client_shell(
		&c, *state,
		"env | cut -d= -f1 | sort | tr '\\n' ' '; ls /proc/self/fd | wc -l; "
		"grep -E 'Sig(Blk|Ign)' /proc/self/status; umask");
	expect_exit(&c, 0, 0);
	assert_non_null(strstr(c.out, "HOME"));
	assert_null(strstr(c.out, "NOTIFY_SOCKET"));
	assert_null(strstr(c.out, "WATCHDOG"));
	assert_null(strstr(c.out, "LEAKED"));
	/* 0, 1, 2, and that of ls itself. */
	assert_non_null(strstr(c.out, "4\n"));
	assert_non_null(strstr(c.out, "SigBlk:\t0000000000000000"));
	assert_non_null(strstr(c.out, "SigIgn:\t0000000000000000"));
	assert_non_null(strstr(c.out, "0022"));
}

static void environment_and_directory_are_as_asked_for(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	Variable one = VMCTL__AGENT__V1__ENVIRONMENT_VARIABLE__INIT,
		 path = VMCTL__AGENT__V1__ENVIRONMENT_VARIABLE__INIT,
		 *variables[] = {&one, &path};
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	one.name = message_bytes("ONE");
	one.value = message_bytes("a=b c\xff");
	path.name = message_bytes("PATH");
	path.value = message_bytes("/usr/bin:/bin");
	fill_shell(&start, words, "echo \"$ONE $PATH\"; pwd");
	start.environment = variables;
	start.n_environment = 2;
	start.directory = message_bytes("/usr");
	client_open(&c, *state);
	client_start_with(&c, &start);
	expect_exit(&c, 0, 0);
	assert_string_equal(c.out, "a=b c\xff /usr/bin:/bin\n/usr\n");
}

/* A start with one thing wrong in it. */
static void refuse_start(void **state, const ExecStart *start, const char *words)
{
	struct client c;

	client_open(&c, *state);
	client_start_with(&c, start);
	expect_refusal(&c, words);
}

static void what_cannot_be_run_is_said(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX],
		none[] = {message_bytes("no-such-command")},
		nul[] = {{3, (uint8_t *)"a\0b"}}, empty[] = {message_bytes("")},
		dir[] = {message_bytes("/etc")};

	start.arguments = none;
	start.n_arguments = 1;
	refuse_start(state, &start, "NOT_FOUND: command no-such-command: No such file");
	start.arguments = dir;
	refuse_start(state, &start, "PERMISSION_DENIED: command /etc");
	start.arguments = nul;
	refuse_start(state, &start, "INVALID_ARGUMENT: argument 0 has a NUL");
	start.arguments = empty;
	refuse_start(state, &start, "INVALID_ARGUMENT: the command's name is empty");
	fill_shell(&start, words, "echo no");
	start.directory = message_bytes("/no/such");
	refuse_start(state, &start, "NOT_FOUND: directory /no/such");
	start.directory = (ProtobufCBinaryData){0, NULL};
	start.user = (char *)"no-such-user";
	refuse_start(state, &start, "NOT_FOUND: the guest has no user 'no-such-user'");
	start.user = (char *)"4294967295";
	refuse_start(state, &start, "has no user");
	start.user = (char *)"12345:no-such-group";
	refuse_start(state, &start, "no group 'no-such-group'");
}

static void wrong_names_of_variables_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {{"", 0}, {"A=B", 3}, {"A\0B", 3}};
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	Variable one = VMCTL__AGENT__V1__ENVIRONMENT_VARIABLE__INIT,
		 *variables[] = {&one};
	ProtobufCBinaryData words[WORDS_MAX];

	fill_shell(&start, words, "echo no");
	start.environment = variables;
	start.n_environment = 1;
	for (size_t i = 0; i < 3; i++) {
		one.name.data = (uint8_t *)wrong[i].bytes;
		one.name.len = wrong[i].len;
		refuse_start(state, &start,
			     "INVALID_ARGUMENT: the name of environment");
	}
	one.name = message_bytes("A");
	one.value = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
	refuse_start(state, &start, "the value of environment variable 0 has a NUL");
}

static void too_many_or_too_long_arguments_are_refused(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	static ProtobufCBinaryData many[300000];
	size_t len = 200000;
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, 'x', len);
	many[0] = message_bytes("true");
	many[1] = (ProtobufCBinaryData){len, (uint8_t *)text};
	start.arguments = many;
	start.n_arguments = 2;
	refuse_start(state, &start, "more than the guest's kernel takes");
	for (size_t i = 1; i < 300000; i++)
		many[i] = (ProtobufCBinaryData){1, (uint8_t *)"x"};
	start.n_arguments = 300000;
	refuse_start(state, &start, "too many fields");
	for (size_t i = 1; i < 20; i++)
		many[i] = (ProtobufCBinaryData){len, (uint8_t *)text};
	start.n_arguments = 20;
	refuse_start(state, &start, "RESOURCE_EXHAUSTED");
	free(text);
}

static void a_user_has_all_of_its_groups(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	if (geteuid() || !getpwnam("nobody"))
		skip();
	put_file(*state, "etc/passwd",
		 "root:x:0:0::/root:/bin/sh\n"
		 "nobody:x:65534:65534::/:/bin/sh\n");
	put_file(*state, "etc/group", "staff:x:50:nobody\n");
	fill_shell(&start, words,
		   "id -u; id -g; id -G; echo $USER $HOME; "
		   "grep -c NoNewPrivs /proc/self/status");
	start.user = (char *)"nobody:staff";
	client_open(&c, *state);
	client_start_with(&c, &start);
	expect_exit(&c, 0, 0);
	assert_non_null(strstr(c.out, "65534\n50\n50"));
	assert_non_null(strstr(c.out, "nobody /\n"));
	start.user = (char *)"12345:54321";
	client_open(&c, *state);
	client_start_with(&c, &start);
	expect_exit(&c, 0, 0);
	assert_non_null(strstr(c.out, "12345\n54321\n54321\n"));
}

static void its_time_is_up_and_it_ends_on_sigterm(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	fill_shell(&start, words,
		   "trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done");
	start.timeout_nano = 300000000;
	client_open(&c, *state);
	client_start_with(&c, &start);
	expect_exit(&c, 7, 0);
	assert_true(c.timed_out);
	assert_string_equal(c.out, "bye\n");
}

static void one_that_ignores_sigterm_is_killed_with_its_group(void **state)
{
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	fill_shell(&start, words,
		   "trap '' TERM; sh -c 'echo $$; while :; do sleep 1; done' & wait");
	start.timeout_nano = 200000000;
	start.grace_nano = 200000000;
	client_open(&c, *state);
	client_start_with(&c, &start);
	expect_exit(&c, 0, SIGKILL);
	assert_true(c.timed_out);
	assert_true(atoi(c.out) > 0);
	wait_until(is_gone(atoi(c.out)));
}

static void what_ignores_sigterm_dies_with_its_leader(void **state)
{
	struct client c;

	client_shell(
		&c, *state,
		"sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait");
	client_until(&c, "\n");
	rpc_close(&c.rpc);
	wait_until(is_gone(c.pid));
	wait_until(is_gone(atoi(c.out)));
}

static void who_goes_has_the_command_killed(void **state)
{
	struct client c;

	client_shell(&c, *state, "echo here; sleep 1000");
	client_until(&c, "here");
	rpc_close(&c.rpc);
	wait_until(is_gone(c.pid));
	wait_until(count_fds(*state) == IDLE_FDS);
	client_shell(&c, *state, "echo here; sleep 1000");
	client_until(&c, "here");
	rpc_cancel(&c.stream);
	wait_until(is_gone(c.pid));
	wait_until(log_has(*state, "whose caller has gone: killed by signal 15"));
	rpc_close(&c.rpc);
}

static void who_ended_its_input_and_goes_has_it_killed_too(void **state)
{
	struct client c;

	client_shell(&c, *state, "echo here; sleep 1000");
	client_end_input(&c);
	client_until(&c, "here");
	rpc_close(&c.rpc);
	wait_until(is_gone(c.pid));
	wait_until(count_fds(*state) == IDLE_FDS);
}

static void a_signal_can_be_sent(void **state)
{
	ExecRequest request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	struct client c;

	client_shell(&c, *state,
		     "trap 'echo got; exit 4' HUP; echo ready; "
		     "while :; do sleep 0.05; done");
	client_until(&c, "ready");
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_SIGNAL;
	request.signal = SIGHUP;
	client_send(&c, &request);
	expect_exit(&c, 4, 0);
	client_shell(&c, *state, "echo here; sleep 1000");
	client_until(&c, "here");
	request.signal = 1000;
	client_send(&c, &request);
	expect_refusal(&c, "no such signal");
	wait_until(is_gone(c.pid));
}

static void what_is_left_behind_holds_nothing_up(void **state)
{
	struct client c;
	pid_t left;

	client_shell(&c, *state, "sleep 1000 & echo $!");
	expect_exit(&c, 0, 0);
	left = atoi(c.out);
	assert_int_equal(kill(left, SIGKILL), 0);
}

static void a_gibibyte_comes_at_the_clients_pace(void **state)
{
	const uint64_t size = 1ull << 30;
	struct client c;

	client_shell(&c, *state, "head -c 1073741824 /dev/zero; echo done >&2");
	expect_exit(&c, 0, 0);
	assert_int_equal(c.out_bytes, size);
	assert_string_equal(c.errors, "done\n");
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
}

static void who_never_reads_holds_the_command_back(void **state)
{
	struct client c, other;

	client_shell(&c, *state, "yes");
	/* The command sleeps in write(2): so its time stands still. */
	for (uint32_t i = 0; i < 50; i++) {
		client_shell(&other, *state, "echo hello");
		expect_exit(&other, 0, 0);
	}
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(status_kib(*state, "VmHWM:"), 1, 16 << 10);
#endif
	rpc_close(&c.rpc);
	wait_until(count_fds(*state) == IDLE_FDS);
}

static void a_terminal_has_a_size_and_echoes(void **state)
{
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	ExecRequest resize = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	size.rows = 33;
	size.columns = 99;
	start.terminal = &size;
	fill_shell(&start, words,
		   "trap 'stty size' WINCH; tty; stty size; "
		   "until [ \"$line\" = stop ]; do read -r line || :; done; exit 5");
	client_open(&c, *state);
	client_start_with(&c, &start);
	client_until(&c, "33 99");
	assert_non_null(strstr(c.out, "/dev/pts/"));
	size.rows = 44;
	resize.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_RESIZE;
	resize.resize = &size;
	client_send(&c, &resize);
	client_input(&c, "\n", 1);
	client_until(&c, "44 99");
	/* More than the kernel has numbers for is not none. */
	size.rows = 65536;
	client_send(&c, &resize);
	client_input(&c, "\n", 1);
	client_until(&c, "65535 99");
	client_input(&c, "stop\n", 5);
	expect_exit(&c, 5, 0);
	assert_non_null(strstr(c.out, "stop\r\n"));
}

static void a_terminals_output_comes_whole_and_ctrl_c_ends(void **state)
{
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	start.terminal = &size;
	fill_shell(&start, words, "seq 1 5000");
	client_open(&c, *state);
	client_start_with(&c, &start);
	expect_exit(&c, 0, 0);
	assert_non_null(strstr(c.out, "\n5000\r\n"));
	fill_shell(&start, words, "echo ready; exec sleep 1000");
	client_open(&c, *state);
	client_start_with(&c, &start);
	client_until(&c, "ready");
	client_input(&c, "\x03", 1);
	expect_exit(&c, 0, SIGINT);
	/* The end of the input is the end of the terminal's input. */
	fill_shell(&start, words, "cat; echo over");
	client_open(&c, *state);
	client_start_with(&c, &start);
	client_end_input(&c);
	expect_exit(&c, 0, 0);
	assert_non_null(strstr(c.out, "over"));
}

/* What is left behind has the terminal, and neither ends nor holds its tongue. */
static void what_is_left_behind_on_a_terminal_holds_nothing_up(void **state)
{
	static const char *const scripts[] = {
		"trap '' HUP; sleep 1000 & echo $!; seq 1 5000; echo over",
		"trap '' HUP; yes & echo $!; exit 0",
	};
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	start.terminal = &size;
	for (int i = 0; i < 2; i++) {
		fill_shell(&start, words, scripts[i]);
		client_open(&c, *state);
		client_start_with(&c, &start);
		expect_exit(&c, 0, 0);
		/* The second one is told of the terminal's end by its next line. */
		if (i)
			continue;
		assert_non_null(strstr(c.out, "\n5000\r\nover\r\n"));
		assert_int_equal(kill(atoi(c.out), SIGKILL), 0);
	}
}

static void messages_out_of_order_end_the_call(void **state)
{
	Vmctl__Agent__V1__TerminalSize size = VMCTL__AGENT__V1__TERMINAL_SIZE__INIT;
	ExecRequest request = VMCTL__AGENT__V1__EXEC_REQUEST__INIT;
	ExecStart start = VMCTL__AGENT__V1__EXEC_START__INIT;
	ProtobufCBinaryData words[WORDS_MAX];
	struct client c;

	client_open(&c, *state);
	client_input(&c, "x", 1);
	expect_refusal(&c, "the first message must say what to start");
	client_open(&c, *state);
	client_end_input(&c);
	expect_refusal(&c, "before it said what to start");
	client_shell(&c, *state, "sleep 1000");
	fill_shell(&start, words, "true");
	client_start_with(&c, &start);
	expect_refusal(&c, "starts another command");
	client_shell(&c, *state, "sleep 1000");
	request.message_case = VMCTL__AGENT__V1__EXEC_REQUEST__MESSAGE_RESIZE;
	request.resize = &size;
	client_send(&c, &request);
	expect_refusal(&c, "has no terminal");
	wait_until(count_fds(*state) == IDLE_FDS);
}

static void too_many_commands_are_refused(void **state)
{
	static struct client c[65];
	const int n = 64;

	for (int i = 0; i < n; i++) {
		client_shell(&c[i], *state, "echo here; exec sleep 1000");
		client_until(&c[i], "here");
	}
	client_shell(&c[n], *state, "echo here");
	expect_refusal(&c[n], "64 commands run already");
	for (int i = 0; i < n; i++)
		rpc_close(&c[i].rpc);
	for (int i = 0; i < n; i++)
		wait_until(is_gone(c[i].pid));
}

static void an_agent_that_ends_takes_its_commands_along(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_shell(&c, f, "trap '' TERM; echo here; while :; do sleep 1; done");
	client_until(&c, "here");
	kill(f->pid, SIGTERM);
	client_finish(&c);
	assert_true(c.ret < 0);
	wait_until(is_gone(c.pid));
}

/* The other end of stop_agent(): this one was killed. */
static int bury_agent(void **state)
{
	struct fixture *f = *state;

	wait_until(waitpid(f->pid, NULL, WNOHANG) == f->pid);
	remove_tree(f->dir);
	free(f);
	return 0;
}

static void an_agent_that_is_killed_takes_its_commands_along(void **state)
{
	struct fixture *f = *state;
	struct client c;

	client_shell(&c, f, "echo here; while :; do sleep 1; done");
	client_until(&c, "here");
	kill(f->pid, SIGKILL);
	client_finish(&c);
	assert_int_equal(c.ret, -ECONNRESET);
	wait_until(is_gone(c.pid));
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(output_errors_and_code_come_back),
		test(a_signal_is_told_from_a_code),
		test(input_comes_whole_and_ends),
		test(input_that_comes_with_its_end_is_whole),
		test(a_terminals_input_that_comes_with_its_end_is_whole),
		test(input_for_one_that_does_not_read_is_dropped),
		cmocka_unit_test_setup_teardown(nothing_of_the_agents_is_inherited,
						start_deaf, stop_agent),
		test(environment_and_directory_are_as_asked_for),
		test(what_cannot_be_run_is_said),
		test(wrong_names_of_variables_are_refused),
		test(too_many_or_too_long_arguments_are_refused),
		test(a_user_has_all_of_its_groups),
		test(its_time_is_up_and_it_ends_on_sigterm),
		test(one_that_ignores_sigterm_is_killed_with_its_group),
		test(what_ignores_sigterm_dies_with_its_leader),
		test(who_goes_has_the_command_killed),
		test(who_ended_its_input_and_goes_has_it_killed_too),
		test(a_signal_can_be_sent),
		test(what_is_left_behind_holds_nothing_up),
		test(a_gibibyte_comes_at_the_clients_pace),
		test(who_never_reads_holds_the_command_back),
		test(a_terminal_has_a_size_and_echoes),
		test(a_terminals_output_comes_whole_and_ctrl_c_ends),
		test(what_is_left_behind_on_a_terminal_holds_nothing_up),
		test(messages_out_of_order_end_the_call),
		test(too_many_commands_are_refused),
		test(an_agent_that_ends_takes_its_commands_along),
		cmocka_unit_test_setup_teardown(
			an_agent_that_is_killed_takes_its_commands_along, start_agent,
			bury_agent),
	};

	/* What the agent has in its environment, and its commands must not. */
	setenv("WATCHDOG_PID", "1", 1);
	setenv("LEAKED", "yes", 1);
	return cmocka_run_group_tests_name("agent_exec", tests, NULL, NULL);
}
