// SPDX-License-Identifier: Apache-2.0
/*
 * libFuzzer on request_parse(), the module's own source. What it accepts must be as
 * request.h promises and say what the bytes say, read here a second time by the
 * offsets of docs/protocol.md; what it refuses, it refuses in words.
 */
#include <ctype.h>
#include <errno.h>

#include <linux/kernel.h>

#include "../../kmod-upcall/request.h"
#include "fuzz.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
			       unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Where a request's payload begins. */
#define PAYLOAD 16

static u64 get(const union message *message, size_t offset, size_t bytes)
{
	u64 value = 0;

	while (bytes-- > 0)
		value = value << 8 | message->bytes[PAYLOAD + offset + bytes];
	return value;
}

static u64 size_of(const union message *message)
{
	return get(message, 4 - PAYLOAD, 4);
}

static void check_window(const struct request_mmio *mmio)
{
	CHECK(mmio->size >= 0x100);
	CHECK(mmio->base != 0);
	CHECK(mmio->base <= UINT64_MAX - (mmio->size - 1));
	CHECK(mmio->base % 4 == 0 && mmio->size % 4 == 0);
	CHECK(mmio->irq != 0);
}

static void check_cpus(const union message *message, const struct request *request)
{
	bool old = request->type->number < 0x100;
	const struct request_cpu *cpu;
	u32 i, k;

	CHECK(request->cpu.count >= 1);
	CHECK(request->cpu.count == get(message, 0, old ? 1 : 4));
	CHECK(request->cpu.count <= (old ? UPCALL_CPU_MAX - 1 : UPCALL_CPU2_MAX));
	CHECK(size_of(message) == (old ? 258 : 8 + 12 * request->cpu.count));
	for (i = 0; i < request->cpu.count; i++) {
		cpu = &request->cpu.entry[i];
		if (old) {
			CHECK(cpu->apic_id == get(message, 2 + i, 1));
			CHECK(cpu->acpi_id == REQUEST_NO_ACPI_ID);
			CHECK(cpu->node == REQUEST_NO_NODE);
		} else {
			CHECK(cpu->apic_id == get(message, 8 + 12 * i, 4));
			CHECK(cpu->acpi_id == get(message, 12 + 12 * i, 4));
			CHECK((u32)cpu->node == get(message, 16 + 12 * i, 4));
		}
		CHECK(cpu->node >= REQUEST_NO_NODE);
		for (k = 0; k < i; k++)
			CHECK(request->cpu.entry[k].apic_id != cpu->apic_id);
	}
	if (!old)
		CHECK(get(message, 4, 4) == request->eject);
}

static void check_mmio(const union message *message, const struct request *request)
{
	CHECK(size_of(message) == 20 || size_of(message) == 24);
	CHECK(request->mmio.base == get(message, 0, 8));
	CHECK(request->mmio.size == get(message, 8, 8));
	CHECK(request->mmio.irq == get(message, 16, 4));
	check_window(&request->mmio);
}

static void check_pci(const union message *message, const struct request *request)
{
	bool old = request->type->number < 0x100;

	CHECK(size_of(message) == (old ? 2 : 8));
	CHECK(request->pci.segment == (old ? 0 : get(message, 0, 4)));
	CHECK(request->pci.bus == get(message, old ? 0 : 4, 1));
	CHECK(request->pci.devfn == get(message, old ? 1 : 5, 1));
	if (!old)
		CHECK(get(message, 6, 2) == request->eject);
}

static void check_mem(const union message *message, const struct request *request)
{
	CHECK(size_of(message) == 24);
	CHECK(request->mem.base == get(message, 0, 8));
	CHECK(request->mem.size == get(message, 8, 8));
	CHECK((u32)request->mem.node == get(message, 16, 4));
	CHECK(get(message, 20, 4) == request->eject);
	CHECK(request->mem.size > 0);
	CHECK(request->mem.base <= UINT64_MAX - (request->mem.size - 1));
	CHECK(request->mem.node >= REQUEST_NO_NODE);
}

/* Whether the two name an endpoint of the same id, or the same device twice. */
static bool share(const struct request_range *a, const struct request_range *b)
{
	u64 a_end = (u64)a->endpoint + (a->last - a->first);
	u64 b_end = (u64)b->endpoint + (b->last - b->first);

	if (a->endpoint <= b_end && b->endpoint <= a_end)
		return true;
	if (a->kind != b->kind)
		return false;
	if (a->kind == UPCALL_RANGE_MMIO)
		return a->base == b->base;
	return a->segment == b->segment && a->first <= b->last && b->first <= a->last;
}

static void check_range(const union message *message, const struct request *request,
			u32 i)
{
	const struct request_range *range = &request->viommu.range[i];
	size_t at = 32 + 24 * (size_t)i;
	u32 k;

	CHECK(range->kind == get(message, at, 4));
	CHECK(range->endpoint == get(message, at + 4, 4));
	CHECK(range->segment == get(message, at + 8, 4));
	CHECK(range->first == get(message, at + 12, 2));
	CHECK(range->last == get(message, at + 14, 2));
	CHECK(range->base == get(message, at + 16, 8));
	if (range->kind == UPCALL_RANGE_PCI) {
		CHECK(range->first <= range->last && range->base == 0);
		CHECK((u64)range->endpoint + (range->last - range->first) <=
		      UINT32_MAX);
	} else {
		CHECK(range->kind == UPCALL_RANGE_MMIO);
		CHECK(!range->segment && !range->first && !range->last);
	}
	for (k = 0; k < i; k++)
		CHECK(!share(&request->viommu.range[k], range));
}

static void check_viommu(const union message *message, const struct request *request)
{
	u32 count = request->viommu.count, i;

	CHECK(count == get(message, 4, 4));
	CHECK(size_of(message) == 32 + 24 * count);
	if (request->type->op == REQUEST_ADD)
		CHECK(count >= 1 && count <= UPCALL_VIOMMU_RANGES);
	else
		CHECK(count == 0);
	CHECK(request->viommu.at == get(message, 0, 4));
	CHECK(request->viommu.pci.segment == get(message, 28, 2));
	CHECK(request->viommu.pci.bus == get(message, 30, 1));
	CHECK(request->viommu.pci.devfn == get(message, 31, 1));
	if (request->viommu.at == UPCALL_VIOMMU_AT_MMIO) {
		CHECK(request->viommu.mmio.base == get(message, 8, 8));
		CHECK(request->viommu.mmio.size == get(message, 16, 8));
		CHECK(request->viommu.mmio.irq == get(message, 24, 4));
		CHECK(get(message, 28, 4) == 0);
		check_window(&request->viommu.mmio);
	} else {
		CHECK(request->viommu.at == UPCALL_VIOMMU_AT_PCI);
		CHECK(!get(message, 8, 8) && !get(message, 16, 8) &&
		      !get(message, 24, 4));
	}
	for (i = 0; i < count; i++)
		check_range(message, request, i);
}

static void check_accepted(const union message *message, const struct request *request,
			   const struct report *report)
{
	const struct request_type *type = request->type;

	CHECK(report->failed == REPORT_NO_ENTRY && !report->reason[0]);
	CHECK(get(message, 0 - PAYLOAD, 4) == 0x444D0100);
	CHECK(type && type->number == get(message, 8 - PAYLOAD, 4));
	CHECK(!request->eject || (type->op == REQUEST_DEL && type->number >= 0x100 &&
				  type->class_number != UPCALL_CLASS_VIOMMU));
	switch (type->class_number) {
	case UPCALL_CLASS_CPU:
		return check_cpus(message, request);
	case UPCALL_CLASS_MMIO:
		return check_mmio(message, request);
	case UPCALL_CLASS_PCI:
		return check_pci(message, request);
	case UPCALL_CLASS_MEM:
		return check_mem(message, request);
	case UPCALL_CLASS_VIOMMU:
		return check_viommu(message, request);
	}
	CHECK(type->op == REQUEST_LIST || type->op == REQUEST_STATUS);
	CHECK(size_of(message) == 8);
	CHECK(request->start == get(message, 0, 4) && get(message, 4, 4) == 0);
}

static void check_refused(const union message *message, const struct request *request,
			  const struct report *report, int ret)
{
	u64 number = get(message, 8 - PAYLOAD, 4);
	size_t length = strnlen(report->reason, sizeof(report->reason)), i;
	bool known = number <= 8 ? number != 0 : request_find_type(number) != NULL;

	if (get(message, 0 - PAYLOAD, 4) != 0x444D0100)
		CHECK(ret == -EPROTO);
	else if (!known || number == 3 || number == 4)
		CHECK(ret == -EOPNOTSUPP);
	else
		CHECK(ret == -EINVAL);
	CHECK(known == (request->type != NULL));
	CHECK(length > 0 && length < sizeof(report->reason));
	for (i = 0; i < length; i++)
		CHECK(isprint((unsigned char)report->reason[i]));
	CHECK(report->failed == REPORT_NO_ENTRY || report->failed < UPCALL_CPU_MAX);
	CHECK(report->done == 0 && report->rolled_back == 0 && report->stuck == 0);
}

static int parse(const union message *message, int fill)
{
	/* What was there before must not show. */
	struct request *request = malloc(sizeof(*request));
	struct report report;
	int ret;

	CHECK(request);
	memset(request, fill, sizeof(*request));
	report_init(&report);
	ret = request_parse(message, request, &report);
	if (ret)
		check_refused(message, request, &report, ret);
	else
		check_accepted(message, request, &report);
	free(request);
	return ret;
}

/*
 * libFuzzer's own mutations seldom change just one field of a good message to another
 * value of sense, which is what shows a check that is missing. Half are of that kind.
 */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
			       unsigned int seed)
{
	static const size_t widths[] = {1, 2, 4, 8};
	static const uint64_t values[] = {0, 1, 2, 3, 24, 80, 255, 256, 0x10000};
	size_t width = widths[rand_r(&seed) % 4];
	size_t at = (size_t)(rand_r(&seed) % 64) * 2;
	uint64_t value = values[rand_r(&seed) % ARRAY_SIZE(values)];

	if (rand_r(&seed) % 2 || at + width > max_size)
		return LLVMFuzzerMutate(data, size, max_size);
	if (rand_r(&seed) % 3 == 0)
		value = request_types[(u32)rand_r(&seed) % request_type_count].number;
	else if (rand_r(&seed) % 2)
		value = -value;
	if (at + width > size) {
		memset(data + size, 0, at + width - size);
		size = at + width;
	}
	value = htole64(value);
	memcpy(data + at, &value, width);
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	union message *message = calloc(1, sizeof(*message)), *copy;
	int ret;

	CHECK(message);
	memcpy(message, data, size < sizeof(*message) ? size : sizeof(*message));
	copy = malloc(sizeof(*copy));
	CHECK(copy);
	*copy = *message;
	ret = parse(message, 0);
	CHECK(ret == parse(message, 0xff));
	CHECK(ret == 0 || !getenv("MUST_ACCEPT"));
	CHECK(memcmp(message, copy, sizeof(*message)) == 0);
	free(copy);
	free(message);
	return 0;
}
