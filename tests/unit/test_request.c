/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module's validation of messages, its own source compiled here. Messages are
 * put together byte by byte, by the offsets of docs/protocol.md.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kernel.h>

#include "request.h"

static union message message;
static struct request request;
static struct report report;

static void put(size_t offset, u64 value, size_t bytes)
{
	for (; bytes-- > 0; value >>= 8)
		message.bytes[offset++] = (u8)value;
}

static void begin(u32 type, u32 size)
{
	memset(&message, 0, sizeof(message));
	put(0, UPCALL_MAGIC, 4);
	put(4, size, 4);
	put(8, type, 4);
}

static int parse(void)
{
	memset(&request, 0xff, sizeof(request));
	report_init(&report);
	return request_parse(&message, &request, &report);
}

static void assert_refused(int error, u32 entry)
{
	assert_int_equal(parse(), error);
	assert_int_equal(report.failed, entry);
	assert_int_not_equal(report.reason[0], 0);
	assert_non_null(memchr(report.reason, 0, sizeof(report.reason)));
}
#define ASSERT_EINVAL() assert_refused(-EINVAL, REPORT_NO_ENTRY)

static void assert_good(void)
{
	int ret = parse();

	if (ret)
		print_message("refused: %s\n", report.reason);
	assert_int_equal(ret, 0);
	assert_int_equal(report.reason[0], 0);
	assert_int_equal(report.failed, REPORT_NO_ENTRY);
}

/* A good message of each type; those with a list have one entry. */
static void begin_good(const struct request_type *type)
{
	begin(type->number, type->size_min);
	switch (type->class_number) {
	case UPCALL_CLASS_CPU:
		if (type->number >= 0x100) {
			put(4, 8 + 12, 4);
			put(16, 1, 4);
			put(24, 1, 4);
		} else {
			put(16, 1, 1);
			put(18, 1, 1);
		}
		break;
	case UPCALL_CLASS_MMIO:
		put(16, 0xfeb00000, 8);
		put(24, 0x200, 8);
		put(32, 5, 4);
		break;
	case UPCALL_CLASS_MEM:
		put(16, 0x100000000, 8);
		put(24, 0x8000000, 8);
		break;
	case UPCALL_CLASS_VIOMMU:
		put(20, type->op == REQUEST_ADD, 4);
		put(24, 0xfeb00000, 8);
		put(32, 0x200, 8);
		put(40, 5, 4);
		put(4, type->op == REQUEST_ADD ? 56 : 32, 4);
		break;
	}
}

static void each_type_is_accepted_as_itself(void **state)
{
	const struct request_type *type;
	u32 i;

	(void)state;
	for (i = 0; i < request_type_count; i++) {
		type = &request_types[i];
		begin_good(type);
		assert_ptr_equal(request_find_type(type->number), type);
		if (type->op == REQUEST_RESERVED)
			assert_refused(-EOPNOTSUPP, REPORT_NO_ENTRY);
		else
			assert_good();
		assert_ptr_equal(request.type, type);
		assert_false(request.eject);
	}
}

static void sizes_outside_the_table_are_refused(void **state)
{
	u32 i, size;

	(void)state;
	for (i = 0; i < request_type_count; i++) {
		if (request_types[i].op == REQUEST_RESERVED)
			continue;
		begin_good(&request_types[i]);
		for (size = 0; size <= UPCALL_PAYLOAD_MAX + 1; size++) {
			if (size >= request_types[i].size_min &&
			    size <= request_types[i].size_max)
				continue;
			put(4, size, 4);
			ASSERT_EINVAL();
		}
		put(4, 0xffffffff, 4);
		ASSERT_EINVAL();
	}
}

static void a_wrong_magic_is_told_from_a_wrong_type(void **state)
{
	static const u32 unknown[] = {0, 9, 0xff, 0x108, 0x10f, 0x112, 0xffffffff};
	u32 i;

	(void)state;
	begin_good(request_find_type(UPCALL_ADD_CPU));
	put(0, UPCALL_MAGIC + 1, 4);
	assert_refused(-EPROTO, REPORT_NO_ENTRY);
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		begin(unknown[i], 0);
		assert_refused(-EOPNOTSUPP, REPORT_NO_ENTRY);
		assert_null(request.type);
	}
}

static void cpus_are_taken_as_they_stand(void **state)
{
	u32 i;

	(void)state;
	begin(UPCALL_ADD_CPU, 258);
	put(16, 255, 1);
	for (i = 0; i < 255; i++)
		put(18 + i, 255 - i, 1);
	assert_good();
	assert_int_equal(request.cpu.count, 255);
	assert_int_equal(request.cpu.entry[254].apic_id, 1);
	assert_int_equal(request.cpu.entry[254].acpi_id, REQUEST_NO_ACPI_ID);
	assert_int_equal(request.cpu.entry[254].node, REQUEST_NO_NODE);
	put(18 + 254, 255, 1);
	assert_refused(-EINVAL, 254);
	put(16, 0, 1);
	ASSERT_EINVAL();
}

static void put_cpu2(u32 i, u32 apic_id, u32 acpi_id, u32 node)
{
	put(24 + 12 * i, apic_id, 4);
	put(28 + 12 * i, acpi_id, 4);
	put(32 + 12 * i, node, 4);
}

static void cpu2_has_wide_ids_and_a_node(void **state)
{
	u32 i;

	(void)state;
	begin(UPCALL_ADD_CPU2, 8 + 12 * 80);
	put(16, 80, 4);
	for (i = 0; i < 80; i++)
		put_cpu2(i, 0x10000 + i, i, i % 2 ? 0xffffffff : i);
	assert_good();
	assert_int_equal(request.cpu.count, 80);
	assert_int_equal(request.cpu.entry[79].apic_id, 0x1004f);
	assert_int_equal(request.cpu.entry[79].acpi_id, 79);
	assert_int_equal(request.cpu.entry[79].node, -1);
	assert_int_equal(request.cpu.entry[78].node, 78);

	put_cpu2(79, 0x10000, 79, 0);
	assert_refused(-EINVAL, 79);
	put_cpu2(79, 0x1004f, 79, 0xfffffffe); /* node -2 */
	assert_refused(-EINVAL, 79);
	put_cpu2(79, 0x1004f, 79, 0x80000000);
	assert_refused(-EINVAL, 79);
}

static void cpu2_counts_that_do_not_fit_are_refused(void **state)
{
	/* 0x40000002 times 12 is 24 in 32 bits. */
	static const u32 counts[] = {0, 1, 3, 81, 0x40000002, 0x80000000, 0xffffffff};
	u32 i;

	(void)state;
	begin(UPCALL_ADD_CPU2, 8 + 12 * 2);
	put_cpu2(1, 1, 1, 0);
	put(16, 2, 4);
	assert_good();
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		put(16, counts[i], 4);
		ASSERT_EINVAL();
	}
	put(16, 2, 4);
	put(4, 8 + 12 * 2 + 1, 4);
	ASSERT_EINVAL();
}

static void only_what_can_be_ejected_has_the_flag(void **state)
{
	static const struct {
		u32 type;
		size_t offset;
		size_t bytes;
		bool allowed;
	} rows[] = {
		{UPCALL_ADD_CPU2, 20, 4, false}, {UPCALL_DEL_CPU2, 20, 4, true},
		{UPCALL_ADD_PCI2, 22, 2, false}, {UPCALL_DEL_PCI2, 22, 2, true},
		{UPCALL_ADD_MEM2, 36, 4, false}, {UPCALL_DEL_MEM2, 36, 4, true},
		{UPCALL_LIST, 20, 4, false},	 {UPCALL_STATUS, 20, 4, false},
	};
	u32 i, bit;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_good(request_find_type(rows[i].type));
		for (bit = 0; bit < 8 * rows[i].bytes; bit++) {
			put(rows[i].offset, 1ull << bit, rows[i].bytes);
			if (rows[i].allowed && bit == 0) {
				assert_good();
				assert_true(request.eject);
			} else {
				ASSERT_EINVAL();
			}
		}
	}
}

static void put_window(size_t offset, u64 base, u64 size, u32 irq)
{
	put(offset, base, 8);
	put(offset + 8, size, 8);
	put(offset + 16, irq, 4);
}

static void windows_that_cannot_be_are_refused(void **state)
{
	static const struct {
		u64 base;
		u64 size;
		u32 irq;
		bool good;
	} rows[] = {
		{0xfeb00000, 0x100, 5, true},
		{0xfeb00000, 0x200, 0xffffffff, true},
		{4, 0x200, 16, true},
		/* Up to the last byte there is. */
		{0xffffffffffffff00, 0x100, 1, true},
		{0xffffffffffffff04, 0x100, 1, false},
		{0xfffffffffffffffc, 0xfffffffffffffffc, 1, false},
		{0xfeb00000, 0xfc, 5, false},
		{0xfeb00000, 0, 5, false},
		{0, 0x200, 5, false},
		{0xfeb00002, 0x200, 5, false},
		{0xfeb00000, 0x201, 5, false},
		{0xfeb00000, 0x200, 0, false},
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(UPCALL_ADD_MMIO, 24);
		put_window(16, rows[i].base, rows[i].size, rows[i].irq);
		put(36, 0xffffffff, 4); /* the padding: anything */
		if (!rows[i].good) {
			ASSERT_EINVAL();
		} else {
			assert_good();
			assert_true(request.mmio.base == rows[i].base);
			assert_true(request.mmio.size == rows[i].size);
			assert_int_equal(request.mmio.irq, rows[i].irq);
		}
		begin(UPCALL_DEL_VIOMMU, 32);
		put_window(24, rows[i].base, rows[i].size, rows[i].irq);
		assert_int_equal(parse() == 0, rows[i].good);
	}
}

static void mmio_has_its_padding_or_not(void **state)
{
	u32 size;

	(void)state;
	for (size = 20; size <= 24; size++) {
		begin_good(request_find_type(UPCALL_DEL_MMIO));
		put(4, size, 4);
		if (size == 20 || size == 24)
			assert_good();
		else
			ASSERT_EINVAL();
	}
}

static void pci_addresses(void **state)
{
	(void)state;
	begin(UPCALL_ADD_PCI, 2);
	put(16, 0x12, 1);
	put(17, 0x34, 1);
	assert_good();
	assert_true(request_pci_key(&request.pci) == 0x1234);

	begin(UPCALL_DEL_PCI2, 8);
	put(16, 0xffff, 4);
	put(20, 0xff, 1);
	put(21, 0xfe, 1);
	put(22, UPCALL_EJECT, 2);
	assert_good();
	assert_true(request_pci_key(&request.pci) == 0xfffffffe);
	put(16, 0x10000, 4);
	ASSERT_EINVAL();
}

static void memory_ranges_that_cannot_be_are_refused(void **state)
{
	static const struct {
		u64 base;
		u64 size;
		u32 node;
		bool good;
	} rows[] = {
		{0x100000000, 0x8000000, 0, true},
		{0x100000000, 1, 0x7fffffff, true},
		{0, 0xffffffffffffffff, 0xffffffff, true},
		{0xf000000000000000, 0x1000000000000000, 0, true}, /* to the end */
		{0xf000000000000000, 0x1000000000000001, 0, false},
		{0xffffffffffffffff, 2, 0, false},
		{1, 0xffffffffffffffff, 0, true},
		{2, 0xffffffffffffffff, 0, false},
		{0x100000000, 0, 0, false},
		{0x100000000, 0x8000000, 0xfffffffe, false},
		{0x100000000, 0x8000000, 0x80000000, false},
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(UPCALL_ADD_MEM2, 24);
		put(16, rows[i].base, 8);
		put(24, rows[i].size, 8);
		put(32, rows[i].node, 4);
		if (!rows[i].good) {
			ASSERT_EINVAL();
			continue;
		}
		assert_good();
		assert_true(request.mem.base == rows[i].base);
		assert_true(request.mem.size == rows[i].size);
		assert_int_equal(request.mem.node, (s32)rows[i].node);
	}
}

static void put_range(u32 i, u32 kind, u32 endpoint, u32 segment, u32 first, u32 last,
		      u64 base)
{
	size_t at = 48 + 24 * (size_t)i;

	put(at, kind, 4);
	put(at + 4, endpoint, 4);
	put(at + 8, segment, 4);
	put(at + 12, first, 2);
	put(at + 14, last, 2);
	put(at + 16, base, 8);
}

static void viommu_ranges_that_cannot_be_are_refused(void **state)
{
	static const struct {
		u32 kind, endpoint, segment, first, last;
		u64 base;
		bool good;
	} rows[] = {
		{UPCALL_RANGE_PCI, 0, 0, 0, 0xffff, 0, true},
		{UPCALL_RANGE_PCI, 0xffff0000, 0xffff, 0, 0xffff, 0, true},
		{UPCALL_RANGE_PCI, 0xffff0001, 0, 0, 0xffff, 0, false}, /* ids wrap */
		{UPCALL_RANGE_PCI, 0, 0x10000, 0, 1, 0, false},
		{UPCALL_RANGE_PCI, 0, 0, 2, 1, 0, false},
		{UPCALL_RANGE_PCI, 0, 0, 1, 2, 1, false},
		{UPCALL_RANGE_MMIO, 0xffffffff, 0, 0, 0, 0xfeb00200, true},
		{UPCALL_RANGE_MMIO, 1, 1, 0, 0, 0xfeb00200, false},
		{UPCALL_RANGE_MMIO, 1, 0, 0, 1, 0xfeb00200, false},
		{UPCALL_RANGE_MMIO, 1, 0, 1, 0, 0xfeb00200, false},
		{2, 1, 0, 0, 0, 0, false},
		{0xffffffff, 1, 0, 0, 0, 0, false},
	};
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_good(request_find_type(UPCALL_ADD_VIOMMU));
		put_range(0, rows[i].kind, rows[i].endpoint, rows[i].segment,
			  rows[i].first, rows[i].last, rows[i].base);
		if (rows[i].good)
			assert_good();
		else
			assert_refused(-EINVAL, 0);
	}
}

static void viommu_ranges_that_overlap_are_refused(void **state)
{
	(void)state;
	begin_good(request_find_type(UPCALL_ADD_VIOMMU));
	put(20, 2, 4);
	put(4, 32 + 2 * 24, 4);
	put_range(0, UPCALL_RANGE_PCI, 0x100, 0, 0x10, 0x1f, 0);
	put_range(1, UPCALL_RANGE_PCI, 0x110, 0, 0x20, 0x2f, 0);
	assert_good();
	put_range(1, UPCALL_RANGE_PCI, 0x10f, 0, 0x20, 0x2f, 0); /* an id */
	assert_refused(-EINVAL, 1);
	put_range(1, UPCALL_RANGE_PCI, 0x110, 0, 0x1f, 0x2f, 0); /* a device */
	assert_refused(-EINVAL, 1);
	put_range(1, UPCALL_RANGE_PCI, 0xf0, 0, 0, 0x10, 0);
	assert_refused(-EINVAL, 1);
	put_range(1, UPCALL_RANGE_PCI, 0x110, 1, 0x1f, 0x2f,
		  0); /* of another segment */
	assert_good();
	put_range(1, UPCALL_RANGE_MMIO, 0x10f, 0, 0, 0, 0x1000);
	assert_refused(-EINVAL, 1);
	put_range(0, UPCALL_RANGE_MMIO, 1, 0, 0, 0, 0x1000);
	assert_refused(-EINVAL, 1); /* the same window twice */
	put_range(0, UPCALL_RANGE_MMIO, 1, 0, 0, 0, 0x2000);
	assert_good();
}

static void viommu_heads_that_cannot_be_are_refused(void **state)
{
	u32 count;

	(void)state;
	for (count = 0; count <= 26; count++) {
		u32 i;

		begin_good(request_find_type(UPCALL_ADD_VIOMMU));
		put(20, count, 4);
		put(4, 32 + 24 * count, 4);
		for (i = 0; i < count && i < 24; i++)
			put_range(i, UPCALL_RANGE_MMIO, i, 0, 0, 0, 0x1000 * i);
		if (count >= 1 && count <= 24)
			assert_good();
		else
			ASSERT_EINVAL();
		put(4, 32 + 24 * count + 1, 4);
		ASSERT_EINVAL();
	}
	begin_good(request_find_type(UPCALL_DEL_VIOMMU));
	put(20, 1, 4); /* count */
	ASSERT_EINVAL();

	begin_good(request_find_type(UPCALL_DEL_VIOMMU));
	put(47, 8, 1); /* a BDF of an MMIO device */
	ASSERT_EINVAL();
	put(16, UPCALL_VIOMMU_AT_PCI, 4); /* a window of a PCI device */
	ASSERT_EINVAL();
	put_window(24, 0, 0, 5);
	ASSERT_EINVAL();
	put_window(24, 0, 0, 0);
	assert_good();
	assert_true(request_pci_key(&request.viommu.pci) == 8);
	put(16, 2, 4);
	ASSERT_EINVAL();
}

static void a_reason_is_cut_to_fit(void **state)
{
	char word[300];

	(void)state;
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	report_init(&report);
	assert_int_equal(report_fail(&report, 7, -EIO, "%s", word), -EIO);
	assert_int_equal(strlen(report.reason), sizeof(report.reason) - 1);
	assert_int_equal(report.failed, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_is_accepted_as_itself),
		cmocka_unit_test(sizes_outside_the_table_are_refused),
		cmocka_unit_test(a_wrong_magic_is_told_from_a_wrong_type),
		cmocka_unit_test(cpus_are_taken_as_they_stand),
		cmocka_unit_test(cpu2_has_wide_ids_and_a_node),
		cmocka_unit_test(cpu2_counts_that_do_not_fit_are_refused),
		cmocka_unit_test(only_what_can_be_ejected_has_the_flag),
		cmocka_unit_test(windows_that_cannot_be_are_refused),
		cmocka_unit_test(mmio_has_its_padding_or_not),
		cmocka_unit_test(pci_addresses),
		cmocka_unit_test(memory_ranges_that_cannot_be_are_refused),
		cmocka_unit_test(viommu_ranges_that_cannot_be_are_refused),
		cmocka_unit_test(viommu_ranges_that_overlap_are_refused),
		cmocka_unit_test(viommu_heads_that_cannot_be_are_refused),
		cmocka_unit_test(a_reason_is_cut_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
