// SPDX-License-Identifier: Apache-2.0
/* vmctl cp when something happens to the file, the connection or the disk meanwhile. */
#include "run_cp.h"

#define BIG	(1 << 20)
#define CHANGED "changed while it was copied"

/* A guest that does this when it is to take or to give a file. */
static enum {
	CUTS,	/* the file that is copied to it becomes short */
	APPENDS /* and this, longer */
} deed;

static void change(const struct agent_call *call)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/host/big", call->agent->options->root);
	if (truncate(path, deed == CUTS ? 1 : BIG + 1) < 0)
		_exit(1);
}

static void begin(struct agent_call *call, const ProtobufCMessage *request)
{
	(void)call;
	(void)request;
}

static void take(struct agent_call *call, const ProtobufCMessage *message)
{
	WriteResponse response = VMCTL__AGENT__V1__WRITE_FILE_RESPONSE__INIT;

	if (!((const WriteRequest *)message)->open)
		return;
	change(call);
	agent_call_send(call, &response.base);
}

static void taken(struct agent_call *call)
{
	WriteResponse response = VMCTL__AGENT__V1__WRITE_FILE_RESPONSE__INIT;

	response.done = true;
	agent_call_send(call, &response.base);
	agent_call_finish(call);
}

static void no_stat(struct agent_call *call, const ProtobufCMessage *request)
{
	(void)request;
	agent_call_fail(call, TTRPC_NOT_FOUND, "nothing is here");
}

static const struct agent_method methods[] = {
	{.name = "StatFile",
	 .request = &vmctl__agent__v1__stat_file_request__descriptor,
	 .response = &vmctl__agent__v1__stat_file_response__descriptor,
	 .handle = no_stat},
	{.name = "WriteFile",
	 .kind = AGENT_BIDI_STREAM,
	 .request = &vmctl__agent__v1__write_file_request__descriptor,
	 .response = &vmctl__agent__v1__write_file_response__descriptor,
	 .handle = begin,
	 .message = take,
	 .end = taken},
};

static const struct agent_service service = {
	.name = SERVICE, .methods = methods, .n_methods = 2};
static const struct agent_service *const services[] = {&service, NULL};

static int start_to_do(void **state)
{
	int ret;

	test_services = services;
	ret = start_with(state);
	put_file(*state, "host/big", "");
	return ret || truncate(on_host(*state, "host/big"), BIG);
}

static int start_cutting(void **state)
{
	deed = CUTS;
	return start_to_do(state);
}

static int start_appending(void **state)
{
	deed = APPENDS;
	return start_to_do(state);
}

static void a_file_that_becomes_short_is_the_hosts_failure(void **state)
{
	struct output o = CP(on_host(*state, "host/big"), in_guest("big"));

	assert_int_equal(o.code, STATUS_FAILURE);
	assert_non_null(strstr(o.err, "host/big: it became shorter"));
	assert_null(strstr(o.err, "restart"));
}

static void a_file_that_grows_is_told(void **state)
{
	struct output o = CP(on_host(*state, "host/big"), in_guest("big"));

	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.err, "host/big " CHANGED));
}

static void a_file_that_does_not_say_its_size_is_whole(void **state)
{
	static const char *const names[] = {
		"/proc/version", "/proc/filesystems", "/sys/kernel/notes",
		"/sys/kernel/mm/transparent_hugepage/enabled"};
	char there[65536], here[65536];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FILE *f = fopen(names[i], "r");
		struct output o;
		size_t n;

		if (!f)
			continue;
		n = fread(here, 1, sizeof(here) - 1, f);
		here[n] = '\0';
		fclose(f);
		o = CP((char *)names[i], in_guest("etc/new"));
		assert_string_equal(o.err, "");
		assert_int_equal(o.code, 0);
		get_file(*state, ROOT "/etc/new", there, sizeof(there));
		assert_string_equal(there, here);
	}
}

#define test_of(name, how) cmocka_unit_test_setup_teardown(name, how, stop_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_of(a_file_that_becomes_short_is_the_hosts_failure, start_cutting),
		test_of(a_file_that_grows_is_told, start_appending),
		test_of(a_file_that_does_not_say_its_size_is_whole, start),
	};

	return cmocka_run_group_tests_name("cp_faults", tests, NULL, NULL);
}
