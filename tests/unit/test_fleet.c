/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command for several VMs, help for all of them, and what can be completed: the
 * whole program, as main() calls it.
 */
#include <fcntl.h>
#include <sys/wait.h>

#include "fake_vm.h"
#include "run_verb.h"

#include "../../host-cli/verbs.h"

/* Two more VMs that nobody serves, beside the fake's vm1. */
static void add_vms(const struct fake_vm *vm)
{
	static const char *const names[] = {"down", "web"};
	char path[96];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", vm->root, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
}

static void remove_vms(const struct fake_vm *vm)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/down", vm->root);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/web", vm->root);
	rmdir(path);
}

static void all_are_asked_and_the_worst_code_counts(void **state)
{
	struct fake_vm vm = {0};
	struct output o;
	size_t lines = 0;
	json_t *r;
	char *at;

	(void)state;
	fake_start(&vm, 0);
	add_vms(&vm);
	o = run(verbs_run, ARGS("vmctl", "info", "--all"));
	assert_int_equal(o.code, 5);
	assert_non_null(strstr(o.out, "vm1: hostname          guest\n"));
	assert_non_null(strstr(o.out, "\nvm1: kernel "));
	assert_non_null(strstr(o.err, "vmctl: down: agent: no vsock endpoint"));
	assert_non_null(strstr(o.err, "vmctl: web: agent: no vsock endpoint"));
	/* What names the VM by itself is not named twice. */
	o = run(verbs_run, ARGS("vmctl", "ping", "--vm", "vm1"));
	assert_int_equal(o.code, 0);
	assert_memory_equal(o.out, "vm1: 1 of 1 round trips", 23);
	/* One object for each, whatever became of it. */
	o = run(verbs_run,
		ARGS("vmctl", "ping", "--json", "--vm=vm1,web", "--vm", "no"));
	assert_int_equal(o.code, 5);
	for (at = o.out; *at; at = strchr(at, '\n') + 1, lines++) {
		r = json_loads(at, JSON_DISABLE_EOF_CHECK, NULL);
		assert_non_null(json_object_get(r, "vm"));
		json_decref(r);
	}
	assert_int_equal(lines, 3);
	remove_vms(&vm);
	fake_stop(&vm);
}

static void operands_come_behind_the_vm(void **state)
{
	struct fake_vm vm = {0};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(verbs_run, ARGS("vmctl", "hotplug-mem", "--all", "lots"));
	assert_int_equal(o.code, 2);
	assert_non_null(strstr(o.err, "vmctl: vm1: SIZE lots"));
	o = run(verbs_run, ARGS("vmctl", "hotplug-cpu", "--vm", "vm1", "--to", "3"));
	assert_int_equal(o.code, 0);
	assert_string_equal(fake_state(&vm), "Qpo Qpo Qpo ---");
	o = run(verbs_run, ARGS("vmctl", "vsock", "stats", "--all"));
	assert_int_equal(o.code, 5);
	assert_non_null(strstr(o.err, "vmctl: vm1: ask: no control socket"));
	fake_stop(&vm);
}

static void more_vms_than_run_at_once(void **state)
{
	char root[] = "/tmp/fleet.XXXXXX", path[64];
	struct output o;
	size_t lines = 0;

	(void)state;
	assert_non_null(mkdtemp(root));
	setenv("VMCTL_RUN_DIR", root, 1);
	o = run(verbs_run, ARGS("vmctl", "ping", "--all"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "vmctl: --all: the registry has no VMs\n");
	o = run(verbs_run, ARGS("vmctl", "ping", "--all", "-q"));
	assert_string_equal(o.err, "");
	for (int i = 0; i < 36; i++) {
		snprintf(path, sizeof(path), "%s/vm%d", root, i);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	o = run(verbs_run,
		ARGS("vmctl", "wait", "--all", "--timeout", "0.1", "--json"));
	assert_int_equal(o.code, 11);
	for (const char *at = o.out; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 36);
	for (int i = 0; i < 36; i++) {
		snprintf(path, sizeof(path), "%s/vm%d", root, i);
		rmdir(path);
	}
	rmdir(root);
}

static void a_signal_ends_all_of_them(void **state)
{
	struct fake_vm vm = {.no_agent = true};
	char *line[] = {"vmctl", "wait", "--all", "--timeout", "60", NULL};
	int status, out[2];
	pid_t pid;
	char byte;

	(void)state;
	fake_start(&vm, 0);
	add_vms(&vm);
	assert_int_equal(pipe(out), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		_exit(verbs_run(5, line));
	}
	close(out[1]);
	poll(NULL, 0, 300);
	kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 130);
	assert_int_equal(read(out[0], &byte, 1), 0);
	close(out[0]);
	remove_vms(&vm);
	fake_stop(&vm);
}

/* With a standard output that takes nothing: the code, and what was said. */
static struct output run_to_full_disk(char **argv)
{
	FILE *err = tmpfile();
	struct output o = {0};
	int status, argc = 0;
	pid_t pid;

	while (argv[argc])
		argc++;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		_exit(verbs_run(argc, argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	o.code = WEXITSTATUS(status);
	slurp(err, o.err, sizeof(o.err));
	return o;
}

static void what_cannot_be_written_is_a_failure(void **state)
{
	static char *const lines[][6] = {
		{"vmctl", "--help"},
		{"vmctl", "--version"},
		{"vmctl", "help", "ping"},
		{"vmctl", "help", "plug"},
		{"vmctl", "ping", "--help"},
		{"vmctl", "ping", "--all", "--version"},
		{"vmctl", "ping", "vm1"},
		{"vmctl", "ping", "--all"},
		{"vmctl", "ping", "--vm", "vm1", "--json"},
	};
	struct fake_vm vm = {0};

	(void)state;
	fake_start(&vm, 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct output o = run_to_full_disk((char **)lines[i]);

		if (o.code != 1 || strcmp(o.err, "vmctl: writing to standard output: "
						 "No space left on device\n"))
			fail_msg("line %zu: exit code %d, %s", i, o.code, o.err);
	}
	fake_stop(&vm);
}

static void what_is_no_command_for_several(void **state)
{
	static char *const lines[][6] = {
		{"vmctl", "ping", "--all", "vm1"},
		{"vmctl", "ping", "--all", "--vm", "vm1"},
		{"vmctl", "ping", "--vm", "vm1,vm1"},
		{"vmctl", "ping", "--vm", "vm1,,vm2"},
		{"vmctl", "ping", "--vm", ""},
		{"vmctl", "nc", "--all", "22"},
		{"vmctl", "proxy", "--all", "unix:/x=22"},
		{"vmctl", "list", "--all"},
		{"vmctl", "qemu-args", "--all"},
	};
	struct output o;

	(void)state;
	setenv("VMCTL_RUN_DIR", "/nonexistent", 1);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		o = run(verbs_run, (char **)lines[i]);
		if (o.code != 2 || !*o.err || *o.out)
			fail_msg("line %zu: exit code %d, %s", i, o.code, o.err);
	}
	o = run(verbs_run, ARGS("vmctl", "ping", "--all", "--help"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "--vm NAMES"));
}

static void help_fits_a_screen_and_has_every_verb(void **state)
{
	struct output o = run(verbs_run, ARGS("vmctl", "--help")), one;
	size_t lines = 0, column = 0;

	(void)state;
	assert_int_equal(o.code, 0);
	for (const char *c = o.out; *c; c++) {
		column = *c == '\n' ? 0 : column + 1;
		lines += *c == '\n';
		assert_true(column < 80);
	}
	/* And the prompt. */
	assert_true(lines <= 23);
	for (const struct verb *v = verbs_all; v->name; v++) {
		if (!strstr(o.out, v->name))
			fail_msg("--help has no %s", v->name);
		one = run(verbs_run, ARGS("vmctl", "help", (char *)v->name));
		assert_int_equal(one.code, 0);
		assert_memory_equal(one.out, "usage: vmctl ", 13);
	}
	one = run(verbs_run, ARGS("vmctl", "help"));
	assert_string_equal(one.out, o.out);
	one = run(verbs_run, ARGS("vmctl", "help", "vsock", "list"));
	assert_memory_equal(one.out, "usage: vmctl vsock list ", 24);
	one = run(verbs_run, ARGS("vmctl", "help", "plug"));
	assert_int_equal(one.code, 0);
	assert_non_null(strstr(one.out, "  hotplug-cpu    plug CPUs into"));
	one = run(verbs_run, ARGS("vmctl", "help", "no\x1b[2J"));
	assert_int_equal(one.code, 2);
	assert_string_equal(one.err,
			    "vmctl: there is no verb 'no?[2J'; see vmctl --help\n");
	one = run(verbs_run, ARGS("vmctl"));
	assert_int_equal(one.code, 2);
	assert_string_equal(one.err, o.out);
}

/* What a completion offers, without what it is. */
static void offers(char **argv, const char *words)
{
	struct output o = run(verbs_run, argv);
	char got[4096] = "", *save = NULL;
	size_t used = 0;

	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	for (char *line = strtok_r(o.out, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%.*s",
					 used ? " " : "", (int)strcspn(line, "\t"),
					 line);
	assert_string_equal(got, words);
}

static void completion_offers_what_can_stand_there(void **state)
{
	struct fake_vm vm = {0};

	(void)state;
	fake_start(&vm, 0);
	add_vms(&vm);
	offers(ARGS("vmctl", "__complete", "hotplug-"),
	       "hotplug-cpu hotplug-mem hotplug-pci hotplug-mmio hotplug-iommu");
	offers(ARGS("vmctl", "__complete", "help", "pi"), "ping");
	offers(ARGS("vmctl", "__complete", "help", "vsock", ""), "stats list");
	offers(ARGS("vmctl", "__complete", "vsock", "s"), "stats");
	offers(ARGS("vmctl", "__complete", "vsock", "stats", "w"), "web");
	offers(ARGS("vmctl", "__complete", "ping", ""), "down vm1 web");
	offers(ARGS("vmctl", "__complete", "ping", "vm1", ""), "");
	offers(ARGS("vmctl", "__complete", "ping", "--c"), "--count");
	offers(ARGS("vmctl", "__complete", "ping", "--count", ""), "");
	offers(ARGS("vmctl", "__complete", "ping", "--count", "2", "d"), "down");
	offers(ARGS("vmctl", "__complete", "ping", "--", "d"), "down");
	offers(ARGS("vmctl", "__complete", "ping", "--vm", "vm1,d"), "vm1,down");
	offers(ARGS("vmctl", "__complete", "ping", "--vm=w"), "--vm=web");
	offers(ARGS("vmctl", "__complete", "ping", "--all", ""), "");
	offers(ARGS("vmctl", "__complete", "wait", "--for", "agent,"),
	       "agent,agent agent,module");
	offers(ARGS("vmctl", "__complete", "hotplug-cpu", "--qmp", "/"), ":files");
	offers(ARGS("vmctl", "__complete", "hotplug-cpu", "--qmp=/"), ":files");
	offers(ARGS("vmctl", "__complete", "qemu-args", "w"), "web");
	offers(ARGS("vmctl", "__complete", "cp", ""), "down: vm1: web: :files");
	offers(ARGS("vmctl", "__complete", "cp", "w"), "web: :files");
	offers(ARGS("vmctl", "__complete", "cp", "vm1:/etc/motd", "./"), ":files");
	offers(ARGS("vmctl", "__complete", "cp", "file", "d"), "down: :files");
	/* Not the host's files as the guest's. */
	offers(ARGS("vmctl", "__complete", "cp", "vm1:/et"), "");
	offers(ARGS("vmctl", "__complete", "exec", "vm1", "--d"), "--dir");
	offers(ARGS("vmctl", "__complete", "exec", "vm1", "ls", "--d"), "");
	offers(ARGS("vmctl", "__complete", "exec", "--all", "ls", "--d"), "");
	offers(ARGS("vmctl", "__complete", "no-verb", ""), "");
	remove_vms(&vm);
	fake_stop(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_asked_and_the_worst_code_counts),
		cmocka_unit_test(operands_come_behind_the_vm),
		cmocka_unit_test(more_vms_than_run_at_once),
		cmocka_unit_test(a_signal_ends_all_of_them),
		cmocka_unit_test(what_cannot_be_written_is_a_failure),
		cmocka_unit_test(what_is_no_command_for_several),
		cmocka_unit_test(help_fits_a_screen_and_has_every_verb),
		cmocka_unit_test(completion_offers_what_can_stand_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
