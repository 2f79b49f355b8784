/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmctl devices and module-status: what they print of a module that tells the truth,
 * and of ones that do not (fake_devices.h).
 */
#include "fake_devices.h"
#include "run_verb.h"

#include "../../host-cli/verbs.h"

static struct output on(struct fake_devices *d, int (*verb)(int, char **), char **argv)
{
	struct fake_vm vm = fake_with_devices(d);
	struct output o;

	fake_start(&vm, 0);
	o = run(verb, argv);
	fake_stop(&vm);
	return o;
}

/* So many CPUs, with the APIC ids from 0 on. */
static void fill(struct fake_devices *d, uint32_t n)
{
	for (d->entries = 0; d->entries < n; d->entries++)
		d->entry[d->entries] = (struct upcall_list_entry){
			.class_number = htole32(UPCALL_CLASS_CPU),
			.type = htole32(UPCALL_ADD_CPU),
			.request = htole64(4),
			.boot_ns = htole64(1500000000),
			.key = htole64(d->entries),
			.cpu = {htole32(UINT32_MAX), htole32((uint32_t)-1),
				htole32(d->entries + 100)},
		};
}

static const json_t *device(const json_t *r, size_t i)
{
	return json_array_get(json_object_get(r, "devices"), i);
}

static const char *word(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void a_list_of_any_length_is_put_together_in_its_order(void **state)
{
	static const uint32_t sizes[] = {0, 1, 10, 11, 12, 22, 23, 33, FAKE_LIST_MAX};
	struct fake_devices d = {0};
	struct output o;
	char name[24];
	json_t *r;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fill(&d, sizes[i]);
		o = on(&d, devices_main, ARGS("devices", "vm1", "--json"));
		assert_int_equal(o.code, 0);
		r = json_loads(o.out, 0, NULL);
		assert_int_equal(json_array_size(json_object_get(r, "devices")),
				 sizes[i]);
		for (k = 0; k < sizes[i]; k++) {
			snprintf(name, sizeof(name), "%zu", k);
			assert_string_equal(word(device(r, k), "name"), name);
		}
		json_decref(r);
	}
}

/* One of each class, as the module would have them. */
static void fill_classes(struct fake_devices *d)
{
	fill(d, 1);
	d->entry[1] = (struct upcall_list_entry){
		.class_number = htole32(UPCALL_CLASS_MMIO),
		.key = htole64(0xfeb00c00),
		.mmio = {htole64(0x200), htole32(11), htole32(3)}};
	d->entry[2] = (struct upcall_list_entry){
		.class_number = htole32(UPCALL_CLASS_PCI),
		.key = htole64(0x10103),
		.pci = {htole16(0x1af4), htole16(0x1042), htole32(0x010000)}};
	d->entry[3] = (struct upcall_list_entry){
		.class_number = htole32(UPCALL_CLASS_MEM),
		.key = htole64(0x100000000),
		.mem = {htole64(0x10000000), htole32(1), htole32(128)}};
	d->entry[4] = (struct upcall_list_entry){
		.class_number = htole32(UPCALL_CLASS_VIOMMU),
		.key = htole64(0x20),
		.viommu = {.at = htole32(UPCALL_VIOMMU_AT_PCI), .ranges = htole32(1)}};
	d->entry[5] = (struct upcall_list_entry){
		.class_number = htole32(UPCALL_CLASS_VIOMMU_RANGE),
		.key = htole64(0x20),
		.range = {.endpoint = htole32(16),
			  .first = htole16(0x10),
			  .last = htole16(0x17)}};
	d->entry[6] = (struct upcall_list_entry){.class_number = htole32(UINT32_MAX),
						 .key = htole64(UINT64_MAX)};
	d->entries = 7;
}

static void each_class_has_its_name_and_its_parameters(void **state)
{
	static const char *const rows[] = {
		"cpu      0                         4        1.5  cpu=100 node=-1\n",
		"mmio     0xfeb00c00                0        0.0  size=0x200 irq=11 "
		"id=3\n",
		"pci      0001:01:00.3              0        0.0  vendor=0x1af4 "
		"device=0x1042 class_code=0x10000\n",
		"mem      0x100000000               0        0.0  size=0x10000000 "
		"node=1 "
		"block_mib=128\n",
		"viommu   0000:00:04.0 ",
		"range    0x20                      0        0.0  first=0000:00:02.0 "
		"last=0000:00:02.7 endpoint=16\n",
		"unknown  0xffffffffffffffff ",
	};
	struct fake_devices d = {0};
	struct output o;
	size_t i;

	(void)state;
	fill_classes(&d);
	o = on(&d, devices_main, ARGS("devices", "vm1"));
	assert_int_equal(o.code, 0);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strstr(o.out, rows[i]))
			fail_msg("'%s' is not in: %s", rows[i], o.out);
}

static void an_empty_list_says_so_on_stderr(void **state)
{
	struct fake_devices d = {0};
	struct output o = on(&d, devices_main, ARGS("devices", "vm1"));

	(void)state;
	assert_int_equal(o.code, 0);
	assert_string_equal(o.out, "");
	assert_string_equal(o.err, "vm1: nothing is plugged\n");
}

/* What a lying module gets for an answer, from both verbs unless only one asks. */
static void lies(const struct fake_devices *lie, const char *words, bool both)
{
	struct fake_devices d = *lie;
	struct output o;

	fill(&d, 12);
	o = on(&d, devices_main, ARGS("devices", "vm1"));
	check_failure(&o, 6, words);
	if (!both)
		return;
	o = on(&d, module_status_main, ARGS("module-status", "vm1"));
	check_failure(&o, 6, words);
}

static void a_module_that_lies_is_told_from_one_that_does_not(void **state)
{
	const struct fake_devices huge = {.absurd = UINT32_MAX}, less = {.absurd = 5},
				  many = {.beyond = 1},
				  more = {.beyond = UINT32_MAX / 2},
				  longer = {.absurd = 100}, sized = {.query_size = 4};

	(void)state;
	lies(&huge, "of 4294967295 entries cannot be", true);
	lies(&less, "entries from 0 of 5 on", true);
	lies(&many, "entries from 0 of", true);
	lies(&more, "entries from 0 of", true);
	lies(&longer, "has 0 entries from", true);
	lies(&sized, "a reply of 4 bytes where 1004 are due", true);
}

static void a_list_that_always_changes_is_given_up(void **state)
{
	struct fake_devices d = {.restless = true};
	struct output o;

	(void)state;
	fill(&d, 12);
	o = on(&d, devices_main, ARGS("devices", "vm1"));
	check_failure(&o, 9, "changes all the time; try again");
	assert_int_equal(d.generation, 2 * 16);
	/* One part is a whole list, whatever its generation. */
	fill(&d, 11);
	o = on(&d, devices_main, ARGS("devices", "vm1"));
	assert_int_equal(o.code, 0);
}

static void module_status_prints_every_type_and_nothing_unprintable(void **state)
{
	struct fake_devices d = {0};
	struct output o;
	json_t *r;

	(void)state;
	fill(&d, 2);
	o = on(&d, module_status_main, ARGS("module-status", "vm1"));
	assert_int_equal(o.code, 0);
	assert_null(strchr(o.out, '\x1b'));
	assert_non_null(strstr(o.out, "loaded for   2.5 s\n"));
	assert_non_null(strstr(o.out, "connections  1 of 16\n"));
	assert_non_null(strstr(o.out, "plugged      2\n"));
	assert_non_null(strstr(o.out, "features     detail del-cpu2 cpu mmio pci mem "
				      "viommu query eject-pci\n"));
	assert_non_null(strstr(o.out, "T?0              no                4       1  "
				      "     2.0       5.0\n"));
	assert_non_null(strstr(o.out, "T?19             yes "));
	o = on(&d, module_status_main, ARGS("module-status", "vm1", "--json"));
	r = json_loads(o.out, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(r, "types")), 20);
	assert_int_equal(json_array_size(json_object_get(r, "features")), 9);
	json_decref(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_of_any_length_is_put_together_in_its_order),
		cmocka_unit_test(each_class_has_its_name_and_its_parameters),
		cmocka_unit_test(an_empty_list_says_so_on_stderr),
		cmocka_unit_test(a_module_that_lies_is_told_from_one_that_does_not),
		cmocka_unit_test(a_list_that_always_changes_is_given_up),
		cmocka_unit_test(
			module_status_prints_every_type_and_nothing_unprintable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
