// SPDX-License-Identifier: Apache-2.0
/* What vmctl df, freeze, thaw and trim print of what a guest says; it lies, too. */
#include "hybrid_front.h"
#include "run_verb.h"

#include <jansson.h>

#include "../../host-cli/message.h"
#include "../../host-cli/verbs.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"

#define GIB (1ull << 30)

/* A mount point that would colour a terminal: C1's CSI in UTF-8, and as a byte; DEL. */
#define HOSTILE     \
	"/\302\233" \
	"31m\177\n"
#define HOSTILE_BYTES \
	"/\233"       \
	"31m"

typedef Vmctl__Agent__V1__FilesystemResult Result;

static void list(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__ListFilesystemsResponse f =
		VMCTL__AGENT__V1__LIST_FILESYSTEMS_RESPONSE__INIT;

	f.mountpoint = message_bytes("/");
	f.source = message_bytes("/dev/vda1");
	f.type = "ext4";
	f.total_bytes = 10 * GIB;
	f.free_bytes = 4 * GIB;
	f.available_bytes = 2 * GIB;
	f.files = 1000;
	f.files_free = 900;
	agent_call_send(call, &f.base);
	f.mountpoint = message_bytes("/dead");
	f.error = ESTALE;
	f.total_bytes = f.free_bytes = f.available_bytes = 0;
	agent_call_send(call, &f.base);
	f.mountpoint = message_bytes(HOSTILE);
	f.source = message_bytes(HOSTILE_BYTES);
	f.type = "\033[31m";
	f.error = 0;
	if (((const Vmctl__Agent__V1__ListFilesystemsRequest *)message)->all)
		agent_call_send(call, &f.base);
	agent_call_finish(call);
}

/* A result for each name, or for "/" and one that fails. The path /bad fails. */
static void answer(const ProtobufCBinaryData *names, size_t n, Result results[4],
		   Result *list[4], size_t *used)
{
	static const ProtobufCBinaryData all[] = {{1, (uint8_t *)"/"},
						  {4, (uint8_t *)"/bad"}};

	if (!n) {
		names = all;
		n = 2;
	}
	for (*used = 0; *used < n && *used < 4; (*used)++) {
		Result *one = &results[*used];

		vmctl__agent__v1__filesystem_result__init(one);
		one->mountpoint = names[*used];
		if (one->mountpoint.len == 4 &&
		    !memcmp(one->mountpoint.data, "/bad", 4)) {
			one->error = EBUSY;
			one->message = "busy\033[31m";
		}
		list[*used] = one;
	}
}

static void freeze(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__FreezeFilesystemsRequest *request =
		(const Vmctl__Agent__V1__FreezeFilesystemsRequest *)message;
	Vmctl__Agent__V1__FreezeFilesystemsResponse response =
		VMCTL__AGENT__V1__FREEZE_FILESYSTEMS_RESPONSE__INIT;
	Result results[4], *of[4];

	answer(request->mountpoints, request->n_mountpoints, results, of,
	       &response.n_results);
	response.results = of;
	response.timeout_ms = request->timeout_ms;
	agent_call_reply(call, &response.base);
}

static void thaw(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__ThawFilesystemsRequest *request =
		(const Vmctl__Agent__V1__ThawFilesystemsRequest *)message;
	Vmctl__Agent__V1__ThawFilesystemsResponse response =
		VMCTL__AGENT__V1__THAW_FILESYSTEMS_RESPONSE__INIT;
	Result results[4], *of[4];

	answer(request->mountpoints, request->n_mountpoints, results, of,
	       &response.n_results);
	response.results = of;
	response.expired = !request->n_mountpoints;
	agent_call_reply(call, &response.base);
}

static void tell_status(struct agent_call *call, const ProtobufCMessage *message)
{
	Vmctl__Agent__V1__GetFreezeStatusResponse response =
		VMCTL__AGENT__V1__GET_FREEZE_STATUS_RESPONSE__INIT;
	ProtobufCBinaryData frozen[] = {message_bytes("/"), message_bytes(HOSTILE)};

	(void)message;
	response.frozen = true;
	response.left_ms = 12500;
	response.mountpoints = frozen;
	response.n_mountpoints = 2;
	agent_call_reply(call, &response.base);
}

static void trim(struct agent_call *call, const ProtobufCMessage *message)
{
	const Vmctl__Agent__V1__TrimFilesystemsRequest *request =
		(const Vmctl__Agent__V1__TrimFilesystemsRequest *)message;
	Result results[4], *of[4];
	size_t n;

	answer(request->mountpoints, request->n_mountpoints, results, of, &n);
	for (size_t i = 0; i < n; i++) {
		results[i].bytes = results[i].error ? 0 : request->minimum_bytes;
		agent_call_send(call, &results[i].base);
	}
	agent_call_finish(call);
}

#define METHOD(of, how, in, out, fn)                                             \
	{                                                                        \
		.name = of, .kind = how,                                         \
		.request = &vmctl__agent__v1__##in##_request__descriptor,        \
		.response = &vmctl__agent__v1__##out##__descriptor, .handle = fn \
	}

static const struct agent_method methods[] = {
	METHOD("ListFilesystems", AGENT_SERVER_STREAM, list_filesystems,
	       list_filesystems_response, list),
	METHOD("FreezeFilesystems", AGENT_UNARY, freeze_filesystems,
	       freeze_filesystems_response, freeze),
	METHOD("GetFreezeStatus", AGENT_UNARY, get_freeze_status,
	       get_freeze_status_response, tell_status),
	METHOD("ThawFilesystems", AGENT_UNARY, thaw_filesystems,
	       thaw_filesystems_response, thaw),
	METHOD("TrimFilesystems", AGENT_SERVER_STREAM, trim_filesystems,
	       filesystem_result, trim),
};

static const struct agent_service service = {
	.name = SERVICE,
	.methods = methods,
	.n_methods = sizeof(methods) / sizeof(methods[0]),
};
static const struct agent_service *const services[] = {&service, NULL};

static int start(void **state)
{
	test_services = services;
	return start_front(state);
}

/* The JSON of a command, which is fit for a terminal but for the line's end. */
static json_t *take_json(const struct output *o)
{
	json_t *r = json_loads(o->out, 0, NULL);

	if (!r)
		fail_msg("no JSON: %s%s", o->out, o->err);
	for (const char *c = o->out; c[1]; c++)
		assert_true(*c >= ' ');
	return r;
}

static json_t *filesystem(const json_t *r, size_t i)
{
	return json_array_get(json_object_get(r, "filesystems"), i);
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void df_is_a_table(void **state)
{
	struct output o = run(df_main, ARGS("df", "vm1"));

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.err, "");
	assert_string_equal(o.out, "SOURCE               TYPE              KIB         "
				   "USED    AVAILABLE   "
				   "USE  MOUNTED ON\n"
				   "/dev/vda1            ext4         10485760      "
				   "6291456      2097152   "
				   "75%  /\n"
				   "/dev/vda1            ext4                0         "
				   "   0            0   "
				   " 0%  /dead (usage not known)\n");
}

static void df_is_json(void **state)
{
	struct output o = run(df_main, ARGS("df", "vm1", "--json"));
	json_t *r = take_json(&o), *root = filesystem(r, 0);

	(void)state;
	assert_int_equal(o.code, 0);
	assert_int_equal(json_array_size(json_object_get(r, "filesystems")), 2);
	assert_string_equal(text_of(root, "mountpoint"), "/");
	assert_string_equal(text_of(root, "source"), "/dev/vda1");
	assert_string_equal(text_of(root, "type"), "ext4");
	assert_true(json_is_false(json_object_get(root, "read_only")));
	assert_true(number_of(root, "total_bytes") == 10 * GIB);
	assert_true(number_of(root, "free_bytes") == 4 * GIB);
	assert_true(number_of(root, "available_bytes") == 2 * GIB);
	assert_int_equal(number_of(root, "files"), 1000);
	assert_int_equal(number_of(root, "files_free"), 900);
	assert_int_equal(number_of(root, "errno"), 0);
	assert_int_equal(number_of(filesystem(r, 1), "errno"), ESTALE);
	json_decref(r);
}

static void strings_of_the_guest_reach_no_terminal(void **state)
{
	struct output o = run(df_main, ARGS("df", "vm1", "--all-types"));
	json_t *r;

	(void)state;
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "/?31m "));
	assert_non_null(strstr(o.out, " ?[31m "));
	assert_non_null(strstr(o.out, "  /??31m??\n"));
	o = run(df_main, ARGS("df", "vm1", "--all-types", "--json"));
	r = take_json(&o);
	assert_null(strstr(o.out, "\302"));
	assert_string_equal(text_of(filesystem(r, 2), "mountpoint"), HOSTILE);
	assert_string_equal(text_of(filesystem(r, 2), "source"), "/?31m");
	assert_string_equal(text_of(filesystem(r, 2), "type"), "?[31m");
	json_decref(r);
	o = run(freeze_main, ARGS("freeze", "vm1", "--status"));
	assert_string_equal(o.out, "/: frozen, 12.5 s left\n"
				   "/??31m??: frozen, 12.5 s left\n");
	o = run(freeze_main, ARGS("freeze", "vm1", "--status", "--json"));
	r = take_json(&o);
	assert_null(strstr(o.out, "\302"));
	assert_true(json_is_true(json_object_get(r, "frozen")));
	assert_int_equal(number_of(r, "left_ms"), 12500);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(r, "mountpoints"), 1)),
		HOSTILE);
	json_decref(r);
}

static void freeze_has_a_result_for_each(void **state)
{
	struct output o = run(freeze_main, ARGS("freeze", "vm1"));
	json_t *r;

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "/: frozen\n/bad: busy?[31m\n");
	o = run(freeze_main,
		ARGS("freeze", "vm1", "/srv", "--thaw-after", "1.5", "--json"));
	r = take_json(&o);
	assert_int_equal(o.code, 0);
	assert_int_equal(number_of(r, "left_ms"), 1500);
	assert_string_equal(text_of(filesystem(r, 0), "mountpoint"), "/srv");
	assert_int_equal(number_of(filesystem(r, 0), "errno"), 0);
	assert_null(filesystem(r, 1));
	json_decref(r);
}

static void thaw_has_a_result_for_each(void **state)
{
	struct output o = run(thaw_main, ARGS("thaw", "vm1", "/srv", "/data"));
	json_t *r;

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "/srv: thawed\n/data: thawed\n");
	o = run(thaw_main, ARGS("thaw", "vm1", "/", "/bad"));
	assert_int_equal(o.code, 9);
	assert_string_equal(o.out, "/: thawed\n/bad: busy?[31m\n");
	assert_non_null(strstr(o.err, "1 of 2 were not thawed"));
	o = run(thaw_main, ARGS("thaw", "vm1", "--json"));
	r = take_json(&o);
	assert_int_equal(o.code, 9);
	assert_true(json_is_true(json_object_get(r, "expired")));
	assert_string_equal(text_of(filesystem(r, 1), "message"), "busy?[31m");
	assert_int_equal(number_of(filesystem(r, 1), "errno"), EBUSY);
	json_decref(r);
}

static void trim_has_a_result_for_each(void **state)
{
	struct output o = run(trim_main, ARGS("trim", "vm1", "--minimum", "4096"));
	json_t *r;

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "/: trimmed, 4096 bytes\n/bad: busy?[31m\n");
	o = run(trim_main, ARGS("trim", "vm1", "/srv", "/bad"));
	assert_int_equal(o.code, 9);
	assert_string_equal(o.out, "/srv: trimmed\n/bad: busy?[31m\n");
	assert_non_null(strstr(o.err, "1 of 2 were not trimmed"));
	o = run(trim_main, ARGS("trim", "vm1", "--minimum", "4096", "--json"));
	r = take_json(&o);
	assert_int_equal(o.code, 0);
	assert_int_equal(number_of(filesystem(r, 0), "bytes"), 4096);
	assert_int_equal(number_of(filesystem(r, 1), "errno"), EBUSY);
	json_decref(r);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop_front)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(df_is_a_table),
		test(df_is_json),
		test(strings_of_the_guest_reach_no_terminal),
		test(freeze_has_a_result_for_each),
		test(thaw_has_a_result_for_each),
		test(trim_has_a_result_for_each),
	};

	return cmocka_run_group_tests_name("filesystem_verbs", tests, NULL, NULL);
}
