/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker cannot do any more, as /proc tells it, and what comes of trying. The
 * program runs itself once more as a worker that tries.
 */
#include "fake_worker.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../../transport/holder.h"
#include "../../transport/notify.h"
#include "../../transport/sandbox.h"

enum {
	USER = 12346,
	GROUP = 12347,
};

/* What a line of /proc/PID/status has behind its name. */
static const char *status_of(pid_t pid, const char *name)
{
	return proc_line(pid, "status", name);
}

static uint64_t caps_of(pid_t pid, const char *name)
{
	return strtoull(status_of(pid, name), NULL, 16);
}

/* Whether a namespace of the process's is this program's own too. */
static bool shares(pid_t pid, const char *name)
{
	char path[64];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	assert_int_equal(stat(path, &own), 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	assert_int_equal(stat(path, &its), 0);
	return own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

/* What comes of looking for a file where the process would. */
static int sees(pid_t pid, const char *file)
{
	char path[160];

	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, file);
	return access(path, F_OK) < 0 ? -errno : 0;
}

/* What is left of a test that failed: a daemon that is another user outlives it. */
static struct guest *served;

static struct guest *serve(struct vsockd_options options)
{
	served = guest_new_with(options);
	return served;
}

static void finish(void)
{
	guest_free(served);
	served = NULL;
}

static int teardown(void **state)
{
	(void)state;
	if (served && served->pid)
		kill(served->pid, SIGKILL);
	served = NULL;
	front_program = NULL;
	return 0;
}

/* The sanitizers make system calls of their own. */
static void need_a_sandbox(void)
{
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
}

static bool is_root(void)
{
	return geteuid() == 0;
}

/* Without an option for it, by the program itself. */
static void the_worker_is_confined_and_its_holder_is_not(void **state)
{
	struct guest *g;
	struct rlimit core = {1, 1};
	pid_t worker;

	(void)state;
	need_a_sandbox();
	run_the_program();
	g = serve((struct vsockd_options){.cid = GUEST_CID});
	worker = worker_of(g);
	assert_true(worker > 0);
	assert_string_equal(status_of(worker, "\nSeccomp:"), "2");
	assert_string_equal(status_of(worker, "\nNoNewPrivs:"), "1");
	assert_int_equal(caps_of(worker, "\nCapInh:"), 0);
	assert_int_equal(caps_of(worker, "\nCapAmb:"), 0);
	assert_int_equal(caps_of(worker, "\nCapPrm:"),
			 is_root() ? 1u << CAP_DAC_OVERRIDE : 0);
	assert_int_equal(caps_of(worker, "\nCapEff:"),
			 is_root() ? 1u << CAP_DAC_OVERRIDE : 0);
	if (is_root()) {
		assert_int_equal(caps_of(worker, "\nCapBnd:"), 0);
		assert_int_equal(prlimit(worker, RLIMIT_CORE, NULL, &core), 0);
		assert_int_equal(core.rlim_max, 0);
		assert_false(shares(worker, "mnt"));
		assert_false(shares(worker, "net"));
		assert_false(shares(worker, "ipc"));
		assert_true(shares(g->pid, "mnt"));
		assert_true(shares(g->pid, "net"));
	}
	assert_int_equal(strtol(status_of(g->pid, "\nSeccomp:"), NULL, 10),
			 strtol(status_of(getpid(), "\nSeccomp:"), NULL, 10));
	guest_start(g);
	expect_service(g);
	finish();
}

static void only_the_directories_of_its_sockets_are_in_sight(void **state)
{
	char other[] = "/tmp/vsockd-other-XXXXXX", path[128];
	struct guest *g;
	int fd;

	(void)state;
	need_a_sandbox();
	if (!is_root())
		skip(); /* nobody else can have a root of their own */
	assert_non_null(mkdtemp(other));
	g = serve((struct vsockd_options){.sandbox = SANDBOX_ON});
	assert_int_equal(sees(g->pid, g->vhost_user), 0);
	assert_int_equal(sees(g->pid, g->log), 0);
	assert_int_equal(sees(g->pid, other), -ENOENT);
	assert_int_equal(sees(g->pid, "/etc"), -ENOENT);
	assert_int_equal(sees(g->pid, "/proc"), -ENOENT);
	assert_int_equal(access("/etc", F_OK), 0);
	/* Nor can anything be put beside them. */
	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)g->pid, "/file");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(fd < 0 ? errno : 0, EROFS);
	finish();
	rmdir(other);
}

static void a_user_is_that_user_and_no_more(void **state)
{
	struct vsockd_options options = {.sandbox = SANDBOX_ON};
	struct error err;
	struct guest *g;
	struct stat st;
	gid_t groups[64];
	int before;

	(void)state;
	need_a_sandbox();
	if (!is_root())
		skip(); /* nobody else can become somebody else */
	assert_int_equal(sandbox_parse_user("12346:12347", &options.user, &err), 0);
	/* What is to be lost is there before. */
	before = getgroups(64, groups);
	assert_true(before >= 0);
	assert_int_equal(setgroups(2, (gid_t[]){GROUP + 1, GROUP + 2}), 0);
	g = serve(options);
	assert_int_equal(setgroups((size_t)before, groups), 0);
	assert_string_equal(status_of(g->pid, "\nUid:"), "12346\t12346\t12346\t12346");
	assert_string_equal(status_of(g->pid, "\nGid:"), "12347\t12347\t12347\t12347");
	assert_string_equal(status_of(g->pid, "\nGroups:"), "");
	assert_int_equal(caps_of(g->pid, "\nCapPrm:"), 0);
	assert_int_equal(caps_of(g->pid, "\nCapEff:"), 0);
	assert_int_equal(caps_of(g->pid, "\nCapBnd:"), 0);
	assert_string_equal(status_of(g->pid, "\nSeccomp:"), "2");
	assert_int_equal(stat(g->uds, &st), 0);
	assert_int_equal(st.st_uid, USER);
	assert_int_equal(st.st_gid, GROUP);
	guest_start(g);
	expect_service(g);
	finish();
}

static void a_network_that_an_option_names_stays(void **state)
{
	struct vsockd_options options[2] = {{.sandbox = SANDBOX_ON},
					    {.sandbox = SANDBOX_ON, .forward_cid = 3}};
	struct error err;

	(void)state;
	need_a_sandbox();
	if (!is_root())
		skip(); /* nobody else can have a network of their own */
	assert_int_equal(
		maps_add(&options[0].connect, "80=tcp:127.0.0.1:9", false, &err), 0);
	for (size_t i = 0; i < 2; i++) {
		struct guest *g = serve(options[i]);

		assert_true(shares(g->pid, "net"));
		assert_false(shares(g->pid, "mnt"));
		assert_string_equal(status_of(g->pid, "\nSeccomp:"), "2");
		finish();
	}
	maps_free(&options[0].connect);
}

/* Things to try from inside; each makes one system call. */
static void call_getppid(void)
{
	syscall(SYS_getppid);
}

static void call_execve(void)
{
	execl("/bin/true", "true", NULL);
}

static void call_open(void)
{
	syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
}

static void call_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void call_socket_inet(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void call_socket_netlink(void)
{
	syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
}

static void call_socket_unix(void)
{
	syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static void call_mmap_exec(void)
{
	syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
}

static void call_setown(void)
{
	syscall(SYS_fcntl, -1, F_SETOWN, getppid());
}

static void call_tgkill(void)
{
	syscall(SYS_tgkill, 1, 1, 0);
}

static void call_tgkill_own(void)
{
	syscall(SYS_tgkill, getpid(), getpid(), 0);
}

/* The signal that a process in such a sandbox dies of when it tries; 0: it lives. */
static int try(const struct sandbox *sandbox, void (*call)(void))
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		const struct rlimit none = {0, 0};
		struct error err;

		setrlimit(RLIMIT_CORE, &none);
		if (sandbox_seal(sandbox, &err) < 0)
			_exit(1);
		call();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status);
	assert_int_equal(status, 0);
	return 0;
}

static void what_is_forbidden_kills_and_in_log_mode_does_not(void **state)
{
	static const struct {
		void (*call)(void);
		bool allowed, with_network;
	} row[] = {
		{.call = call_getppid},
		{.call = call_execve},
		{.call = call_open},
		{.call = call_ptrace},
		{.call = call_socket_netlink},
		{.call = call_mmap_exec},
		{.call = call_setown},
		{.call = call_tgkill},
		{.call = call_tgkill_own, .allowed = true, .with_network = true},
		{.call = call_socket_unix, .allowed = true, .with_network = true},
		{.call = call_socket_inet, .with_network = true},
	};
	struct sandbox plain = {.mode = SANDBOX_ON},
		       network = {.mode = SANDBOX_ON, .network = true},
		       log = {.mode = SANDBOX_LOG}, none = {.mode = SANDBOX_NONE};

	(void)state;
	need_a_sandbox();
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(try(&plain, row[i].call), row[i].allowed ? 0 : SIGSYS);
		assert_int_equal(try(&network, row[i].call),
				 row[i].with_network ? 0 : SIGSYS);
		assert_int_equal(try(&log, row[i].call), 0);
		assert_int_equal(try(&none, row[i].call), 0);
	}
}

/* This program in the place of a worker: what main() does when it has a holder. */
static int be_worker(const char *mode)
{
	struct sandbox sandbox = {.mode = strcmp(mode, "log") ? SANDBOX_ON
							      : SANDBOX_LOG};
	struct error err;

	if (notify_init(&err) < 0 || sandbox_confine(&sandbox, &err) < 0 ||
	    sandbox_seal(&sandbox, &err) < 0)
		return 3;
	call_getppid();
	return 0;
}

/* The holder's exit status, with that worker; what it says is in text. */
static int hold(const char *mode, char text[static 4096])
{
	char path[] = "/tmp/vsockd-held-XXXXXX";
	int log = mkstemp(path), status;
	ssize_t n;
	pid_t pid;

	assert_true(log >= 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		char *argv[] = {"worker", (char *)mode, NULL};
		struct error err;
		int ret;

		dup2(log, STDERR_FILENO);
		ret = holder_run(argv, &err);
		_exit(ret < 0 ? 4 : ret);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = pread(log, text, 4095, 0);
	text[n > 0 ? n : 0] = 0;
	close(log);
	unlink(path);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_holder_says_what_its_worker_died_of(void **state)
{
	char text[4096];

	(void)state;
	need_a_sandbox();
	assert_int_equal(hold("on", text), 1);
	assert_non_null(strstr(text, "made a system call that its sandbox forbids"));
	assert_non_null(strstr(text, "--sandbox=log tells which"));
	assert_int_equal(hold("log", text), 0);
	assert_string_equal(text, "");
}

static void users_are_names_or_numbers_with_a_group(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");
	char longest[80] = "";
	const struct {
		const char *text;
		int ret;
		uid_t uid;
		gid_t gid;
	} row[] = {
		{"root", 0, 0, 0},
		{"nobody", 0, nobody->pw_uid, nobody->pw_gid},
		{"nobody:root", 0, nobody->pw_uid, 0},
		{"nobody:7", 0, nobody->pw_uid, 7},
		{"12346:12347", 0, USER, GROUP},
		{"12346:root", 0, USER, 0},
		{"12346", -ENOENT, 0, 0},
		{"0:7", -ENOENT, 0, 0}, /* root is not to be had by mistake */
		{"7:0", -ENOENT, 0, 0},
		{"-1:7", -ENOENT, 0, 0},
		{"4294967295:7", -ENOENT, 0, 0},
		{"7:4294967295", -ENOENT, 0, 0},
		{"no such user", -ENOENT, 0, 0},
		{"no such user:7", -ENOENT, 0, 0},
		{"nobody:no such group", -ENOENT, 0, 0},
		{"nobody:", -ENOENT, 0, 0},
		{"nobody:7:8", -ENOENT, 0, 0},
		{"", -EINVAL, 0, 0},
		{":7", -EINVAL, 0, 0},
		{longest, -EINVAL, 0, 0},
	};

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct sandbox_user user = {.name = NULL};
		struct error err;

		assert_int_equal(sandbox_parse_user(row[i].text, &user, &err),
				 row[i].ret);
		if (row[i].ret)
			continue;
		assert_string_equal(user.name, row[i].text);
		assert_int_equal(user.uid, row[i].uid);
		assert_int_equal(user.gid, row[i].gid);
	}
}

int main(int argc, char **argv)
{
#define t(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_names_or_numbers_with_a_group),
		cmocka_unit_test(what_is_forbidden_kills_and_in_log_mode_does_not),
		cmocka_unit_test(the_holder_says_what_its_worker_died_of),
		t(the_worker_is_confined_and_its_holder_is_not),
		t(only_the_directories_of_its_sockets_are_in_sight),
		t(a_user_is_that_user_and_no_more),
		t(a_network_that_an_option_names_stays),
	};

	if (getenv(NOTIFY_HOLDER_ENV) && argc > 1)
		return be_worker(argv[1]);
	alarm(PATIENCE * 3 / 1000);
	return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
