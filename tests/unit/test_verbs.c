/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs that change nothing: what they print of a VM (fake_vm.h), and of none.
 */
#include "fake_vm.h"
#include "run_verb.h"

#include "../../host-cli/verbs.h"

static void info_prints_what_the_agent_says_and_nothing_else_of_it(void **state)
{
	struct fake_vm vm = {0};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 1);
	o = run(info_main, ARGS("info", "vm1"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "kernel            6.12?[2J\n"));
	assert_non_null(strstr(o.out, "CPUs online       0-1\n"));
	assert_non_null(strstr(o.out, "upcall module     not loaded\n"));
	o = run(info_main, ARGS("info", "vm1", "--json"));
	fake_stop(&vm);
	r = json_loads(o.out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(r, "kernel")),
			    "6.12?[2J");
	assert_true(json_is_null(json_object_get(r, "module_version")));
	assert_int_equal(json_integer_value(json_object_get(r, "memory_total_bytes")),
			 512 << 20);
	assert_true(json_real_value(json_object_get(r, "uptime_s")) == 1.5);
	json_decref(r);
}

static void ping_counts_its_round_trips(void **state)
{
	struct fake_vm vm = {0};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(ping_main, ARGS("ping", "vm1", "--count", "50"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "vm1: 50 of 50 round trips"));
	o = run(ping_main, ARGS("ping", "vm1", "--count", "3", "--json"));
	fake_stop(&vm);
	r = json_loads(o.out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(r, "round_trips"), "count")),
			 3);
	json_decref(r);
}

static void ping_fails_where_the_agent_is_not_or_babbles(void **state)
{
	struct fake_vm absent = {.no_agent = true}, babble = {.babble = true};
	struct output o;

	(void)state;
	fake_start(&absent, 0);
	o = run(ping_main, ARGS("ping", "vm1"));
	fake_stop(&absent);
	check_failure(&o, 7, "port 220 refused");
	fake_start(&babble, 0);
	o = run(ping_main, ARGS("ping", "vm1"));
	fake_stop(&babble);
	check_failure(&o, 7, "agent does not answer");
}

static void a_machine_that_is_paused_is_said_to_be(void **state)
{
	struct fake_vm vm = {.paused = true, .no_agent = true, .no_module = true};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(ping_main, ARGS("ping", "vm1", "--timeout", "3"));
	check_failure(&o, 7, "the machine does not run (QEMU: paused), so port 220");
	o = run(devices_main, ARGS("devices", "vm1", "--timeout", "3"));
	check_failure(&o, 6, "the machine does not run (QEMU: paused), so port 219");
	fake_stop(&vm);
}

static void list_shows_a_vm_with_what_answers(void **state)
{
	struct fake_vm vm = {0};
	const json_t *entry;
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 2);
	o = run(list_main, ARGS("list"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\nvm1                  yes    yes         3"
				      "       3      4  6.12?[2J\n"));
	o = run(list_main, ARGS("list", "--json"));
	fake_stop(&vm);
	r = json_loads(o.out, 0, NULL);
	entry = json_array_get(json_object_get(r, "vms"), 0);
	assert_string_equal(json_string_value(json_object_get(entry, "name")), "vm1");
	assert_int_equal(json_integer_value(json_object_get(entry, "plugged")), 3);
	assert_int_equal(json_array_size(json_object_get(entry, "online")), 3);
	json_decref(r);
}

static void list_does_not_fail_for_a_vm_that_is_down(void **state)
{
	struct fake_vm vm = {.no_qmp = true, .no_vsock = true};
	const json_t *entry;
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(list_main, ARGS("list", "--json"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	r = json_loads(o.out, 0, NULL);
	entry = json_array_get(json_object_get(r, "vms"), 0);
	assert_string_equal(json_string_value(json_object_get(entry, "agent")), "down");
	assert_string_equal(json_string_value(json_object_get(entry, "qmp")), "no");
	assert_non_null(json_object_get(entry, "agent_error"));
	json_decref(r);
	/* Now the registry itself is gone. */
	o = run(list_main, ARGS("list"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "");
}

/* Takes connections, as a listening socket does by itself, and never answers. */
static int hang_as(const struct fake_vm *vm, const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", vm->root, name);
	assert_int_equal(mkdir(un.sun_path, 0700), 0);
	strcat(un.sun_path, "/vsock.sock");
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void end_hanging(const struct fake_vm *vm, const char *name, int fd)
{
	char path[128];

	close(fd);
	snprintf(path, sizeof(path), "%s/%s/vsock.sock", vm->root, name);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

#define HANGING 12

static void list_shows_who_lives_behind_those_that_hang(void **state)
{
	struct fake_vm vm = {0};
	struct output o;
	char name[HANGING][4];
	int fd[HANGING];

	(void)state;
	fake_start(&vm, 2);
	for (int i = 0; i < HANGING; i++) {
		snprintf(name[i], sizeof(name[i]), "a%d", i);
		fd[i] = hang_as(&vm, name[i]);
	}
	/* One after the other they would take 24 s. */
	o = run(list_main, ARGS("list", "--timeout", "15"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\na11                  hangs  no "));
	assert_non_null(strstr(o.out, "\nvm1                  yes    yes         3"));
	/* Less than a guest may take proves nothing. */
	o = run(list_main, ARGS("list", "--timeout", "0.2", "--json"));
	assert_non_null(strstr(o.out, "{\"name\":\"a0\",\"agent\":\"late\""));
	for (int i = 0; i < HANGING; i++)
		end_hanging(&vm, name[i], fd[i]);
	fake_stop(&vm);
}

static void qemu_args_are_one_word_a_line(void **state)
{
	struct output o;

	(void)state;
	setenv("VMCTL_RUN_DIR", "/r", 1);
	o = run(qemu_args_main,
		ARGS("qemu-args", "vm1", "--max-cpus", "8", "--memory", "2G"));
	assert_int_equal(o.code, 0);
	assert_string_equal(
		o.out,
		"-machine\nq35,memory-backend=mem0\n"
		"-m\n2048M\n"
		"-object\nmemory-backend-memfd,id=mem0,size=2048M,share=on\n"
		"-smp\n1,sockets=8,cores=1,threads=1,maxcpus=8\n"
		"-chardev\nsocket,id=vsock0,path=/r/vm1/vhost.sock\n"
		"-device\nvhost-user-vsock-pci,chardev=vsock0\n"
		"-chardev\nsocket,id=qmp0,path=/r/vm1/qmp.sock,server=on,wait=off\n"
		"-mon\nchardev=qmp0,mode=control\n");
	o = run(qemu_args_main,
		ARGS("qemu-args", "vm1", "--max-memory", "4G", "--memory-slots", "2"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\n-m\n512M,slots=2,maxmem=4096M\n"));
	o = run(qemu_args_main, ARGS("qemu-args", "vm1", "--max-memory", "256M"));
	assert_int_equal(o.code, 2);
	o = run(qemu_args_main, ARGS("qemu-args", "vm1", "--memory-slots", "257"));
	assert_int_equal(o.code, 2);
	o = run(qemu_args_main,
		ARGS("qemu-args", "vm1", "--machine", "microvm", "--max-memory", "4G"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\n-m\n512M\n"));
	assert_non_null(strstr(o.err, "no memory hotplug"));
	o = run(qemu_args_main, ARGS("qemu-args", "vm1", "--max-cpus", "8", "--append",
				     "--spare", "4"));
	assert_string_equal(o.out, "acpi=off possible_cpus=8\n");
}

static void qemu_args_quotes_what_a_shell_or_qemu_would_split(void **state)
{
	struct output o;

	(void)state;
	setenv("VMCTL_RUN_DIR", "/a b,c", 1);
	o = run(qemu_args_main, ARGS("qemu-args", "vm1"));
	assert_int_equal(o.code, 0);
	assert_non_null(
		strstr(o.out, "\n'socket,id=vsock0,path=/a b,,c/vm1/vhost.sock'\n"));
}

static void qemu_args_on_microvm_has_no_slots_and_says_so(void **state)
{
	struct output o;

	(void)state;
	setenv("VMCTL_RUN_DIR", "/r", 1);
	o = run(qemu_args_main, ARGS("qemu-args", "vm1", "--machine", "microvm",
				     "--cpus", "2", "--max-cpus", "4"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "no CPU hotplug"));
	assert_non_null(strstr(o.out, "\n2,sockets=2,cores=1,threads=1,maxcpus=2\n"));
	assert_non_null(strstr(o.out, "virtio-mmio.force-legacy=false\n"));
	assert_non_null(strstr(o.out, "vhost-user-vsock-device,chardev=vsock0\n"));
	o = run(qemu_args_main,
		ARGS("qemu-args", "vm1", "--machine", "microvm", "--append"));
	assert_string_equal(o.out, "acpi=off upcall.mmio_device=512@0xfeb00e00:12\n");
}

static void qemu_args_warns_where_the_mp_table_would_be_dropped(void **state)
{
	struct output o;

	(void)state;
	o = run(qemu_args_main, ARGS("qemu-args", "vm1", "--max-cpus", "16"));
	assert_string_equal(o.err, "");
	o = run(qemu_args_main,
		ARGS("qemu-args", "vm1", "--max-cpus", "16", "--spare", "1"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "MP table"));
}

static void a_socket_path_that_does_not_fit_is_an_error_that_says_so(void **state)
{
	char dir[120];
	struct output o;

	(void)state;
	memset(dir, 'x', sizeof(dir) - 1);
	dir[0] = '/';
	dir[sizeof(dir) - 1] = '\0';
	setenv("VMCTL_RUN_DIR", dir, 1);
	o = run(qemu_args_main, ARGS("qemu-args", "vm1"));
	check_failure(&o, 1, "too long");
	assert_non_null(strstr(o.err, "VMCTL_RUN_DIR"));
	o = run(qemu_args_main, ARGS("qemu-args", "vm1", "--json"));
	assert_int_equal(o.code, 1);
}

static void wrong_command_lines_are_told_apart_from_failures(void **state)
{
	static char *lines[][6] = {
		{"hotplug-cpu"},
		{"hotplug-cpu", "a", "b"},
		{"hotplug-cpu", "a", "--count"},
		{"hotplug-cpu", "a", "--count", "0"},
		{"hotplug-cpu", "a", "--count", "1", "--to=2"},
		{"hotplug-cpu", "a", "--apic-id", "1,,2"},
		{"hotplug-cpu", "a", "--apic-id", "1,1"},
		{"hotplug-cpu", "a", "--apic-id", "0-256"},
		{"hotplug-cpu", "a", "--timeout", "0"},
		{"hotplug-cpu", "a", "--nonsense"},
		{"hotplug-cpu", "a", "-x"},
		{"hotplug-cpu", "../a"},
		{"hotplug-cpu", "vsock:1"},
	};
	struct output o;
	size_t i;

	(void)state;
	setenv("VMCTL_RUN_DIR", "/nonexistent", 1);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		o = run(hotplug_cpu_main, lines[i]);
		if (o.code != 2 || !*o.err || *o.out)
			fail_msg("line %zu: exit code %d, %s", i, o.code, o.err);
	}
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"));
	check_failure(&o, 3, "there is no VM of that name");
}

static void help_and_version_are_answered_on_stdout(void **state)
{
	struct output o;

	(void)state;
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "--help"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "--apic-id LIST"));
	assert_non_null(strstr(o.out, "--timeout SECONDS"));
	o = run(list_main, ARGS("list", "-V"));
	assert_int_equal(o.code, 0);
	assert_memory_equal(o.out, "vmctl ", 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			info_prints_what_the_agent_says_and_nothing_else_of_it),
		cmocka_unit_test(ping_counts_its_round_trips),
		cmocka_unit_test(ping_fails_where_the_agent_is_not_or_babbles),
		cmocka_unit_test(a_machine_that_is_paused_is_said_to_be),
		cmocka_unit_test(list_shows_a_vm_with_what_answers),
		cmocka_unit_test(list_does_not_fail_for_a_vm_that_is_down),
		cmocka_unit_test(list_shows_who_lives_behind_those_that_hang),
		cmocka_unit_test(qemu_args_are_one_word_a_line),
		cmocka_unit_test(qemu_args_quotes_what_a_shell_or_qemu_would_split),
		cmocka_unit_test(qemu_args_on_microvm_has_no_slots_and_says_so),
		cmocka_unit_test(qemu_args_warns_where_the_mp_table_would_be_dropped),
		cmocka_unit_test(
			a_socket_path_that_does_not_fit_is_an_error_that_says_so),
		cmocka_unit_test(wrong_command_lines_are_told_apart_from_failures),
		cmocka_unit_test(help_and_version_are_answered_on_stdout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
