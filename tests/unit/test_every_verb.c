// SPDX-License-Identifier: Apache-2.0
/*
 * Every verb that asks a guest, against guests that do not answer as they should: it
 * ends by itself, with the code that is documented, says so in a line, or with --json
 * in an object, and takes no more memory than it should.
 */
#include "hostile_guest.h"

#include <fcntl.h>
#include <libgen.h>
#include <sys/resource.h>

#include "run_change.h"

#define PATIENCE_S     60
#define MEMORY_MAX_KIB (256l << 10)
#define ADDRESSES_MAX  (1ul << 30) /* before it takes the machine's */
#define ARGS_MAX       8

/* What QEMU has: room for a device, or one that is to be taken out, or CPUs. */
enum has {
	ROOM,
	DIMM,
	PCI_DEVICE,
	CPUS,
	HAS_KINDS,
};

/* Exit codes, as vmctl(1) has them: of a guest that is silent, that closes, that sends
 * garbage, and that sends without an end. */
enum ends {
	CALL,	     /* of the agent */
	MODULE,	     /* a request to the module */
	MODULE_QEMU, /* one that the module of the last says that it cannot carry out */
	WAITS,
	PASSES, /* a command's code on */
	EVENTS, /* three of those that it is sent are what it is to show */
	NEVER_FAILS,
};

static const int codes[][HOSTILITIES] = {
	[CALL] = {11, 7, 7, 7},		 [MODULE] = {11, 6, 6, 6},
	[MODULE_QEMU] = {11, 6, 6, 9},	 [WAITS] = {11, 11, 11, 11},
	[PASSES] = {124, 125, 125, 124}, [EVENTS] = {11, 7, 7, 0},
	[NEVER_FAILS] = {0, 0, 0, 0},
};

struct row {
	const char *verb;
	const char *args[ARGS_MAX]; /* behind the options */
	enum ends ends;
	enum has has;
	bool json_on_stderr;
	const char *why_not; /* it does not take part, since ... */
};

#define JOINS "it joins bytes to a port, and judges none of them"

static const struct row rows[] = {
	{"hotplug-cpu", {"vm1"}, .ends = CALL, .has = CPUS},
	{"unplug-cpu", {"vm1"}, .ends = CALL, .has = CPUS},
	{"hotplug-mem", {"vm1", "256M"}, .ends = MODULE_QEMU},
	{"unplug-mem", {"vm1"}, .ends = MODULE_QEMU, .has = DIMM},
	{"hotplug-pci", {"vm1", "virtio-rng-pci"}, .ends = MODULE_QEMU},
	{"unplug-pci", {"vm1", "vmctl-pci0"}, .ends = MODULE_QEMU, .has = PCI_DEVICE},
	{"hotplug-mmio", {WINDOW}, .ends = MODULE},
	{"unplug-mmio", {WINDOW}, .ends = MODULE},
	{"hotplug-iommu",
	 {"vm1", "--pci", "0:1.0", "--endpoint", "0:2.0=8"},
	 .ends = MODULE},
	{"unplug-iommu", {"vm1", "--pci", "0:1.0"}, .ends = MODULE},
	{"devices", {"vm1"}, .ends = MODULE},
	{"module-status", {"vm1"}, .ends = MODULE},
	{"wait", {"vm1"}, .ends = WAITS},
	{"ping", {"vm1"}, .ends = CALL},
	{"bench", {"vm1"}, .ends = CALL},
	{"info", {"vm1"}, .ends = CALL},
	{"exec", {"vm1", "--", "true"}, .ends = PASSES, .json_on_stderr = true},
	{"shell", {"vm1"}, .ends = PASSES, .json_on_stderr = true},
	{"shutdown", {"vm1"}, .ends = CALL},
	{"reboot", {"vm1"}, .ends = CALL},
	{"suspend", {"vm1"}, .ends = CALL},
	{"time", {"vm1"}, .ends = CALL},
	{"time", {"vm1", "--sync"}, .ends = CALL},
	{"hostname", {"vm1"}, .ends = CALL},
	{"hostname", {"vm1", "new"}, .ends = CALL},
	{"ssh-keys", {"vm1"}, .ends = CALL},
	{"status", {"vm1"}, .ends = CALL},
	{"top", {"vm1"}, .ends = CALL, .json_on_stderr = true},
	{"events", {"vm1", "--count", "3"}, .ends = EVENTS, .json_on_stderr = true},
	{"metrics", {"vm1"}, .ends = CALL},
	{"cpus", {"vm1"}, .ends = CALL},
	{"cpus", {"vm1", "--online", "1"}, .ends = CALL},
	{"memory", {"vm1"}, .ends = CALL},
	{"memory", {"vm1", "--offline", "32"}, .ends = CALL},
	{"net", {"vm1"}, .ends = CALL},
	{"net", {"vm1", "--interface", "lo", "--up"}, .ends = CALL},
	{"cp", {"vm1:/nothing", "/tmp"}, .ends = CALL},
	{"df", {"vm1"}, .ends = CALL},
	{"freeze", {"vm1"}, .ends = CALL},
	{"freeze", {"vm1", "--status"}, .ends = CALL},
	{"thaw", {"vm1"}, .ends = CALL},
	{"trim", {"vm1"}, .ends = CALL},
	/* What fails of a VM is a word in its line. */
	{"list", {NULL}, .ends = NEVER_FAILS},
	{"nc", {NULL}, .why_not = JOINS},
	{"proxy", {NULL}, .why_not = JOINS},
	{"qemu-args", {NULL}, .why_not = "it asks nobody"},
	{"vsock", {NULL}, .why_not = "it asks vsockd, and no guest"},
};

#define ROWS	 (sizeof(rows) / sizeof(rows[0]))
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static const struct variant {
	const char *name, *option; /* NULL: none */
	bool json, quiet, verbose;
} variants[] = {
	{"no option", NULL, false, false, false},
	{"--json", "--json", true, false, false},
	{"--quiet", "-q", false, true, false},
	{"--verbose", "-v", false, false, true},
};

static char program[4096 + 16]; /* vmctl itself */

static void find_program(void)
{
	ssize_t n = readlink("/proc/self/exe", program, 4095);

	assert_true(n > 0);
	dirname(program);
	strcat(program, "/../../vmctl");
}

struct child {
	pid_t pid;
	FILE *out, *err;
	int status;
	long memory_kib;
};

static void limit_child(void)
{
#ifndef __SANITIZE_ADDRESS__
	struct rlimit most = {ADDRESSES_MAX, ADDRESSES_MAX};

	setrlimit(RLIMIT_AS, &most);
#endif
	/* It kills who has not ended by then. */
	alarm(PATIENCE_S);
}

/* One whose time is to be up has little of it, any other as much as it wants. */
static struct child start(const struct row *row, const struct variant *variant,
			  int code)
{
	bool times_out = code == 11 || code == 124;
	struct child c = {.out = tmpfile(), .err = tmpfile()};
	char *argv[ARGS_MAX + 6] = {"vmctl", (char *)row->verb, "--timeout",
				    times_out ? "1" : "30"};
	int argc = 4;

	if (variant->option)
		argv[argc++] = (char *)variant->option;
	for (size_t i = 0; i < ARGS_MAX && row->args[i]; i++)
		argv[argc++] = (char *)row->args[i];
	fflush(NULL);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid)
		return c;
	/* This process has threads: what a fork of it may do is little. */
	limit_child();
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(fileno(c.out), STDOUT_FILENO);
	dup2(fileno(c.err), STDERR_FILENO);
	execv(program, argv);
	_exit(126);
}

static char *read_all(FILE *f)
{
	char *text = NULL;
	size_t size = 0;

	rewind(f);
	if (getdelim(&text, &size, '\0', f) < 0 && text)
		*text = '\0';
	fclose(f);
	assert_non_null(text);
	return text;
}

static size_t objects_in(const char *text, const char *verb)
{
	size_t n = 0;

	for (const char *end; *text; text = *end ? end + 1 : end) {
		json_t *r;
		const char *name;

		end = strchrnul(text, '\n');
		r = json_loadb(text, end - text, 0, NULL);
		name = json_string_value(json_object_get(r, "verb"));
		n += json_object_get(r, "schema") && name && !strcmp(name, verb);
		json_decref(r);
	}
	return n;
}

/* What is wrong with how it ended, or NULL. */
static const char *judge_end(const struct child *c, int code)
{
	if (WIFSIGNALED(c->status))
		return WTERMSIG(c->status) == SIGALRM ? "it did not end"
						      : "it was killed";
	if (WEXITSTATUS(c->status) != code)
		return "the exit code";
#ifndef __SANITIZE_ADDRESS__
	if (c->memory_kib > MEMORY_MAX_KIB)
		return "it took too much memory";
#endif
	return NULL;
}

/* What is wrong with what it said. */
static const char *judge_words(const struct row *row, const struct variant *variant,
			       int code, const char *out, const char *err)
{
	size_t lines = 0, message = code != 0;
	size_t object = variant->json && row->json_on_stderr;

	for (const char *at = err; *at; at = strchr(at, '\n') + 1) {
		if (*at == '\n')
			return "an empty line on standard error";
		if (!strchr(at, '\n'))
			return "a line without an end on standard error";
		lines++;
	}
	if (strchr(err, '\x1b') || strchr(out, '\x1b'))
		return "an escape sequence";
	if (variant->quiet && lines != message)
		return "the error was to be on standard error, and no more";
	if (!variant->verbose && (lines < message + object || lines > 2))
		return "one line or two were to be on standard error";
	if (objects_in(err, row->verb) != object)
		return "the objects on standard error";
	if (objects_in(out, row->verb) != variant->json - object)
		return "the objects on standard output";
	return NULL;
}

/* Whether it did what it should, which is said if not. */
static bool finish(struct child *c, const struct row *row,
		   const struct variant *variant, int code)
{
	struct rusage usage;
	char *out, *err;
	const char *wrong;

	assert_int_equal(wait4(c->pid, &c->status, 0, &usage), c->pid);
	c->memory_kib = usage.ru_maxrss;
	out = read_all(c->out);
	err = read_all(c->err);
	wrong = judge_end(c, code);
	if (!wrong)
		wrong = judge_words(row, variant, code, out, err);
	if (wrong)
		print_error("%s %s (%s): %s: status %#x where code %d was to be, %ld "
			    "KiB\n%.400s\n%.400s\n",
			    row->verb, row->args[1] ? row->args[1] : "", variant->name,
			    wrong, c->status, code, c->memory_kib, out, err);
	free(out);
	free(err);
	return !wrong;
}

/* All of them at the same time: most do nothing but wait. */
static int run_rows(enum hostility how, enum has has)
{
	struct child children[ROWS][VARIANTS] = {0};
	int wrong = 0;

	for (size_t i = 0; i < ROWS; i++)
		for (size_t v = 0; v < VARIANTS; v++)
			if (!rows[i].why_not && rows[i].has == has)
				children[i][v] = start(&rows[i], &variants[v],
						       codes[rows[i].ends][how]);
	for (size_t i = 0; i < ROWS; i++)
		for (size_t v = 0; v < VARIANTS; v++)
			if (children[i][v].pid)
				wrong +=
					!finish(&children[i][v], &rows[i], &variants[v],
						codes[rows[i].ends][how]);
	return wrong;
}

static struct fake_devices qemu_with(enum has has)
{
	struct fake_devices empty = {0};

	switch (has) {
	case DIMM:
		return plugged("vmctl-mem0", UPCALL_CLASS_MEM, 0x100000000);
	case PCI_DEVICE:
		return plugged("vmctl-pci0", UPCALL_CLASS_PCI, 0x100);
	default:
		return empty;
	}
}

static void against(enum hostility how)
{
	int wrong = 0;

	for (enum has has = ROOM; has < HAS_KINDS; has++) {
		struct fake_devices d = qemu_with(has);
		struct fake_vm vm = {.no_vsock = true};

		if (has != CPUS)
			vm = fake_with_devices(&d);
		vm.no_vsock = true;
		fake_start(&vm, 1);
		hostile_start(vm.dir, how);
		wrong += run_rows(how, has);
		hostile_stop(vm.dir);
		fake_stop(&vm);
	}
	assert_int_equal(wrong, 0);
}

static void a_guest_that_is_silent(void **state)
{
	(void)state;
	against(SILENT);
}

static void a_guest_that_closes(void **state)
{
	(void)state;
	against(CLOSING);
}

static void a_guest_that_sends_garbage(void **state)
{
	(void)state;
	against(GARBAGE);
}

static void a_guest_that_sends_without_an_end(void **state)
{
	(void)state;
	against(FLOODING);
}

static void every_verb_is_in_the_table(void **state)
{
	(void)state;
	for (const struct verb *v = verbs_all; v->name; v++) {
		size_t i = 0;

		while (i < ROWS && strcmp(rows[i].verb, v->name))
			i++;
		if (i == ROWS)
			fail_msg("%s has no row", v->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verb_is_in_the_table),
		cmocka_unit_test(a_guest_that_is_silent),
		cmocka_unit_test(a_guest_that_closes),
		cmocka_unit_test(a_guest_that_sends_garbage),
		cmocka_unit_test(a_guest_that_sends_without_an_end),
	};

	find_program();
	return cmocka_run_group_tests_name("every_verb", tests, NULL, NULL);
}
