// SPDX-License-Identifier: Apache-2.0
/* Answers of an agent that are messages, and say what no guest can mean. */
#include "fake_vm.h"
#include "run_verb.h"

#include <math.h>

#include "../../host-cli/verbs.h"
#include "vmctl/agent/v1/event.pb-c.h"
#include "vmctl/agent/v1/filesystem.pb-c.h"
#include "vmctl/agent/v1/memory.pb-c.h"
#include "vmctl/agent/v1/metrics.pb-c.h"
#include "vmctl/agent/v1/system.pb-c.h"

static void send_frame(int fd, struct ttrpc_header h, const uint8_t *bytes)
{
	uint8_t header[TTRPC_HEADER_SIZE];

	ttrpc_header_encode(&h, header);
	fake_send(fd, header, sizeof(header));
	fake_send(fd, bytes, h.length);
}

/* bytes: room for the response, which is a little longer than the payload. */
static void answer_payload(int fd, uint32_t stream, uint8_t *payload, size_t len,
			   uint8_t *bytes)
{
	Ttrpc__Response response = TTRPC__RESPONSE__INIT;

	response.payload.data = payload;
	response.payload.len = len;
	send_frame(fd,
		   (struct ttrpc_header){
			   .length = (uint32_t)ttrpc__response__pack(&response, bytes),
			   .stream_id = stream,
			   .type = TTRPC_RESPONSE},
		   bytes);
}

static void answer(int fd, uint32_t stream, const ProtobufCMessage *message)
{
	uint8_t payload[512], bytes[600];

	answer_payload(fd, stream, payload, protobuf_c_message_pack(message, payload),
		       bytes);
}

static void say(int fd, uint32_t stream, const ProtobufCMessage *message, bool last)
{
	uint8_t bytes[512];

	send_frame(fd,
		   (struct ttrpc_header){
			   .length = (uint32_t)protobuf_c_message_pack(message, bytes),
			   .stream_id = stream,
			   .type = TTRPC_DATA,
			   .flags = last ? TTRPC_REMOTE_CLOSED : 0},
		   bytes);
}

static json_t *take_json(const char *text)
{
	json_t *r = json_loads(text, 0, NULL);

	if (!r)
		fail_msg("no JSON: %s", text);
	return r;
}

static bool huge_blocks(struct fake_vm *vm, int fd, uint32_t stream,
			const Ttrpc__Request *request, bool *stay)
{
	Vmctl__Agent__V1__ListMemoryBlocksResponse r =
		VMCTL__AGENT__V1__LIST_MEMORY_BLOCKS_RESPONSE__INIT;

	(void)vm;
	(void)request;
	(void)stay;
	r.block_size_bytes = UINT64_MAX;
	answer(fd, stream, &r.base);
	return true;
}

static void a_number_beyond_those_of_json_stays_one(void **state)
{
	struct fake_vm vm = {.call = huge_blocks};
	const json_t *size;
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(memory_main, ARGS("memory", "vm1", "--json"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	r = take_json(o.out);
	size = json_object_get(r, "block_size_bytes");
	assert_true(json_number_value(size) > 1.8e19);
	json_decref(r);
}

/* As many blocks as fit into a message, and nothing in them. */
static bool very_many_blocks(struct fake_vm *vm, int fd, uint32_t stream,
			     const Ttrpc__Request *request, bool *stay)
{
	enum {
		BLOCKS = (4 << 20) / 2 - 32,
	};
	static uint8_t payload[2 * BLOCKS], bytes[sizeof(payload) + 32];

	(void)vm;
	(void)request;
	(void)stay;
	/* Field 2, an empty message. */
	for (size_t i = 0; i < sizeof(payload); i += 2)
		payload[i] = 2 << 3 | 2;
	answer_payload(fd, stream, payload, sizeof(payload), bytes);
	return true;
}

static void an_answer_of_very_many_values_is_refused(void **state)
{
	struct fake_vm vm = {.call = very_many_blocks};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(memory_main, ARGS("memory", "vm1"));
	fake_stop(&vm);
	check_failure(&o, 7, "one of very many values");
}

static bool huge_disk(struct fake_vm *vm, int fd, uint32_t stream,
		      const Ttrpc__Request *request, bool *stay)
{
	Vmctl__Agent__V1__ListFilesystemsResponse r =
		VMCTL__AGENT__V1__LIST_FILESYSTEMS_RESPONSE__INIT;

	(void)vm;
	(void)request;
	(void)stay;
	r.mountpoint = (ProtobufCBinaryData){1, (uint8_t *)"/"};
	r.total_bytes = UINT64_MAX;
	say(fd, stream, &r.base, true);
	return true;
}

static void a_disk_may_have_any_size(void **state)
{
	struct fake_vm vm = {.call = huge_disk};
	const json_t *disk;
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(df_main, ARGS("df", "vm1", "--json"));
	assert_int_equal(o.code, 0);
	r = take_json(o.out);
	disk = json_array_get(json_object_get(r, "filesystems"), 0);
	assert_true(json_number_value(json_object_get(disk, "total_bytes")) > 1.8e19);
	json_decref(r);
	o = run(df_main, ARGS("df", "vm1"));
	assert_int_equal(o.code, 0);
	/* And what is not mounted is not frozen: a dry run knows it. */
	o = run(freeze_main, ARGS("freeze", "vm1", "/", "--dry-run"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "freeze what is named; nothing was changed"));
	o = run(freeze_main, ARGS("freeze", "vm1", "/", "/x", "--dry-run"));
	check_failure(&o, 9, "no file system is mounted at /x");
	o = run(trim_main, ARGS("trim", "vm1", "/x", "--dry-run"));
	check_failure(&o, 9, "no file system is mounted at /x");
	fake_stop(&vm);
}

static bool no_uptime(struct fake_vm *vm, int fd, uint32_t stream,
		      const Ttrpc__Request *request, bool *stay)
{
	Vmctl__Agent__V1__GetMetricsResponse r =
		VMCTL__AGENT__V1__GET_METRICS_RESPONSE__INIT;

	(void)vm;
	(void)request;
	(void)stay;
	r.text = (char *)"vmctl_guest_uptime_seconds NaN\n";
	answer(fd, stream, &r.base);
	return true;
}

static void a_figure_that_is_no_number_is_null(void **state)
{
	struct fake_vm vm = {.call = no_uptime};
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(top_main,
		ARGS("top", "vm1", "--json", "--count", "1", "--interval", "0.01"));
	fake_stop(&vm);
	assert_int_equal(o.code, 0);
	r = take_json(o.out);
	assert_true(json_is_null(json_object_get(r, "uptime_s")));
	assert_true(json_is_real(json_object_get(r, "user_percent")));
	json_decref(r);
}

/* The last second whose nanoseconds 64 bits hold: with what is added to it, none. */
static bool last_second(struct fake_vm *vm, int fd, uint32_t stream,
			const Ttrpc__Request *request, bool *stay)
{
	Vmctl__Agent__V1__GetTimeResponse r = VMCTL__AGENT__V1__GET_TIME_RESPONSE__INIT;

	(void)vm;
	(void)request;
	(void)stay;
	r.seconds = INT64_MAX / 1000000000 - 1;
	r.nanoseconds = 999999999;
	answer(fd, stream, &r.base);
	return true;
}

static void a_clock_at_the_end_of_time_is_none(void **state)
{
	struct fake_vm vm = {.call = last_second};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(time_main, ARGS("time", "vm1"));
	fake_stop(&vm);
	check_failure(&o, 7, "its time makes no sense");
}

/* Both events at once, and the end of the stream. */
static bool odd_events(struct fake_vm *vm, int fd, uint32_t stream,
		       const Ttrpc__Request *request, bool *stay)
{
	Vmctl__Agent__V1__HotplugEvent hotplug = VMCTL__AGENT__V1__HOTPLUG_EVENT__INIT;
	Vmctl__Agent__V1__PressureEvent pressure =
		VMCTL__AGENT__V1__PRESSURE_EVENT__INIT;
	Vmctl__Agent__V1__Event e = VMCTL__AGENT__V1__EVENT__INIT;

	(void)vm;
	(void)request;
	(void)stay;
	hotplug.ret = INT32_MIN;
	pressure.some_avg10 = NAN;
	e.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_HOTPLUG;
	e.time_nano = INT64_MIN;
	e.hotplug = &hotplug;
	say(fd, stream, &e.base, false);
	e.kind = VMCTL__AGENT__V1__EVENT_KIND__EVENT_PRESSURE;
	e.pressure = &pressure;
	say(fd, stream, &e.base, true);
	return true;
}

static void events_of_no_kernel_are_shown(void **state)
{
	struct fake_vm vm = {.call = odd_events};
	const json_t *pressure;
	struct output o;
	json_t *r;

	(void)state;
	fake_start(&vm, 0);
	o = run(events_main, ARGS("events", "vm1"));
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(o.out, "hotplug: request 0, : failed ("));
	o = run(events_main, ARGS("events", "vm1", "--json"));
	fake_stop(&vm);
	assert_non_null(strchr(o.out, '\n'));
	r = take_json(strchr(o.out, '\n'));
	pressure = json_object_get(r, "pressure");
	assert_true(json_is_null(json_object_get(pressure, "some_avg10")));
	json_decref(r);
}

static void status_shows_the_module_while_the_agent_hangs(void **state)
{
	struct fake_vm vm = {.mute_agent = true};
	struct output o;

	(void)state;
	fake_start(&vm, 0);
	o = run(status_main, ARGS("status", "vm1", "--timeout", "6"));
	fake_stop(&vm);
	assert_int_equal(o.code, 11);
	assert_non_null(strstr(o.out, "agent           does not answer\n"));
	assert_non_null(strstr(o.out, "module          of another kind, 0 plugged\n"));
	assert_non_null(
		strstr(o.err, "agent: no answer within 3 s, half of --timeout"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_beyond_those_of_json_stays_one),
		cmocka_unit_test(an_answer_of_very_many_values_is_refused),
		cmocka_unit_test(a_disk_may_have_any_size),
		cmocka_unit_test(a_figure_that_is_no_number_is_null),
		cmocka_unit_test(a_clock_at_the_end_of_time_is_none),
		cmocka_unit_test(events_of_no_kernel_are_shown),
		cmocka_unit_test(status_shows_the_module_while_the_agent_hangs),
	};

	return cmocka_run_group_tests_name("odd_answers", tests, NULL, NULL);
}
