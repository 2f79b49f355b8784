// SPDX-License-Identifier: Apache-2.0
/*
 * The agent's power, time, host name, entropy and ssh keys, in a tree of its own: with
 * --root it leaves the machine that it runs on alone.
 */
#include "test_agent_common.h"

#include "../../agent/power.h"
#include "../../agent/ssh_key.h"
#include "vmctl/agent/v1/power.pb-c.h"
#include "vmctl/agent/v1/ssh_keys.pb-c.h"
#include "vmctl/agent/v1/system.pb-c.h"

/* Calls, and gives the answer if the status is as wanted; NULL: it is no success. */
static ProtobufCMessage *call(const struct fixture *f, const char *method,
			      const ProtobufCMessage *request,
			      const ProtobufCMessageDescriptor *type, int status,
			      const char *words)
{
	ProtobufCMessage *m = NULL;
	int fd = dial(f);
	struct answer a;

	send_call(fd, 1, SERVICE, method, request, 0);
	a = take_answer(fd);
	if (status_of(&a) != status)
		fail_msg("%s: status %d: %s", method, status_of(&a),
			 a.response->status ? a.response->status->message : "");
	if (status && !strstr(a.response->status->message, words))
		fail_msg("'%s' is not in: %s", words, a.response->status->message);
	if (!status) {
		m = protobuf_c_message_unpack(type, NULL, a.response->payload.len,
					      a.response->payload.data);
		assert_non_null(m);
	}
	free_answer(&a);
	close(fd);
	return m;
}

static void expect_way(const struct fixture *f, const char *method, bool force,
		       Vmctl__Agent__V1__PowerWay way)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	Vmctl__Agent__V1__PowerResponse *response;

	request.dry_run = true;
	request.force = force;
	response = (void *)call(f, method, &request.base,
				&vmctl__agent__v1__power_response__descriptor, 0, "");
	assert_int_equal(response->way, way);
	protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void put_program(const struct fixture *f, const char *name, const char *script)
{
	char path[PATH_MAX];

	put_file(f, name, script);
	path_of(f, name, path);
	assert_int_equal(chmod(path, 0755), 0);
}

#define WAY(name) VMCTL__AGENT__V1__POWER_WAY__POWER_WAY_##name

static void who_turns_the_guest_off_is_what_it_has(void **state)
{
	expect_way(*state, "Shutdown", false, WAY(KERNEL));
	/* SIGTERM is waited for, and SIGUSR2 is not. */
	put_file(*state, "proc/1/status",
		 "SigBlk:\t0000000000004000\nSigCgt:\t0000000000000200\n");
	expect_way(*state, "Shutdown", false, WAY(KERNEL));
	expect_way(*state, "Reboot", false, WAY(INIT));
	put_program(*state, "sbin/shutdown", "#!/bin/sh\n");
	expect_way(*state, "Shutdown", false, WAY(SHUTDOWN));
	put_program(*state, "usr/bin/systemctl", "#!/bin/sh\n");
	expect_way(*state, "Shutdown", false, WAY(SHUTDOWN));
	put_file(*state, "run/systemd/system/mark", "");
	expect_way(*state, "Reboot", false, WAY(SYSTEMD));
	expect_way(*state, "Reboot", true, WAY(KERNEL));
}

static void systemctl_is_asked_and_its_words_are_passed_on(void **state)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	const struct fixture *f = *state;
	char script[256], text[256];
	ProtobufCMessage *m;

	snprintf(script, sizeof(script),
		 "#!/bin/sh\necho \"$@\" >%s/asked\n[ \"$2\" != suspend ] || "
		 "{ echo no way >&2; exit 1; }\n",
		 f->dir);
	put_program(f, "usr/bin/systemctl", script);
	put_file(f, "run/systemd/system/mark", "");
	m = call(f, "Shutdown", &request.base,
		 &vmctl__agent__v1__power_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	get_file(f, "asked", text, sizeof(text));
	assert_string_equal(text, "--no-block poweroff\n");
	m = call(f, "Reboot", &request.base,
		 &vmctl__agent__v1__power_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	get_file(f, "asked", text, sizeof(text));
	assert_string_equal(text, "--no-block reboot\n");
	call(f, "Suspend", &request.base, NULL, TTRPC_INTERNAL, "no way");
}

/* A systemctl whose script has the fixture's directory in $d. */
static void put_systemctl(const struct fixture *f, const char *script)
{
	char text[512];

	snprintf(text, sizeof(text), "#!/bin/sh\nd=%s\n%s\n", f->dir, script);
	put_program(f, "usr/bin/systemctl", text);
	put_file(f, "run/systemd/system/mark", "");
}

static void a_program_that_closes_its_output_holds_nothing_up(void **state)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	int fd = dial(*state), other = dial(*state);

	put_systemctl(*state, "exec >/dev/null 2>&1; : >$d/began\n"
			      "until [ -e $d/go ]; do sleep 0.05; done");
	send_call(fd, 1, SERVICE, "Shutdown", &request.base, 0);
	wait_until(exists(*state, "began"));
	for (uint32_t id = 1; id < 20; id += 2)
		expect_works(other, id);
	put_file(*state, "go", "");
	expect_status(fd, 1, TTRPC_OK);
	close(fd);
	close(other);
}

static void a_program_that_leaves_its_output_to_others_has_ended(void **state)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	int fd = dial(*state);
	char text[64];

	put_systemctl(*state, "sleep 1000 & echo $! >$d/left; echo some words");
	send_call(fd, 1, SERVICE, "Shutdown", &request.base, 0);
	expect_status(fd, 1, TTRPC_OK);
	get_file(*state, "left", text, sizeof(text));
	assert_int_equal(kill(atoi(text), SIGKILL), 0);
	close(fd);
}

static void programs_that_hang_do_not_keep_the_kernel_from_it(void **state)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	const uint32_t last = 2 * 16 + 1;
	int fd = dial(*state);

	put_systemctl(*state, "until [ -e $d/go ]; do sleep 0.05; done");
	for (uint32_t id = 1; id < last; id += 2)
		send_call(fd, id, SERVICE, "Shutdown", &request.base, 0);
	send_call(fd, last, SERVICE, "Shutdown", &request.base, 0);
	expect_status(fd, last, TTRPC_RESOURCE_EXHAUSTED);
	request.force = true;
	send_call(fd, last + 2, SERVICE, "Reboot", &request.base, 0);
	expect_status(fd, last + 2, TTRPC_OK);
	wait_until(log_has(*state, "Reboot failed: Operation not permitted"));
	put_file(*state, "go", "");
	for (uint32_t id = 1; id < last; id += 2) {
		struct answer a = take_answer(fd);

		assert_int_equal(status_of(&a), TTRPC_OK);
		free_answer(&a);
	}
	close(fd);
}

static void hang(void)
{
	for (;;)
		pause();
}

/* Says so in the agent's log. */
static int fake_reboot(int command)
{
	dprintf(STDERR_FILENO, "reboot(0x%x)\n", (unsigned int)command);
	return 0;
}

static int start_with_a_dead_disk(void **state)
{
	struct power_kernel real = power_kernel;
	int ret;

	power_kernel = (struct power_kernel){hang, 100, fake_reboot};
	ret = start_agent(state);
	power_kernel = real;
	return ret;
}

static void a_dead_disk_does_not_keep_the_guest_up(void **state)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	ProtobufCMessage *m;

	request.force = true;
	m = call(*state, "Reboot", &request.base,
		 &vmctl__agent__v1__power_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	wait_until(log_has(*state, "reboot(0x1234567)"));
}

static void the_answer_comes_before_the_kernel_does_it(void **state)
{
	Vmctl__Agent__V1__PowerRequest request = VMCTL__AGENT__V1__POWER_REQUEST__INIT;
	char text[64];
	ProtobufCMessage *m;

	m = call(*state, "Reboot", &request.base,
		 &vmctl__agent__v1__power_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	call(*state, "Shutdown", &request.base, NULL, TTRPC_FAILED_PRECONDITION,
	     "on its way");
	/* With a tree of its own the agent does not do it. */
	wait_until(log_has(*state, "Reboot failed: Operation not permitted"));
	call(*state, "Suspend", &request.base, NULL, TTRPC_UNIMPLEMENTED,
	     "cannot suspend");
	put_file(*state, "sys/power/state", "freeze mem disk\n");
	m = call(*state, "Suspend", &request.base,
		 &vmctl__agent__v1__power_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	wait_until((get_file(*state, "sys/power/state", text, sizeof(text)),
		    !strncmp(text, "meme", 4)));
}

static void time_is_told_and_wrong_times_are_refused(void **state)
{
	Vmctl__Agent__V1__GetTimeRequest get = VMCTL__AGENT__V1__GET_TIME_REQUEST__INIT;
	Vmctl__Agent__V1__SetTimeRequest set = VMCTL__AGENT__V1__SET_TIME_REQUEST__INIT;
	Vmctl__Agent__V1__GetTimeResponse *response;
	time_t before = time(NULL);

	response =
		(void *)call(*state, "GetTime", &get.base,
			     &vmctl__agent__v1__get_time_response__descriptor, 0, "");
	assert_in_range(response->seconds, before, before + PATIENCE / 1000);
	assert_in_range(response->nanoseconds, 0, 999999999);
	protobuf_c_message_free_unpacked(&response->base, NULL);
	set.seconds = before;
	set.nanoseconds = 1000000000;
	call(*state, "SetTime", &set.base, NULL, TTRPC_INVALID_ARGUMENT, "no time");
	set.seconds = -1;
	set.nanoseconds = 0;
	call(*state, "SetTime", &set.base, NULL, TTRPC_INVALID_ARGUMENT, "no time");
	set.seconds = before;
	call(*state, "SetTime", &set.base, NULL, TTRPC_PERMISSION_DENIED,
	     "setting the clock");
}

static void a_host_name_is_set_now_and_for_later(void **state)
{
	Vmctl__Agent__V1__GetHostnameRequest get =
		VMCTL__AGENT__V1__GET_HOSTNAME_REQUEST__INIT;
	Vmctl__Agent__V1__SetHostnameRequest set =
		VMCTL__AGENT__V1__SET_HOSTNAME_REQUEST__INIT;
	Vmctl__Agent__V1__GetHostnameResponse *response;
	static const char *const wrong[] = {"",	   "-a",  "a-",	    "a..b",
					    "a b", "a\n", "a/../b", "\xc3\xa4"};
	ProtobufCMessage *m;

	put_file(*state, "proc/sys/kernel/hostname", "old\n");
	put_file(*state, "etc/hostname", "older\n");
	set.name = (char *)"new.example";
	m = call(*state, "SetHostname", &set.base,
		 &vmctl__agent__v1__set_hostname_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	response = (void *)call(*state, "GetHostname", &get.base,
				&vmctl__agent__v1__get_hostname_response__descriptor, 0,
				"");
	assert_string_equal(response->name, "new.example");
	assert_string_equal(response->persistent, "older");
	protobuf_c_message_free_unpacked(&response->base, NULL);
	set.persistent = true;
	m = call(*state, "SetHostname", &set.base,
		 &vmctl__agent__v1__set_hostname_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	response = (void *)call(*state, "GetHostname", &get.base,
				&vmctl__agent__v1__get_hostname_response__descriptor, 0,
				"");
	assert_string_equal(response->persistent, "new.example");
	protobuf_c_message_free_unpacked(&response->base, NULL);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		set.name = (char *)wrong[i];
		call(*state, "SetHostname", &set.base, NULL, TTRPC_INVALID_ARGUMENT,
		     "is no host name");
	}
}

static void a_fifo_for_the_host_name_is_not_waited_for(void **state)
{
	Vmctl__Agent__V1__GetHostnameRequest get =
		VMCTL__AGENT__V1__GET_HOSTNAME_REQUEST__INIT;
	Vmctl__Agent__V1__GetHostnameResponse *response;
	char path[PATH_MAX];

	put_file(*state, "proc/sys/kernel/hostname", "name\n");
	put_file(*state, "etc/passwd", "");
	path_of(*state, "etc/hostname", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	response = (void *)call(*state, "GetHostname", &get.base,
				&vmctl__agent__v1__get_hostname_response__descriptor, 0,
				"");
	assert_string_equal(response->name, "name");
	assert_string_equal(response->persistent, "");
	protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void a_name_that_takes_long_to_write_holds_nobody_up(void **state)
{
	Vmctl__Agent__V1__SetHostnameRequest set =
		VMCTL__AGENT__V1__SET_HOSTNAME_REQUEST__INIT;
	const struct fixture *f = *state;
	int fd = dial(f), other = dial(f), fifo;
	char path[PATH_MAX], text[64] = "";

	put_file(f, "proc/sys/kernel/mark", "");
	path_of(f, "proc/sys/kernel/hostname", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	set.name = (char *)"new";
	send_call(fd, 1, SERVICE, "SetHostname", &set.base, 0);
	/* The frame after it is looked at when its handler has returned. */
	expect_works(fd, 3);
	expect_works(other, 1);
	fifo = open(path, O_RDONLY | O_CLOEXEC);
	expect_status(fd, 1, TTRPC_OK);
	assert_int_equal(read(fifo, text, sizeof(text) - 1), 3);
	assert_string_equal(text, "new");
	close(fifo);
	close(fd);
	close(other);
}

static void random_bytes_go_to_the_device(void **state)
{
	Vmctl__Agent__V1__AddEntropyRequest request =
		VMCTL__AGENT__V1__ADD_ENTROPY_REQUEST__INIT;
	static uint8_t many[4097];
	char text[64];
	ProtobufCMessage *m;

	put_file(*state, "dev/random", "");
	request.data.data = (uint8_t *)"seed";
	request.data.len = 4;
	m = call(*state, "AddEntropy", &request.base,
		 &vmctl__agent__v1__add_entropy_response__descriptor, 0, "");
	protobuf_c_message_free_unpacked(m, NULL);
	get_file(*state, "dev/random", text, sizeof(text));
	assert_string_equal(text, "seed");
	request.credit = true; /* which a plain file does not know */
	call(*state, "AddEntropy", &request.base, NULL, TTRPC_INTERNAL, "/dev/random");
	request.data.len = 0;
	call(*state, "AddEntropy", &request.base, NULL, TTRPC_INVALID_ARGUMENT,
	     "bytes");
	request.data.data = many;
	request.data.len = sizeof(many);
	call(*state, "AddEntropy", &request.base, NULL, TTRPC_INVALID_ARGUMENT,
	     "bytes");
}

#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA a@host"
#define KEY_B "ecdsa-sha2-nistp256 AAAAE2VjZHNhAAAB b@host"

static void a_key_is_found_among_options_and_comments(void **state)
{
	static const char with_options[] =
		"command=\"echo ssh-rsa \\\"AAAA\\\" x\",no-pty ssh-ed25519 "
		"AAAAC3NzaC1lZDI1NTE5AAAAIAAA other";
	struct ssh_key a, b;

	(void)state;
	assert_true(ssh_key_find(KEY_A, strlen(KEY_A), &a));
	assert_true(ssh_key_find(with_options, strlen(with_options), &b));
	assert_true(ssh_key_equal(&a, &b));
	assert_true(ssh_key_find(KEY_B, strlen(KEY_B), &b));
	assert_false(ssh_key_equal(&a, &b));
	assert_false(ssh_key_find("# " KEY_A, strlen("# " KEY_A), &a));
	assert_false(ssh_key_find("", 0, &a));
	assert_false(ssh_key_find("ssh-rsa", 7, &a));
	assert_false(ssh_key_find("ssh-rsa ", 8, &a));
	assert_false(ssh_key_find("ssh-rsa !", 9, &a));
	assert_false(ssh_key_is_line(KEY_A "\n" KEY_B));
	assert_true(ssh_key_is_line(KEY_B));
}

static void keys_call(const struct fixture *f, const char *method, const char *key,
		      size_t n, uint32_t changed, int status, const char *words)
{
	Vmctl__Agent__V1__SshKeysRequest request =
		VMCTL__AGENT__V1__SSH_KEYS_REQUEST__INIT;
	Vmctl__Agent__V1__SshKeysResponse *response;
	char *keys[] = {(char *)key};

	request.user = (char *)"me";
	request.keys = keys;
	request.n_keys = key ? 1 : 0;
	response = (void *)call(f, method, &request.base,
				&vmctl__agent__v1__ssh_keys_response__descriptor,
				status, words);
	if (status)
		return;
	assert_int_equal(response->n_keys, n);
	assert_int_equal(response->changed, changed);
	protobuf_c_message_free_unpacked(&response->base, NULL);
}

/* A user "me" with a home, which may be another than the one that tests. */
static void make_user(const struct fixture *f)
{
	uid_t uid = geteuid() ? geteuid() : 65534;
	gid_t gid = geteuid() ? getegid() : 65534;
	char line[128], path[PATH_MAX];

	snprintf(line, sizeof(line), "me:x:%u:%u::/home/me:/bin/sh\n", uid, gid);
	put_file(f, "etc/passwd", line);
	put_file(f, "home/me/mark", "");
	path_of(f, "home/me", path);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chown(path, uid, gid), 0);
}

static void keys_are_added_once_and_removed(void **state)
{
	const struct fixture *f = *state;
	char path[PATH_MAX], text[1024];
	struct stat st, home;

	make_user(f);
	keys_call(f, "ListSshKeys", NULL, 0, 0, 0, "");
	keys_call(f, "RemoveSshKeys", KEY_A, 0, 0, 0, "");
	keys_call(f, "AddSshKeys", KEY_A, 1, 1, 0, "");
	keys_call(f, "AddSshKeys", KEY_A " again", 1, 0, 0, "");
	keys_call(f, "AddSshKeys", KEY_B, 2, 1, 0, "");
	path_of(f, "home/me/.ssh/authorized_keys", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	path_of(f, "home/me", path);
	assert_int_equal(stat(path, &home), 0);
	assert_int_equal(st.st_uid, home.st_uid);
	assert_int_equal(st.st_gid, home.st_gid);
	path_of(f, "home/me/.ssh", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	keys_call(f, "RemoveSshKeys", KEY_A, 1, 1, 0, "");
	get_file(f, "home/me/.ssh/authorized_keys", text, sizeof(text));
	assert_string_equal(text, KEY_B "\n");
	keys_call(f, "ListSshKeys", NULL, 1, 0, 0, "");
}

static void what_is_no_key_or_no_users_file_is_refused(void **state)
{
	const struct fixture *f = *state;
	char path[PATH_MAX], target[PATH_MAX];

	keys_call(f, "ListSshKeys", NULL, 0, 0, TTRPC_NOT_FOUND, "no user 'me'");
	make_user(f);
	keys_call(f, "AddSshKeys", "hello", 0, 0, TTRPC_INVALID_ARGUMENT, "is none");
	keys_call(f, "AddSshKeys", KEY_A "\n" KEY_B, 0, 0, TTRPC_INVALID_ARGUMENT,
		  "is none");
	keys_call(f, "AddSshKeys", NULL, 0, 0, TTRPC_INVALID_ARGUMENT, "no keys");
	keys_call(f, "ListSshKeys", KEY_A, 0, 0, TTRPC_INVALID_ARGUMENT, "to list");
	/* A folder, then a file that leads elsewhere. */
	put_file(f, "elsewhere/authorized_keys", KEY_B "\n");
	path_of(f, "elsewhere", target);
	path_of(f, "home/me/.ssh", path);
	assert_int_equal(symlink(target, path), 0);
	keys_call(f, "AddSshKeys", KEY_A, 0, 0, TTRPC_FAILED_PRECONDITION, ".ssh");
	assert_int_equal(unlink(path), 0);
	keys_call(f, "AddSshKeys", KEY_A, 1, 1, 0, "");
	path_of(f, "home/me/.ssh/authorized_keys", path);
	path_of(f, "elsewhere/authorized_keys", target);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(target, path), 0);
	keys_call(f, "AddSshKeys", KEY_A, 0, 0, TTRPC_PERMISSION_DENIED,
		  "authorized_keys");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	keys_call(f, "ListSshKeys", NULL, 0, 0, TTRPC_PERMISSION_DENIED,
		  "no regular file");
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(who_turns_the_guest_off_is_what_it_has),
		test(systemctl_is_asked_and_its_words_are_passed_on),
		test(a_program_that_closes_its_output_holds_nothing_up),
		test(a_program_that_leaves_its_output_to_others_has_ended),
		test(programs_that_hang_do_not_keep_the_kernel_from_it),
		cmocka_unit_test_setup_teardown(a_dead_disk_does_not_keep_the_guest_up,
						start_with_a_dead_disk, stop_agent),
		test(the_answer_comes_before_the_kernel_does_it),
		test(time_is_told_and_wrong_times_are_refused),
		test(a_host_name_is_set_now_and_for_later),
		test(a_fifo_for_the_host_name_is_not_waited_for),
		test(a_name_that_takes_long_to_write_holds_nobody_up),
		test(random_bytes_go_to_the_device),
		cmocka_unit_test(a_key_is_found_among_options_and_comments),
		test(keys_are_added_once_and_removed),
		test(what_is_no_key_or_no_users_file_is_refused),
	};

	return cmocka_run_group_tests_name("agent_system", tests, NULL, NULL);
}
