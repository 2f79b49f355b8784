/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What vmctl does by itself when a connection breaks, or is not to be had at once:
 * calls that change nothing are repeated, others are not.
 */
#include "fake_vm.h"
#include "run_verb.h"

#include <sys/mman.h>

#include "../../host-cli/verbs.h"

static void a_ping_goes_on_after_connections_that_broke(void **state)
{
	struct fake_vm vm = {.drop_after = 3, .drop_calls = 4};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(ping_main, ARGS("ping", "vm1", "--count", "10", "--json"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	r = json_loads(o.out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(r, "round_trips"), "count")),
			 10);
	/* Said once, not each time. */
	assert_int_equal(json_array_size(json_object_get(r, "warnings")), 1);
	json_decref(r);
	assert_non_null(strstr(o.err, "trying again"));
}

static void info_is_asked_again(void **state)
{
	struct fake_vm vm = {.drop_calls = 2};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(info_main, ARGS("info", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	assert_non_null(strstr(o.out, "hostname          guest\n"));
}

static void an_agent_that_is_being_restarted_is_waited_for(void **state)
{
	struct fake_vm vm = {.refuse_dials = 4};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(ping_main, ARGS("ping", "vm1", "-v"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "port 220 refused"));
}

static void list_repeats_what_broke(void **state)
{
	struct fake_vm vm = {.drop_calls = 1};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(list_main, ARGS("list"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "\nvm1                  yes    yes "));
}

static void what_answered_once_is_waited_for_until_the_timeout(void **state)
{
	struct fake_vm vm = {.drop_after = 1, .drop_calls = 1 << 20};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	/* The fake has room for so many connections. */
	o = run(ping_main, ARGS("ping", "vm1", "--count", "5", "--timeout", "2"));
	fake_stop(&vm);
	/* The last try may be under way when the time has passed. */
	if (o.code != 11)
		assert_int_equal(o.code, 7);
	assert_non_null(strstr(o.err, "it was tried "));
	assert_non_null(strstr(o.out, "1 of 5 round trips"));
}

static void a_change_is_not_repeated(void **state)
{
	struct fake_vm vm = {.drop_after = 1, .drop_calls = 1};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	/* The second call comes when the guest has the CPU already. */
	o = run(hotplug_cpu_main, ARGS("hotplug-cpu", "vm1"));
	fake_stop(&vm);
	check_failure(&o, 7, "agent does not answer");
	assert_string_equal(fake_state(&vm), "Qpo --- --- ---");
}

#define KEY_FD 77
#define KEY    "/dev/fd/77"

/* A key for those that want one. */
static void put_key(void)
{
	static const char key[] = "ssh-ed25519 AAAAC3Nz me@host\n";
	int fd = memfd_create("key", MFD_CLOEXEC);

	assert_int_equal(write(fd, key, strlen(key)), strlen(key));
	assert_int_equal(dup2(fd, KEY_FD), KEY_FD);
	close(fd);
}

/* Each is one call, or with time the second. getopt puts the words in order. */
static struct change {
	int (*verb)(int argc, char **argv);
	char *argv[7];
	int drop_after, code;
	const char *words;
} changes[] = {
	{hostname_main, {"hostname", "vm1", "new"}, 0, 7, "agent's SetHostname"},
	{cpus_main, {"cpus", "vm1", "--online", "1"}, 0, 7, "agent's OnlineCpus"},
	{cpus_main, {"cpus", "vm1", "--offline", "1"}, 0, 7, "agent's OfflineCpus"},
	{memory_main, {"memory", "vm1", "--offline", "1"}, 0, 7, "OfflineMemoryBlocks"},
	{net_main,
	 {"net", "vm1", "--interface", "lo", "--up"},
	 0,
	 7,
	 "agent's SetInterface"},
	{time_main, {"time", "vm1", "--sync"}, 1, 7, "set: the agent"},
	{ssh_keys_main, {"ssh-keys", "vm1", "--add", KEY}, 0, 7, "agent's AddSshKeys"},
	{freeze_main, {"freeze", "vm1"}, 0, 7, "the agent"},
	{thaw_main, {"thaw", "vm1"}, 0, 7, "the agent"},
	{trim_main, {"trim", "vm1"}, 0, 7, "the agent"},
	{shutdown_main, {"shutdown", "vm1"}, 0, 7, "agent's Shutdown"},
	{reboot_main, {"reboot", "vm1"}, 0, 7, "agent's Reboot"},
	{suspend_main, {"suspend", "vm1"}, 0, 7, "agent's Suspend"},
	{exec_main, {"exec", "vm1", "true"}, 0, 125, "start: the agent"},
};

#define CHANGES	  (sizeof(changes) / sizeof(changes[0]))
#define NOT_AGAIN "; the request is not sent again, since the guest may have carried"

/* The fake would take the second one, whichever it is. */
static void what_one_call_changes_is_not_repeated(void **state)
{
	struct output o;

	(void)state;
	put_key();
	for (size_t i = 0; i < CHANGES; i++) {
		struct fake_vm vm = {.drop_calls = 1,
				     .drop_after = changes[i].drop_after};

		fake_start(&vm, 0);
		o = run(changes[i].verb, changes[i].argv);
		fake_stop(&vm);
		check_failure(&o, changes[i].code, changes[i].words);
		check_failure(&o, changes[i].code, NOT_AGAIN);
		assert_int_equal(vm.drop_calls, 0);
	}
	close(KEY_FD);
}

/* There is nothing to be unsure of. */
static void what_was_never_sent_is_not_said_to_be_sent(void **state)
{
	struct fake_vm vm = {.no_agent = true};
	struct output o;

	(void)state;
	put_key();
	fake_start(&vm, 0);
	for (size_t i = 0; i < CHANGES; i++) {
		/* time asks before, and waits for who is not there. */
		if (changes[i].drop_after)
			continue;
		o = run(changes[i].verb, changes[i].argv);
		check_failure(&o, changes[i].code, "port 220 refused");
		assert_null(strstr(o.err, "again"));
	}
	fake_stop(&vm);
	close(KEY_FD);
}

static void a_dry_run_finds_out_that_there_is_no_agent(void **state)
{
	struct fake_vm vm = {.no_agent = true};
	struct output o;

	(void)state;
	put_key();
	fake_start(&vm, 0);
	for (size_t i = 0; i < CHANGES; i++) {
		char *argv[12];
		int argc = 0;

		/* exec has no --dry-run. */
		if (changes[i].verb == exec_main)
			continue;
		while (changes[i].argv[argc]) {
			argv[argc] = changes[i].argv[argc];
			argc++;
		}
		argv[argc++] = "--dry-run";
		argv[argc++] = "--timeout";
		argv[argc++] = "0.5";
		argv[argc] = NULL;
		o = run(changes[i].verb, argv);
		check_failure(&o, 7, "port 220 refused");
		assert_null(strstr(o.err, "not sent again"));
	}
	fake_stop(&vm);
	close(KEY_FD);
}

/* The fake's answers are empty, and its streams end at once. */
static void what_one_call_asks_is_repeated(void **state)
{
	static struct {
		int (*verb)(int argc, char **argv);
		char *argv[6];
	} questions[] = {
		{cpus_main, {"cpus", "vm1"}},
		{memory_main, {"memory", "vm1"}},
		{net_main, {"net", "vm1"}},
		{metrics_main, {"metrics", "vm1"}},
		{status_main, {"status", "vm1"}},
		{hostname_main, {"hostname", "vm1"}},
		{hostname_main, {"hostname", "vm1", "new", "--dry-run"}},
		{time_main, {"time", "vm1"}},
		{ssh_keys_main, {"ssh-keys", "vm1"}},
		{df_main, {"df", "vm1"}},
		{freeze_main, {"freeze", "vm1", "--status"}},
		{freeze_main, {"freeze", "vm1", "--dry-run"}},
		{trim_main, {"trim", "vm1", "--dry-run"}},
		{reboot_main, {"reboot", "vm1", "--dry-run"}},
		{events_main, {"events", "vm1"}},
	};
	struct output o;

	(void)state;
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		struct fake_vm vm = {.drop_calls = 2};

		fake_start(&vm, 0);
		o = run(questions[i].verb, questions[i].argv);
		fake_stop(&vm);
		if (o.code || *o.err)
			fail_msg("%s: code %d: %s", questions[i].argv[0], o.code,
				 o.err);
		assert_int_equal(vm.drop_calls, 0);
	}
}

/* A status is how it is now: who is not there is not waited for. */
static void status_repeats_what_broke_and_nothing_else(void **state)
{
	struct fake_vm vm = {.refuse_dials = 1};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(status_main, ARGS("status", "vm1"));
	fake_stop(&vm);
	assert_int_equal(o.code, 7);
	assert_non_null(strstr(o.err, "port 220 refused"));
}

/* An event on each connection, which then breaks. */
static bool say_and_go(struct fake_vm *vm, int fd, uint32_t stream,
		       const Ttrpc__Request *request, bool *stay)
{
	static const uint8_t event[] = {1 << 3, 1}; /* kind: AGENT_START */
	struct ttrpc_header h = {
		.length = sizeof(event), .stream_id = stream, .type = TTRPC_DATA};
	uint8_t frame[TTRPC_HEADER_SIZE + sizeof(event)];

	(void)vm;
	(void)request;
	ttrpc_header_encode(&h, frame);
	memcpy(frame + TTRPC_HEADER_SIZE, event, sizeof(event));
	fake_send(fd, frame, sizeof(frame));
	*stay = false;
	return true;
}

static void events_are_followed_on_the_next_connection(void **state)
{
	struct fake_vm vm = {.call = say_and_go};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(events_main, ARGS("events", "vm1", "--count", "3"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, " agent: version "));
	assert_non_null(strstr(o.err, "; what happens meanwhile is not shown: trying"));
	/* Each break is said, and not each is kept. */
	o = run(events_main,
		ARGS("events", "vm1", "--count", "150", "--json", "--quiet"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	r = json_loads(o.err, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(r, "warnings")), 100);
	json_decref(r);
}

/* More tries than two seconds have, which one that never answered gets. */
static void top_waits_for_an_agent_that_comes_back(void **state)
{
	struct fake_vm vm = {.drop_after = 1, .drop_calls = 20};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(top_main, ARGS("top", "vm1", "--count", "1", "--interval", "0.01"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "trying again"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ping_goes_on_after_connections_that_broke),
		cmocka_unit_test(info_is_asked_again),
		cmocka_unit_test(an_agent_that_is_being_restarted_is_waited_for),
		cmocka_unit_test(list_repeats_what_broke),
		cmocka_unit_test(what_answered_once_is_waited_for_until_the_timeout),
		cmocka_unit_test(a_change_is_not_repeated),
		cmocka_unit_test(what_one_call_changes_is_not_repeated),
		cmocka_unit_test(what_was_never_sent_is_not_said_to_be_sent),
		cmocka_unit_test(a_dry_run_finds_out_that_there_is_no_agent),
		cmocka_unit_test(what_one_call_asks_is_repeated),
		cmocka_unit_test(status_repeats_what_broke_and_nothing_else),
		cmocka_unit_test(events_are_followed_on_the_next_connection),
		cmocka_unit_test(top_waits_for_an_agent_that_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
