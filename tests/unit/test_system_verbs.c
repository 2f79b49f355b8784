// SPDX-License-Identifier: Apache-2.0
/* vmctl's verbs for a guest's power, time, name and keys, on a real agent. */
#include "hybrid_front.h"
#include "run_verb.h"

#include <jansson.h>

#include "../../host-cli/verbs.h"

static void power_is_asked_for_once_dry_and_once_not(void **state)
{
	struct fixture *f = *state;
	struct output o = run(reboot_main, ARGS("reboot", "vm1", "--dry-run"));
	json_t *r;

	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "reboot; nothing was changed"));
	o = run(shutdown_main, ARGS("shutdown", "vm1", "--json"));
	r = json_loads(o.out, 0, NULL);
	assert_int_equal(o.code, 0);
	assert_string_equal(json_string_value(json_object_get(r, "way")), "kernel");
	json_decref(r);
	o = run(reboot_main, ARGS("reboot", "vm1", "--force"));
	check_failure(&o, 9, "on its way already");
	wait_until(log_has(f, "Shutdown failed"));
	o = run(suspend_main, ARGS("suspend", "vm1"));
	check_failure(&o, 9, "cannot suspend");
	o = run(reboot_main, ARGS("reboot", "vm1"));
	assert_string_equal(o.out, "vm1: reboots (kernel)\n");
}

static void time_is_shown_and_how_far_it_is_off(void **state)
{
	struct output o = run(time_main, ARGS("time", "vm1", "--json"));
	json_t *r = json_loads(o.out, 0, NULL);

	(void)state;
	assert_int_equal(o.code, 0);
	assert_true(json_real_value(json_object_get(r, "offset_s")) < 1);
	assert_true(json_real_value(json_object_get(r, "offset_s")) > -1);
	json_decref(r);
	o = run(time_main, ARGS("time", "vm1", "--sync", "--dry-run"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "nothing was changed"));
	/* An agent with a tree of its own does not set this machine's clock. */
	o = run(time_main, ARGS("time", "vm1", "--sync"));
	check_failure(&o, 9, "setting the clock");
	o = run(time_main, ARGS("time", "vm1", "--set", "@1700000000.5"));
	check_failure(&o, 9, "setting the clock");
	o = run(time_main, ARGS("time", "vm1", "--set", "2026-01-31T23:59:59Z"));
	check_failure(&o, 9, "setting the clock");
}

static void wrong_times_are_errors_of_usage(void **state)
{
	static const char *const wrong[] = {
		"@",
		"@x",
		"@1.",
		"@1.0000000000",
		"@-1",
		"tomorrow",
		"1969-12-31T23:59:59Z",
	};
	struct output o;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		o = run(time_main, ARGS("time", "vm1", "--set", (char *)wrong[i]));
		assert_int_equal(o.code, 2);
	}
	o = run(time_main, ARGS("time", "vm1", "--set", "@1", "--sync"));
	assert_int_equal(o.code, 2);
}

static void a_host_name_is_shown_and_set(void **state)
{
	struct fixture *f = *state;
	struct output o;
	char text[64];

	put_file(f, "proc/sys/kernel/hostname", "old\n");
	o = run(hostname_main, ARGS("hostname", "vm1"));
	assert_string_equal(o.out, "old\n");
	o = run(hostname_main, ARGS("hostname", "vm1", "newer", "--dry-run"));
	assert_non_null(strstr(o.out, "nothing was changed"));
	o = run(hostname_main, ARGS("hostname", "vm1", "newer"));
	assert_int_equal(o.code, 0);
	get_file(f, "proc/sys/kernel/hostname", text, sizeof(text));
	assert_int_equal(strncmp(text, "newer", 5), 0);
	o = run(hostname_main, ARGS("hostname", "vm1", "new er"));
	check_failure(&o, 9, "is no host name");
}

static void keys_are_listed_added_and_removed(void **state)
{
	struct fixture *f = *state;
	char line[96], path[PATH_MAX];
	struct output o;

	snprintf(line, sizeof(line), "me:x:%u:%u::/home/me:/bin/sh\n", geteuid(),
		 getegid());
	put_file(f, "etc/passwd", line);
	put_file(f, "home/me/mark", "");
	put_file(f, "key.pub", "# mine\n\nssh-ed25519 AAAAC3Nz me@host\n");
	path_of(f, "key.pub", path);
	o = run(ssh_keys_main, ARGS("ssh-keys", "vm1", "--user", "me"));
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "");
	o = run(ssh_keys_main,
		ARGS("ssh-keys", "vm1", "--user", "me", "--add", path, "--dry-run"));
	assert_non_null(strstr(o.out, "nothing was changed"));
	o = run(ssh_keys_main, ARGS("ssh-keys", "vm1", "--user", "me", "--add", path));
	assert_string_equal(o.out, "vm1: 1 keys changed, 1 there are\n");
	o = run(ssh_keys_main, ARGS("ssh-keys", "vm1", "--user", "me"));
	assert_string_equal(o.out, "ssh-ed25519 AAAAC3Nz me@host\n");
	o = run(ssh_keys_main,
		ARGS("ssh-keys", "vm1", "--user", "me", "--remove", path));
	assert_string_equal(o.out, "vm1: 1 keys changed, 0 there are\n");
	o = run(ssh_keys_main, ARGS("ssh-keys", "vm1", "--user", "nobody-such"));
	check_failure(&o, 9, "no user 'nobody-such'");
	o = run(ssh_keys_main, ARGS("ssh-keys", "vm1", "--add", "/no/such"));
	check_failure(&o, 2, "/no/such");
	o = run(verbs_run, ARGS("vmctl", "ssh-keys", "--vm", "vm1", "--add", "-"));
	check_failure(&o, 2, "standard input is for one VM; give a file");
}

#define test(name) cmocka_unit_test_setup_teardown(name, start_front, stop_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(power_is_asked_for_once_dry_and_once_not),
		test(time_is_shown_and_how_far_it_is_off),
		test(wrong_times_are_errors_of_usage),
		test(a_host_name_is_shown_and_set),
		test(keys_are_listed_added_and_removed),
	};

	return cmocka_run_group_tests_name("system_verbs", tests, NULL, NULL);
}
