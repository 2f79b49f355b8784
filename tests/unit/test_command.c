// SPDX-License-Identifier: Apache-2.0
/* vmctl exec and vmctl shell, on a real agent. */
#include "hybrid_front.h"
#include "run_verb.h"

#include <jansson.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>

#include "../../host-cli/verbs.h"

#define EXEC(...)  run(exec_main, ARGS("exec", __VA_ARGS__))
#define SH(script) EXEC("vm1", "--", "sh", "-c", script)

static void the_commands_output_and_code_are_passed_on(void **state)
{
	struct output o = SH("echo out; echo err >&2; exit 3");

	(void)state;
	assert_int_equal(o.code, 3);
	assert_string_equal(o.out, "out\n");
	assert_string_equal(o.err, "err\n");
	o = SH("exit 0");
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	o = SH("kill -TERM $$");
	assert_int_equal(o.code, 128 + SIGTERM);
	o = EXEC("vm1", "--", "echo", "--", "-n");
	assert_string_equal(o.out, "-- -n\n");
}

static void options_say_what_it_gets(void **state)
{
	struct output o = EXEC("vm1", "--env", "A=b c", "--env", "D=", "--dir", "/usr",
			       "--", "sh", "-c", "echo \"$A,${D-unset}\"; pwd");

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "b c,\n/usr\n");
	o = EXEC("vm1", "--env", "novalue", "--", "true");
	assert_int_equal(o.code, 125);
	o = EXEC("vm1");
	assert_int_equal(o.code, 125);
}

static struct output exec_with(const char *text, char **argv)
{
	return run_with(text, strlen(text), exec_main, argv);
}

static void standard_input_is_passed_with_its_end(void **state)
{
	struct output o =
		exec_with("some\nwords\n", ARGS("exec", "vm1", "--", "sort", "-r"));

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "words\nsome\n");
	/* On a terminal of the guest, which ours is not. */
	o = exec_with("",
		      ARGS("exec", "vm1", "--tty", "--", "sh", "-c", "tty; stty size"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "/dev/pts/"));
	assert_non_null(strstr(o.out, "24 80"));
}

static void own_failures_have_a_code_of_their_own(void **state)
{
	struct output o = EXEC("vm1", "--", "no-such-command");

	(void)state;
	check_failure(&o, 125, "command no-such-command: No such file");
	o = EXEC("vm1", "--user", "nobody-of-that-name", "--", "true");
	check_failure(&o, 125, "no user 'nobody-of-that-name'");
	o = EXEC("vm1", "--dir", "/no/such", "--", "true");
	check_failure(&o, 125, "directory /no/such");
	o = EXEC("vm2", "--", "true");
	assert_int_equal(o.code, 125);
	o = EXEC("vm1", "--timeout", "2", "--", "sleep", "1000");
	check_failure(&o, 124, "ended after its --timeout of 2 s");
}

static void several_vms_have_a_command_each(void **state)
{
	struct output o = run(verbs_run, ARGS("vmctl", "exec", "--vm", "vm1", "--",
					      "sh", "-c", "echo hi; exit 4"));

	(void)state;
	assert_int_equal(o.code, 4);
	assert_string_equal(o.out, "vm1: hi\n");
}

/* And another VM that leads to the same agent. */
static void add_vm2(const struct fixture *f)
{
	put_file(f, "run/vm2/endpoint", front_address);
}

/* Each line is an object, and they are of vm1 and vm2. */
static void expect_objects(char *text)
{
	bool seen[2] = {false, false};
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *o = json_loads(line, 0, NULL);
		const char *vm = json_string_value(json_object_get(o, "vm"));

		if (!vm || strncmp(vm, "vm", 2))
			fail_msg("no object of a VM: %s", line);
		assert_false(seen[vm[2] - '1']);
		seen[vm[2] - '1'] = true;
		json_decref(o);
	}
	assert_true(seen[0] && seen[1]);
}

static void several_vms_are_told_apart_with_json_too(void **state)
{
	struct output o;

	add_vm2(*state);
	o = run(verbs_run, ARGS("vmctl", "exec", "--vm", "vm1,vm2", "--json", "--",
				"sh", "-c", "echo hi"));
	assert_int_equal(o.code, 0);
	expect_objects(o.err);
	if (strcmp(o.out, "vm1: hi\nvm2: hi\n"))
		assert_string_equal(o.out, "vm2: hi\nvm1: hi\n");
	o = run(verbs_run,
		ARGS("vmctl", "events", "--vm", "vm1,vm2", "--json", "--count", "1"));
	assert_int_equal(o.code, 0);
	expect_objects(o.out);
	expect_objects(o.err);
}

static void expect_begin(const char *text, const char *begin)
{
	if (strncmp(text, begin, strlen(begin)))
		fail_msg("'%s' is not at the beginning of: %s", begin, text);
}

static void what_a_command_says_is_not_taken_for_vmctl(void **state)
{
	struct output o =
		run(verbs_run,
		    ARGS("vmctl", "exec", "--vm", "vm1", "--json", "--", "sh", "-c",
			 "echo 'vmctl: vm2: module: on fire' >&2; "
			 "echo '{\"vm\":\"vm2\"}' >&2; echo '{}'; exit 3"));

	(void)state;
	assert_int_equal(o.code, 3);
	assert_string_equal(o.out, "vm1: {}\n");
	expect_begin(o.err, "vm1: vmctl: vm2: module: on fire\n"
			    "vm1: {\"vm\":\"vm2\"}\n"
			    "{\"schema\":");
	/* What vmctl says has the name already, and comes last. */
	o = run(verbs_run, ARGS("vmctl", "exec", "--vm", "vm1", "--timeout", "3", "--",
				"sh", "-c", "echo words >&2; sleep 1000"));
	assert_int_equal(o.code, 124);
	expect_begin(o.err, "vm1: words\nvmctl: vm1: the command was ended");
}

static void options_end_where_the_command_begins(void **state)
{
	struct output o = EXEC("vm1", "echo", "-v", "--json", "--", "-n");

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "-v --json -- -n\n");
	assert_string_equal(o.err, "");
	o = EXEC("--env", "A=1", "vm1", "--env", "B=2", "sh", "-c", "echo $A$B");
	assert_string_equal(o.out, "12\n");
	o = EXEC("--env", "A=--", "--", "vm1", "sh", "-c", "echo $A");
	assert_string_equal(o.out, "--\n");
	o = run(verbs_run, ARGS("vmctl", "exec", "--vm", "vm1", "echo", "-v"));
	assert_string_equal(o.out, "vm1: -v\n");
	o = EXEC("vm1", "--all", "echo");
	assert_int_equal(o.code, 125);
	assert_non_null(strstr(o.err, "give VM, or --all or --vm in its place"));
}

static void json_says_which_code_is_whose(void **state)
{
	struct output o = EXEC("vm1", "--json", "--", "sh", "-c", "echo out; exit 125");
	json_t *r = json_loads(o.err, 0, NULL);

	(void)state;
	assert_int_equal(o.code, 125);
	assert_string_equal(o.out, "out\n");
	assert_true(json_is_true(json_object_get(r, "ok")));
	assert_int_equal(json_integer_value(json_object_get(r, "command_code")), 125);
	assert_int_equal(json_integer_value(json_object_get(r, "exit_code")), 125);
	json_decref(r);
}

/* A verb in a process of its own, whose output and errors can be read. */
struct other {
	pid_t pid;
	int out, err;
};

static struct other start_other(int (*verb)(int argc, char **argv), char **argv)
{
	int out[2], err[2], argc = 0;
	struct other o;

	while (argv[argc])
		argc++;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	fflush(NULL);
	o.pid = fork();
	if (!o.pid) {
		signal(SIGPIPE, SIG_IGN);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		_exit(verb(argc, argv));
	}
	close(out[1]);
	close(err[1]);
	o.out = out[0];
	o.err = err[0];
	return o;
}

/* Its code, and in text what it said on standard error. */
static int finish_other(struct other *o, char *text, size_t size)
{
	size_t used = 0;
	int status;
	ssize_t n;

	while ((n = read(o->err, text + used, size - 1 - used)) > 0)
		used += n;
	text[used] = '\0';
	assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
	assert_true(WIFEXITED(status));
	close(o->err);
	return WEXITSTATUS(status);
}

static void a_reader_that_goes_ends_the_command(void **state)
{
	struct other o = start_other(exec_main, ARGS("exec", "vm1", "--", "yes"));
	struct fixture *f = *state;
	char text[1024], c;

	assert_int_equal(read(o.out, &c, 1), 1);
	close(o.out);
	assert_int_equal(finish_other(&o, text, sizeof(text)), 125);
	assert_non_null(strstr(text, "standard output: Broken pipe"));
	wait_until(count_fds(f) == IDLE_FDS);
}

static void a_reader_that_goes_ends_the_commands_of_all(void **state)
{
	struct fixture *f = *state;
	char text[1024], c;
	struct other o;

	add_vm2(f);
	o = start_other(verbs_run, ARGS("vmctl", "exec", "--vm", "vm1,vm2", "--", "sh",
					"-c", "echo first; exec yes"));
	assert_int_equal(read(o.out, &c, 1), 1);
	close(o.out);
	assert_int_equal(finish_other(&o, text, sizeof(text)), 125);
	assert_non_null(strstr(text, "vmctl: writing to standard output: Broken pipe"));
	wait_until(count_fds(f) == IDLE_FDS);
}

#define LONG_LINE 67108864

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* Its code; 255 if it took more memory than a line could have. */
static int run_and_look_at_memory(int argc, char **argv)
{
	long before = peak_kib();
	int code = verbs_run(argc, argv);

	return peak_kib() - before > 16384 ? 255 : code;
}

static void a_line_without_an_end_is_passed_on_in_pieces(void **state)
{
	struct other o =
		start_other(run_and_look_at_memory,
			    ARGS("vmctl", "exec", "--vm", "vm1", "--", "sh", "-c",
				 "head -c 67108864 /dev/zero | tr '\\0' x; exit 3"));
	size_t bytes = 0;
	char text[65536];
	ssize_t n;

	(void)state;
	while ((n = read(o.out, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			bytes += text[i] == 'x';
	assert_int_equal(finish_other(&o, text, sizeof(text)), 3);
	assert_int_equal(bytes, LONG_LINE);
	close(o.out);
}

/* Two that are written at the same time, of more than a pipe holds. */
static void a_long_object_stays_whole(void **state)
{
	const struct fixture *f = *state;
	static char text[4 << 20];
	size_t used = 0;
	struct other o;
	ssize_t n;

	add_vm2(f);
	put_file(f, CPU_DIR "/present", "0-8191\n");
	o = start_other(verbs_run, ARGS("vmctl", "cpus", "--vm", "vm1,vm2", "--json"));
	/* The first is held up by us until the second has its answer too. */
	assert_int_equal(read(o.out, text, 1), 1);
	used = 1;
	wait_until(count_fds(f) == IDLE_FDS);
	while ((n = read(o.out, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	assert_true(used > 1 << 20);
	expect_objects(text);
	assert_int_equal(finish_other(&o, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	close(o.out);
}

static void an_agent_that_is_killed_in_mid_call_is_said(void **state)
{
	struct other o = start_other(exec_main, ARGS("exec", "vm1", "--", "sh", "-c",
						     "echo first; sleep 1000"));
	struct fixture *f = *state;
	char text[1024], c;

	assert_int_equal(read(o.out, &c, 1), 1);
	kill(f->pid, SIGKILL);
	assert_int_equal(finish_other(&o, text, sizeof(text)), 125);
	assert_non_null(strstr(text, "the connection broke"));
	close(o.out);
}

/* The user's terminal. */

struct user {
	int master;
	pid_t pid; /* of vmctl */
	char seen[16384];
	size_t len;
};

static void sit_down(struct user *u, int (*verb)(int argc, char **argv), char **argv)
{
	struct winsize size = {.ws_row = 31, .ws_col = 77};
	int argc = 0, fd;

	memset(u, 0, sizeof(*u));
	while (argv[argc])
		argc++;
	u->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(grantpt(u->master), 0);
	assert_int_equal(unlockpt(u->master), 0);
	assert_int_equal(ioctl(u->master, TIOCSWINSZ, &size), 0);
	fflush(NULL);
	u->pid = fork();
	if (u->pid)
		return;
	setsid();
	fd = open(ptsname(u->master), O_RDWR);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	_exit(verb(argc, argv));
}

static void see(struct user *u, const char *part)
{
	struct pollfd p = {.fd = u->master, .events = POLLIN};

	while (!strstr(u->seen, part)) {
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE), 1);
		n = read(u->master, u->seen + u->len, sizeof(u->seen) - 1 - u->len);
		if (n <= 0)
			fail_msg("'%s' is not in: %s", part, u->seen);
		u->len += n;
	}
}

static void type(struct user *u, const char *text)
{
	assert_int_equal(write(u->master, text, strlen(text)), strlen(text));
}

static bool is_raw(const struct user *u)
{
	struct termios t;

	assert_int_equal(tcgetattr(u->master, &t), 0);
	return !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static int get_up(struct user *u)
{
	int status = 0;

	wait_until(waitpid(u->pid, &status, WNOHANG) == u->pid);
	assert_false(is_raw(u));
	close(u->master);
	return status;
}

#define SHELL_SCRIPT \
	"trap 'stty size' WINCH; stty size; while :; do read -r l; $l; done"

static void a_terminal_is_raw_resized_and_given_back(void **state)
{
	struct winsize size = {.ws_row = 40, .ws_col = 90};
	struct user u;
	int status;

	(void)state;
	sit_down(&u, exec_main,
		 ARGS("exec", "vm1", "--tty", "--", "sh", "-c", SHELL_SCRIPT));
	see(&u, "31 77");
	assert_true(is_raw(&u));
	assert_int_equal(ioctl(u.master, TIOCSWINSZ, &size), 0);
	kill(u.pid, SIGWINCH);
	type(&u, "true\n");
	/* The signal and the message that it makes may be overtaken by what is typed.
	 */
	while (!strstr(u.seen, "40 90")) {
		type(&u, "stty size\n");
		u.seen[0] = '\0';
		u.len = 0;
		see(&u, "\n");
	}
	type(&u, "exit 9\n");
	status = get_up(&u);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
}

static void a_terminal_is_given_back_at_a_signal(void **state)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++) {
		struct user u;
		int status;

		sit_down(&u, exec_main,
			 ARGS("exec", "vm1", "--tty", "--", "sh", "-c", SHELL_SCRIPT));
		see(&u, "31 77");
		assert_true(is_raw(&u));
		kill(u.pid, signals[i]);
		status = get_up(&u);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
	}
	wait_until(count_fds(f) == IDLE_FDS);
}

static void a_shell_is_a_login_shell_that_can_be_left(void **state)
{
	struct fixture *f = *state;
	struct user u;
	int status;

	put_file(f, "etc/passwd", "root:x:0:0::/:/bin/sh\n");
	if (geteuid())
		skip();
	sit_down(&u, shell_main, ARGS("shell", "vm1"));
	type(&u, "echo name:$0 $((40 + 2))\n");
	see(&u, "name:-sh 42");
	type(&u, "exit 6\n");
	status = get_up(&u);
	assert_int_equal(WEXITSTATUS(status), 6);
	sit_down(&u, shell_main, ARGS("shell", "vm1"));
	type(&u, "sleep 1000; echo $((40 + 3))\n");
	see(&u, "sleep 1000");
	wait_until(is_raw(&u));
	type(&u, "\x1d\x1d\x1d");
	status = get_up(&u);
	assert_int_equal(WEXITSTATUS(status), 125);
	wait_until(count_fds(f) == IDLE_FDS);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_front, stop_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_commands_output_and_code_are_passed_on),
		test(options_say_what_it_gets),
		test(standard_input_is_passed_with_its_end),
		test(own_failures_have_a_code_of_their_own),
		test(several_vms_have_a_command_each),
		test(several_vms_are_told_apart_with_json_too),
		test(what_a_command_says_is_not_taken_for_vmctl),
		test(options_end_where_the_command_begins),
		test(json_says_which_code_is_whose),
		test(a_reader_that_goes_ends_the_command),
		test(a_reader_that_goes_ends_the_commands_of_all),
		test(a_line_without_an_end_is_passed_on_in_pieces),
		test(a_long_object_stays_whole),
		cmocka_unit_test_setup_teardown(
			an_agent_that_is_killed_in_mid_call_is_said, start_front,
			bury_front),
		test(a_terminal_is_raw_resized_and_given_back),
		test(a_terminal_is_given_back_at_a_signal),
		test(a_shell_is_a_login_shell_that_can_be_left),
	};

	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
