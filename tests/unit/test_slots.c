/* SPDX-License-Identifier: Apache-2.0 */
/* From query-hotpluggable-cpus to APIC ids, and which of them to take. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../host-cli/slots.h"

/* As QEMU answers: the highest first, the boot CPU plugged. */
static json_t *machine(int sockets, int dies, int cores, int threads)
{
	json_t *list = json_array();
	int i, n = sockets * dies * cores * threads;

	for (i = n - 1; i >= 0; i--) {
		json_t *slot = json_pack(
			"{s:s, s:i, s:{s:i, s:i, s:i, s:i}}", "type", "max-x86_64-cpu",
			"vcpus-count", 1, "props", "thread-id", i % threads, "core-id",
			i / threads % cores, "die-id", i / threads / cores % dies,
			"socket-id", i / threads / cores / dies);

		if (!i)
			json_object_set_new(
				slot, "qom-path",
				json_string("/machine/unattached/device[0]"));
		json_array_append_new(list, slot);
	}
	return list;
}

static struct slots parsed(json_t *reply)
{
	struct error err = {0};
	struct slots s;

	assert_int_equal(slots_parse(&s, reply, &err), 0);
	json_decref(reply);
	return s;
}

/* One boot CPU of n, the given number of others plugged behind it. */
static struct slots q35(int n, int plugged)
{
	struct slots s = parsed(machine(n, 1, 1, 1));
	int i;

	s.slot[0].boot = true;
	for (i = 1; i <= plugged; i++)
		s.slot[i].qom_path = "/machine/peripheral/x";
	s.plugged += plugged;
	return s;
}

static void with_one_cpu_a_socket_the_apic_id_is_the_socket(void **state)
{
	struct slots s = parsed(machine(4, 1, 1, 1));
	size_t i;

	(void)state;
	assert_int_equal(s.count, 4);
	assert_int_equal(s.plugged, 1);
	for (i = 0; i < 4; i++) {
		assert_int_equal(s.slot[i].apic_id, i);
		assert_int_equal(s.slot[i].index, i);
	}
	assert_non_null(s.slot[0].qom_path);
	slots_free(&s);
}

/* 2 sockets of 2 dies of 3 cores of 2 threads: widths 1, 2, 1 from the inside. */
static void ids_stand_in_bit_fields_as_wide_as_the_largest_needs(void **state)
{
	static const uint32_t apic_ids[] = {0,	1,  2,	3,  4,	5,  8,	9,
					    10, 11, 12, 13, 16, 17, 18, 19,
					    20, 21, 24, 25, 26, 27, 28, 29};
	struct slots s = parsed(machine(2, 2, 3, 2));
	size_t i;

	(void)state;
	assert_int_equal(s.count, 24);
	for (i = 0; i < 24; i++)
		assert_int_equal(s.slot[i].apic_id, apic_ids[i]);
	slots_free(&s);
	/* Powers of two leave no gaps. */
	s = parsed(machine(2, 1, 4, 2));
	for (i = 0; i < 16; i++)
		assert_int_equal(s.slot[i].apic_id, i);
	slots_free(&s);
}

static void a_reply_that_makes_no_sense_is_refused(void **state)
{
#define SLOT(props) "[{\"type\": \"c\", \"vcpus-count\": 1, \"props\": " props "}]"
	static const struct {
		const char *text;
		int ret;
	} cases[] = {
		{"{}", -EPROTO},
		{"[]", -EPROTO},
		{"[1]", -EPROTO},
		{"[{}]", -EPROTO},
		{SLOT("[]"), -EPROTO},
		{SLOT("{\"socket-id\": \"1\"}"), -EPROTO},
		{SLOT("{\"socket-id\": -1}"), -EPROTO},
		{SLOT("{\"socket-id\": 65536}"), -EPROTO},
		{SLOT("{\"socket-id\": 65535, \"core-id\": 65535}"), -EPROTO},
		{SLOT("{\"socket-id\": 1.5}"), -EPROTO},
		{SLOT("{\"cluster-id\": 0}"), -EOPNOTSUPP},
		{"[{\"type\": \"c\", \"vcpus-count\": 2, \"props\": {}}]", -EOPNOTSUPP},
		{"[{\"type\": 3, \"vcpus-count\": 1, \"props\": {}}]", -EPROTO},
		{"[{\"type\": \"c\", \"vcpus-count\": 1, \"props\": {}, "
		 "\"qom-path\": 3}]",
		 -EPROTO},
		{"[{\"type\": \"c\", \"vcpus-count\": 1, \"props\": {}}, "
		 "{\"type\": \"c\", \"vcpus-count\": 1, \"props\": {}}]",
		 -EPROTO},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *reply = json_loads(cases[i].text, 0, NULL);
		struct error err = {0};
		struct slots s;

		assert_non_null(reply);
		if (slots_parse(&s, reply, &err) != cases[i].ret)
			fail_msg("%s", cases[i].text);
		slots_free(&s);
		json_decref(reply);
	}
}

static void more_slots_than_qemu_has_are_refused(void **state)
{
	json_t *reply = machine(SLOTS_MAX + 1, 1, 1, 1);
	struct error err = {0};
	struct slots s;

	(void)state;
	assert_int_equal(slots_parse(&s, reply, &err), -EPROTO);
	slots_free(&s);
	json_decref(reply);
}

struct picking {
	const struct slot *picked[SLOTS_MAX];
	size_t n;
	struct error err;
};

static void plugging_takes_the_lowest_free_slots(void **state)
{
	static const struct slots_wish two = {.kind = SLOTS_COUNT, .count = 2};
	struct slots s = q35(5, 1);
	struct picking p;

	(void)state;
	assert_int_equal(slots_pick_free(&s, &two, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.picked[0]->apic_id, 2);
	assert_int_equal(p.picked[1]->apic_id, 3);
	slots_free(&s);
}

static void plugging_up_to_a_total_counts_what_is_there(void **state)
{
	struct slots_wish to = {.kind = SLOTS_TO, .count = 4};
	struct slots s = q35(4, 1);
	struct picking p;

	(void)state;
	assert_int_equal(slots_pick_free(&s, &to, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.n, 2);
	to.count = 2;
	assert_int_equal(slots_pick_free(&s, &to, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.n, 0);
	to.count = 1;
	assert_int_equal(slots_pick_free(&s, &to, p.picked, &p.n, &p.err), -EINVAL);
	assert_non_null(strstr(p.err.text, "unplug-cpu"));
	to.count = 5;
	assert_int_equal(slots_pick_free(&s, &to, p.picked, &p.n, &p.err), -ENOSPC);
	slots_free(&s);
}

static void named_slots_must_exist_and_be_free(void **state)
{
	struct slots_wish list = {.kind = SLOTS_LIST, .count = 2, .apic_id = {3, 2}};
	struct slots s = q35(4, 1);
	struct picking p;

	(void)state;
	assert_int_equal(slots_pick_free(&s, &list, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.picked[0]->apic_id, 3);
	list.apic_id[1] = 1;
	assert_int_equal(slots_pick_free(&s, &list, p.picked, &p.n, &p.err), -ENOSPC);
	list.apic_id[1] = 4;
	assert_int_equal(slots_pick_free(&s, &list, p.picked, &p.n, &p.err), -ENOSPC);
	slots_free(&s);
}

static void unplugging_takes_the_highest_and_never_the_boot_cpu(void **state)
{
	struct slots_wish wish = {.kind = SLOTS_COUNT, .count = 2};
	struct slots s = q35(4, 2);
	struct picking p;

	(void)state;
	assert_int_equal(slots_pick_plugged(&s, &wish, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.picked[0]->apic_id, 2);
	assert_int_equal(p.picked[1]->apic_id, 1);
	/* Also where it does not stand first. */
	s.slot[0].boot = false;
	s.slot[2].boot = true;
	assert_int_equal(slots_pick_plugged(&s, &wish, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.picked[0]->apic_id, 1);
	assert_int_equal(p.picked[1]->apic_id, 0);
	s.slot[0].boot = true;
	s.slot[2].boot = false;
	wish.count = 3;
	assert_int_equal(slots_pick_plugged(&s, &wish, p.picked, &p.n, &p.err),
			 -ENOSPC);
	wish = (struct slots_wish){.kind = SLOTS_LIST, .count = 1, .apic_id = {0}};
	assert_int_equal(slots_pick_plugged(&s, &wish, p.picked, &p.n, &p.err),
			 -ENOSPC);
	assert_non_null(strstr(p.err.text, "boot CPU"));
	wish.apic_id[0] = 3;
	assert_int_equal(slots_pick_plugged(&s, &wish, p.picked, &p.n, &p.err),
			 -ENOSPC);
	slots_free(&s);
}

static void unplugging_down_to_a_total_stops_at_one(void **state)
{
	struct slots_wish to = {.kind = SLOTS_TO, .count = 1};
	struct slots s = q35(4, 3);
	struct picking p;

	(void)state;
	assert_int_equal(slots_pick_plugged(&s, &to, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.n, 3);
	to.count = 4;
	assert_int_equal(slots_pick_plugged(&s, &to, p.picked, &p.n, &p.err), 0);
	assert_int_equal(p.n, 0);
	to.count = 5;
	assert_int_equal(slots_pick_plugged(&s, &to, p.picked, &p.n, &p.err), -EINVAL);
	slots_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_one_cpu_a_socket_the_apic_id_is_the_socket),
		cmocka_unit_test(ids_stand_in_bit_fields_as_wide_as_the_largest_needs),
		cmocka_unit_test(a_reply_that_makes_no_sense_is_refused),
		cmocka_unit_test(more_slots_than_qemu_has_are_refused),
		cmocka_unit_test(plugging_takes_the_lowest_free_slots),
		cmocka_unit_test(plugging_up_to_a_total_counts_what_is_there),
		cmocka_unit_test(named_slots_must_exist_and_be_free),
		cmocka_unit_test(unplugging_takes_the_highest_and_never_the_boot_cpu),
		cmocka_unit_test(unplugging_down_to_a_total_stops_at_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
