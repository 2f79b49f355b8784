// SPDX-License-Identifier: GPL-2.0-only
/* Compiles in user space too: nothing but bytes in, numbers and words out. */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "request.h"

/* Up to the configuration space (virtio 1.2, section 4.2.2). */
#define VIRTIO_MMIO_MIN 0x100

#define fail(report, entry, ...) report_fail(report, entry, -EINVAL, __VA_ARGS__)

static int check_flags(u32 flags, u32 known, struct report *report)
{
	if (flags & ~known)
		return fail(report, REPORT_NO_ENTRY, "flags %#x are not known",
			    flags & ~known);
	return 0;
}

/* msg_size must be that of the counted entries, no more and no less. */
static int check_size(const union message *message, size_t head, size_t entry,
		      u32 count, struct report *report)
{
	u32 size = le32_to_cpu(message->request.header.msg_size);

	if (size != head + count * entry)
		return fail(report, REPORT_NO_ENTRY,
			    "msg_size %u does not fit count %u", size, count);
	return 0;
}

static int check_cpus(const struct request *request, struct report *report)
{
	const struct request_cpu *entry = request->cpu.entry;
	u32 i, k;

	for (i = 0; i < request->cpu.count; i++) {
		for (k = 0; k < i; k++) {
			if (entry[k].apic_id == entry[i].apic_id)
				return fail(report, i, "APIC id %u is named twice",
					    entry[i].apic_id);
		}
	}
	return 0;
}

static int parse_cpu(const union message *message, struct request *request,
		     struct report *report)
{
	const struct upcall_cpu *cpu = &message->request.cpu;
	u32 i;

	if (cpu->count == 0)
		return fail(report, REPORT_NO_ENTRY, "count is 0");
	request->cpu.count = cpu->count;
	for (i = 0; i < cpu->count; i++)
		request->cpu.entry[i] = (struct request_cpu){
			.apic_id = cpu->apic_ids[i],
			.acpi_id = REQUEST_NO_ACPI_ID,
			.node = REQUEST_NO_NODE,
		};
	return check_cpus(request, report);
}

static int parse_cpu2(const union message *message, struct request *request,
		      struct report *report)
{
	const struct upcall_cpu2 *cpu2 = &message->request.cpu2;
	bool del = request->type->op == REQUEST_DEL;
	u32 count = le32_to_cpu(cpu2->count), i;
	struct request_cpu *entry;

	if (count == 0 || count > UPCALL_CPU2_MAX)
		return fail(report, REPORT_NO_ENTRY,
			    "count is %u: 1 to %u CPUs can be named", count,
			    UPCALL_CPU2_MAX);
	if (check_size(message, offsetof(struct upcall_cpu2, cpu), sizeof(cpu2->cpu[0]),
		       count, report) ||
	    check_flags(le32_to_cpu(cpu2->flags), del ? UPCALL_EJECT : 0, report))
		return -EINVAL;
	request->eject = le32_to_cpu(cpu2->flags) & UPCALL_EJECT;
	request->cpu.count = count;
	for (i = 0; i < count; i++) {
		entry = &request->cpu.entry[i];
		entry->apic_id = le32_to_cpu(cpu2->cpu[i].apic_id);
		entry->acpi_id = le32_to_cpu(cpu2->cpu[i].acpi_id);
		entry->node = (s32)le32_to_cpu(cpu2->cpu[i].node);
		if (entry->node < REQUEST_NO_NODE)
			return fail(report, i, "node %d of APIC id %u is none",
				    entry->node, entry->apic_id);
	}
	return check_cpus(request, report);
}

static int take_mmio(u64 base, u64 size, u32 irq, struct request_mmio *mmio,
		     struct report *report)
{
	*mmio = (struct request_mmio){.base = base, .size = size, .irq = irq};
	if (size < VIRTIO_MMIO_MIN)
		return fail(report, REPORT_NO_ENTRY,
			    "a window of %llu bytes is below the %u of virtio-mmio",
			    (unsigned long long)size, VIRTIO_MMIO_MIN);
	if (base == 0 || base + size - 1 < base)
		return fail(report, REPORT_NO_ENTRY,
			    "a window at %#llx of %#llx bytes is at 0 or wraps",
			    (unsigned long long)base, (unsigned long long)size);
	/* Registers are 32 bits wide and aligned (virtio 1.2, section 4.2.2.2). */
	if (base % 4 || size % 4)
		return fail(report, REPORT_NO_ENTRY,
			    "a window at %#llx of %#llx bytes is not aligned to 4",
			    (unsigned long long)base, (unsigned long long)size);
	if (irq == 0)
		return fail(report, REPORT_NO_ENTRY,
			    "IRQ 0 is the timer's and no device's");
	return 0;
}

static int parse_mmio(const union message *message, struct request *request,
		      struct report *report)
{
	const struct upcall_mmio *mmio = &message->request.mmio;
	u32 size = le32_to_cpu(message->request.header.msg_size);

	if (size != request->type->size_min && size != request->type->size_max)
		return fail(report, REPORT_NO_ENTRY, "msg_size %u is neither %u nor %u",
			    size, request->type->size_min, request->type->size_max);
	return take_mmio(le64_to_cpu(mmio->base), le64_to_cpu(mmio->size),
			 le32_to_cpu(mmio->irq), &request->mmio, report);
}

static int parse_pci(const union message *message, struct request *request,
		     struct report *report)
{
	request->pci.segment = 0;
	request->pci.bus = message->request.pci.bus;
	request->pci.devfn = message->request.pci.devfn;
	return 0;
}

static int parse_pci2(const union message *message, struct request *request,
		      struct report *report)
{
	const struct upcall_pci2 *pci2 = &message->request.pci2;
	u32 segment = le32_to_cpu(pci2->segment);
	u32 flags = le16_to_cpu(pci2->flags);

	if (check_flags(flags, request->type->op == REQUEST_DEL ? UPCALL_EJECT : 0,
			report))
		return -EINVAL;
	if (segment > U16_MAX)
		return fail(report, REPORT_NO_ENTRY, "segment %#x is above 0xffff",
			    segment);
	request->eject = flags & UPCALL_EJECT;
	request->pci.segment = segment;
	request->pci.bus = pci2->bus;
	request->pci.devfn = pci2->devfn;
	return 0;
}

static int parse_mem2(const union message *message, struct request *request,
		      struct report *report)
{
	const struct upcall_mem2 *mem2 = &message->request.mem2;
	u64 base = le64_to_cpu(mem2->base), size = le64_to_cpu(mem2->size);
	s32 node = (s32)le32_to_cpu(mem2->node);
	u32 flags = le32_to_cpu(mem2->flags);

	if (check_flags(flags, request->type->op == REQUEST_DEL ? UPCALL_EJECT : 0,
			report))
		return -EINVAL;
	if (size == 0 || base + size - 1 < base)
		return fail(report, REPORT_NO_ENTRY,
			    "a range at %#llx of %#llx bytes is empty or wraps",
			    (unsigned long long)base, (unsigned long long)size);
	if (node < REQUEST_NO_NODE)
		return fail(report, REPORT_NO_ENTRY, "node %d is none", node);
	request->eject = flags & UPCALL_EJECT;
	request->mem.base = base;
	request->mem.size = size;
	request->mem.node = node;
	return 0;
}

static bool ranges_overlap(const struct request_range *a, const struct request_range *b)
{
	u32 a_last = a->endpoint + (a->last - a->first);
	u32 b_last = b->endpoint + (b->last - b->first);

	if (a->endpoint <= b_last && b->endpoint <= a_last)
		return true;
	if (a->kind != b->kind)
		return false;
	if (a->kind == UPCALL_RANGE_MMIO)
		return a->base == b->base;
	return a->segment == b->segment && a->first <= b->last && b->first <= a->last;
}

static int take_range(const struct upcall_viommu_range *wire,
		      struct request_range *range, u32 i, struct report *report)
{
	u32 segment = le32_to_cpu(wire->segment);

	*range = (struct request_range){
		.kind = le32_to_cpu(wire->kind),
		.endpoint = le32_to_cpu(wire->endpoint),
		.segment = segment,
		.first = le16_to_cpu(wire->first),
		.last = le16_to_cpu(wire->last),
		.base = le64_to_cpu(wire->base),
	};
	switch (range->kind) {
	case UPCALL_RANGE_PCI:
		if (segment > U16_MAX || range->base)
			return fail(report, i,
				    "range %u: a segment above 0xffff, or an "
				    "address",
				    i);
		if (range->last < range->first)
			return fail(report, i, "range %u: ends before it begins", i);
		if (range->endpoint + (u32)(range->last - range->first) <
		    range->endpoint)
			return fail(report, i, "range %u: endpoint ids wrap", i);
		return 0;
	case UPCALL_RANGE_MMIO:
		if (segment || range->first || range->last)
			return fail(report, i, "range %u: a BDF of an MMIO device", i);
		return 0;
	default:
		return fail(report, i, "range %u: kind %u is not known", i,
			    range->kind);
	}
}

static int take_ranges(const struct upcall_viommu *wire, u32 count,
		       struct request *request, struct report *report)
{
	struct request_range *range = request->viommu.range;
	u32 i, k;

	request->viommu.count = count;
	for (i = 0; i < count; i++) {
		if (take_range(&wire->range[i], &range[i], i, report))
			return -EINVAL;
		for (k = 0; k < i; k++) {
			if (ranges_overlap(&range[k], &range[i]))
				return fail(report, i, "range %u overlaps range %u", i,
					    k);
		}
	}
	return 0;
}

static int parse_viommu(const union message *message, struct request *request,
			struct report *report)
{
	const struct upcall_viommu *wire = &message->request.viommu;
	u64 base = le64_to_cpu(wire->base), size = le64_to_cpu(wire->size);
	bool add = request->type->op == REQUEST_ADD;
	u32 irq = le32_to_cpu(wire->irq);
	u32 count = le32_to_cpu(wire->count);

	if (add ? count == 0 || count > UPCALL_VIOMMU_RANGES : count != 0)
		return fail(
			report, REPORT_NO_ENTRY,
			"count is %u: ADD_VIOMMU has 1 to %u ranges, DEL_VIOMMU none",
			count, UPCALL_VIOMMU_RANGES);
	if (check_size(message, offsetof(struct upcall_viommu, range),
		       sizeof(wire->range[0]), count, report))
		return -EINVAL;
	request->viommu.at = le32_to_cpu(wire->at);
	request->viommu.pci = (struct request_pci){
		.segment = le16_to_cpu(wire->segment),
		.bus = wire->bus,
		.devfn = wire->devfn,
	};
	switch (request->viommu.at) {
	case UPCALL_VIOMMU_AT_MMIO:
		if (request_pci_key(&request->viommu.pci))
			return fail(report, REPORT_NO_ENTRY,
				    "a BDF of an MMIO virtio-iommu");
		if (take_mmio(base, size, irq, &request->viommu.mmio, report))
			return -EINVAL;
		break;
	case UPCALL_VIOMMU_AT_PCI:
		if (base || size || irq)
			return fail(report, REPORT_NO_ENTRY,
				    "a window or an IRQ of a PCI virtio-iommu");
		break;
	default:
		return fail(report, REPORT_NO_ENTRY, "at %u is not known",
			    request->viommu.at);
	}
	return take_ranges(wire, count, request, report);
}

static int parse_query(const union message *message, struct request *request,
		       struct report *report)
{
	const struct upcall_query *query = &message->request.query;

	request->start = le32_to_cpu(query->start);
	return check_flags(le32_to_cpu(query->flags), 0, report);
}

/* clang-format off */
#define TYPE(NAME, OP, CLASS, FEATURE) \
	.number = UPCALL_##NAME, .name = #NAME, .op = REQUEST_##OP, \
	.class_number = CLASS, .feature = UPCALL_FEATURE_##FEATURE
#define EXACTLY(type)       .size_min = sizeof(type), .size_max = sizeof(type)
/* From the payload's offset, behind ret, to the end of the message. */
#define DATA_REPLY (UPCALL_MSG_SIZE - offsetof(struct upcall_reply, apic_id_index))
#define BETWEEN(type, last) .size_min = offsetof(type, last), .size_max = sizeof(type)

const struct request_type request_types[] = {
	{TYPE(ADD_CPU, ADD, UPCALL_CLASS_CPU, CPU), EXACTLY(struct upcall_cpu),
	 .reply_size = sizeof(__le32), .parse = parse_cpu},
	{TYPE(DEL_CPU, DEL, UPCALL_CLASS_CPU, CPU), EXACTLY(struct upcall_cpu),
	 .reply_size = sizeof(__le32), .parse = parse_cpu},
	{.number = UPCALL_ADD_MEM, .name = "ADD_MEM"},
	{.number = UPCALL_DEL_MEM, .name = "DEL_MEM"},
	/* With or without the padding at the end of Dragonball's struct. */
	{TYPE(ADD_MMIO, ADD, UPCALL_CLASS_MMIO, MMIO), BETWEEN(struct upcall_mmio, pad),
	 .parse = parse_mmio},
	{TYPE(DEL_MMIO, DEL, UPCALL_CLASS_MMIO, MMIO), BETWEEN(struct upcall_mmio, pad),
	 .parse = parse_mmio},
	{TYPE(ADD_PCI, ADD, UPCALL_CLASS_PCI, PCI), EXACTLY(struct upcall_pci),
	 .parse = parse_pci},
	{TYPE(DEL_PCI, DEL, UPCALL_CLASS_PCI, PCI), EXACTLY(struct upcall_pci),
	 .parse = parse_pci},
	{TYPE(ADD_CPU2, ADD, UPCALL_CLASS_CPU, CPU), BETWEEN(struct upcall_cpu2, cpu[1]),
	 .reply_size = sizeof(__le32), .parse = parse_cpu2},
	{TYPE(DEL_CPU2, DEL, UPCALL_CLASS_CPU, CPU), BETWEEN(struct upcall_cpu2, cpu[1]),
	 .reply_size = sizeof(__le32), .parse = parse_cpu2},
	{TYPE(ADD_MEM2, ADD, UPCALL_CLASS_MEM, MEM), EXACTLY(struct upcall_mem2),
	 .parse = parse_mem2},
	{TYPE(DEL_MEM2, DEL, UPCALL_CLASS_MEM, MEM), EXACTLY(struct upcall_mem2),
	 .parse = parse_mem2},
	{TYPE(ADD_VIOMMU, ADD, UPCALL_CLASS_VIOMMU, VIOMMU),
	 BETWEEN(struct upcall_viommu, range[1]), .parse = parse_viommu},
	{TYPE(DEL_VIOMMU, DEL, UPCALL_CLASS_VIOMMU, VIOMMU),
	 .size_min = offsetof(struct upcall_viommu, range),
	 .size_max = offsetof(struct upcall_viommu, range), .parse = parse_viommu},
	{TYPE(ADD_PCI2, ADD, UPCALL_CLASS_PCI, PCI), EXACTLY(struct upcall_pci2),
	 .parse = parse_pci2},
	{TYPE(DEL_PCI2, DEL, UPCALL_CLASS_PCI, PCI), EXACTLY(struct upcall_pci2),
	 .parse = parse_pci2},
	{TYPE(LIST, LIST, 0, QUERY), EXACTLY(struct upcall_query),
	 .reply_size = DATA_REPLY, .parse = parse_query},
	{TYPE(STATUS, STATUS, 0, QUERY), EXACTLY(struct upcall_query),
	 .reply_size = DATA_REPLY, .parse = parse_query},
};
const u32 request_type_count = ARRAY_SIZE(request_types);
/* clang-format on */

const struct request_type *request_find_type(u32 number)
{
	u32 i;

	for (i = 0; i < request_type_count; i++) {
		if (request_types[i].number == number)
			return &request_types[i];
	}
	return NULL;
}

int request_parse(const union message *message, struct request *request,
		  struct report *report)
{
	const struct upcall_header *header = &message->request.header;
	u32 magic = le32_to_cpu(header->magic_version);
	u32 number = le32_to_cpu(header->msg_type);
	u32 size = le32_to_cpu(header->msg_size);
	const struct request_type *type = request_find_type(number);

	request->type = type;
	request->eject = false;
	if (magic != UPCALL_MAGIC)
		return report_fail(report, REPORT_NO_ENTRY, -EPROTO,
				   "magic is %#x, not %#x", magic, UPCALL_MAGIC);
	if (!type)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "message type %u is not known", number);
	if (type->op == REQUEST_RESERVED)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "%s is reserved: it has no meaning", type->name);
	if (size < type->size_min || size > type->size_max)
		return fail(report, REPORT_NO_ENTRY,
			    "msg_size is %u, of %s it is from %u to %u", size,
			    type->name, type->size_min, type->size_max);
	return type->parse(message, request, report);
}
