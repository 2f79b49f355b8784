// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/utsname.h>

#include "cpu.h"
#include "devmgr.h"
#include "report.h"

struct request_type {
	const char *name;
	u16 size_min; /* what msg_size may be */
	u16 size_max;
	u16 reply_size; /* msg_size of a reply, success or not */
	/* NULL: refused. Returns 0 or a negative errno, and fills the report. */
	int (*handle)(const union devmgr_message *request, struct report *report);
};

static u32 copy_ids(const struct upcall_cpu *cpu, u32 *apic_ids)
{
	u32 i;

	for (i = 0; i < cpu->count; i++)
		apic_ids[i] = cpu->apic_ids[i];
	return cpu->count;
}

static int handle_add_cpu(const union devmgr_message *request, struct report *report)
{
	u32 apic_ids[U8_MAX];
	u32 count = copy_ids(&request->request.cpu, apic_ids);

	return cpu_plug(apic_ids, count, report);
}

static int handle_del_cpu(const union devmgr_message *request, struct report *report)
{
	u32 apic_ids[U8_MAX];
	u32 count = copy_ids(&request->request.cpu, apic_ids);

	return cpu_unplug(apic_ids, count, false, report);
}

static int handle_del_cpu2(const union devmgr_message *request, struct report *report)
{
	const struct upcall_cpu2 *cpu2 = &request->request.cpu2;
	u32 size = le32_to_cpu(request->request.header.msg_size);
	u32 flags = le32_to_cpu(cpu2->flags);
	u32 count = le32_to_cpu(cpu2->count);
	u32 apic_ids[UPCALL_CPU2_MAX];
	u32 i;

	if (count == 0 || count > UPCALL_CPU2_MAX)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "count is %u: 1 to %u CPUs can be named", count,
				   UPCALL_CPU2_MAX);
	if (size != offsetof(struct upcall_cpu2, cpu) + count * sizeof(cpu2->cpu[0]))
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "msg_size %u does not fit %u CPUs", size, count);
	if (flags & ~UPCALL_CPU2_EJECT)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "flags %#x are not known", flags);
	for (i = 0; i < count; i++)
		apic_ids[i] = le32_to_cpu(cpu2->cpu[i].apic_id);
	return cpu_unplug(apic_ids, count, flags & UPCALL_CPU2_EJECT, report);
}

static const struct request_type dragonball_types[] = {
	[UPCALL_CONNECT] = {.name = "CONNECT"},
	[UPCALL_ADD_CPU] = {.name = "ADD_CPU",
			    .size_min = sizeof(struct upcall_cpu),
			    .size_max = sizeof(struct upcall_cpu),
			    .reply_size = sizeof(__le32),
			    .handle = handle_add_cpu},
	[UPCALL_DEL_CPU] = {.name = "DEL_CPU",
			    .size_min = sizeof(struct upcall_cpu),
			    .size_max = sizeof(struct upcall_cpu),
			    .reply_size = sizeof(__le32),
			    .handle = handle_del_cpu},
	[UPCALL_ADD_MEM] = {.name = "ADD_MEM"},
	[UPCALL_DEL_MEM] = {.name = "DEL_MEM"},
	[UPCALL_ADD_MMIO] = {.name = "ADD_MMIO"},
	[UPCALL_DEL_MMIO] = {.name = "DEL_MMIO"},
	[UPCALL_ADD_PCI] = {.name = "ADD_PCI"},
	[UPCALL_DEL_PCI] = {.name = "DEL_PCI"},
};

#define OWN_TYPES 0x100 /* the first of our own, and their table's index 0 */
static const struct request_type own_types[] = {
	[UPCALL_DEL_CPU2 - OWN_TYPES] = {.name = "DEL_CPU2",
					 .size_min =
						 offsetof(struct upcall_cpu2, cpu[1]),
					 .size_max = sizeof(struct upcall_cpu2),
					 .reply_size = sizeof(__le32),
					 .handle = handle_del_cpu2},
};

/* NULL if there is no such type. */
static const struct request_type *find_type(u32 number)
{
	const struct request_type *type = NULL;

	if (number < ARRAY_SIZE(dragonball_types))
		type = &dragonball_types[number];
	else if (number >= OWN_TYPES && number - OWN_TYPES < ARRAY_SIZE(own_types))
		type = &own_types[number - OWN_TYPES];
	return type && type->name ? type : NULL;
}

static void fill_reply(const union devmgr_message *request, union devmgr_message *reply,
		       int ret, const struct report *report)
{
	struct upcall_detail *detail = &reply->reply.detail;
	const struct request_type *type;

	type = find_type(le32_to_cpu(request->request.header.msg_type));
	memset(reply, 0, sizeof(*reply));
	reply->reply.head.header.magic_version = cpu_to_le32(UPCALL_MAGIC);
	reply->reply.head.header.msg_size = cpu_to_le32(type ? type->reply_size : 0);
	reply->reply.head.header.msg_type = request->request.header.msg_type;
	reply->reply.head.ret = cpu_to_le32(ret);
	reply->reply.head.apic_id_index = cpu_to_le32(report->done);

	detail->magic = cpu_to_le32(UPCALL_EXT_MAGIC);
	detail->failed = cpu_to_le32(report->failed);
	detail->rolled_back = cpu_to_le32(report->rolled_back);
	detail->stuck = cpu_to_le32(report->stuck);
	detail->kernel_ns = cpu_to_le64(report->kernel_ns);
	strscpy(detail->reason, report->reason, sizeof(detail->reason));
}

/* Checks what all requests have in common, then has the type's handler do it. */
static int carry_out(const union devmgr_message *request, struct report *report)
{
	const struct upcall_header *header = &request->request.header;
	u32 magic = le32_to_cpu(header->magic_version);
	u32 number = le32_to_cpu(header->msg_type);
	u32 size = le32_to_cpu(header->msg_size);
	const struct request_type *type = find_type(number);

	if (magic != UPCALL_MAGIC)
		return report_fail(report, REPORT_NO_ENTRY, -EPROTO,
				   "magic is %#x, not %#x", magic, UPCALL_MAGIC);
	if (!type)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "message type %u is not known", number);
	if (!type->handle)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "%s is not supported by this module", type->name);
	if (size < type->size_min || size > type->size_max)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "msg_size is %u, of %s it is from %u to %u", size,
				   type->name, type->size_min, type->size_max);
	return type->handle(request, report);
}

void devmgr_connect(union devmgr_message *message)
{
	struct upcall_announce *announce = &message->connect.announce;

	memset(message, 0, sizeof(*message));
	message->connect.header.magic_version = cpu_to_le32(UPCALL_MAGIC);
	message->connect.header.msg_type = cpu_to_le32(UPCALL_CONNECT);

	announce->magic = cpu_to_le32(UPCALL_EXT_MAGIC);
	announce->version = cpu_to_le32(1);
	announce->features =
		cpu_to_le32(UPCALL_FEATURE_DETAIL | UPCALL_FEATURE_DEL_CPU2 |
			    (cpu_available() ? UPCALL_FEATURE_CPU : 0));
	strscpy(announce->module, UPCALL_VERSION, sizeof(announce->module));
	strscpy(announce->kernel, init_utsname()->release, sizeof(announce->kernel));
}

void devmgr_handle(const union devmgr_message *request, union devmgr_message *reply)
{
	u32 number = le32_to_cpu(request->request.header.msg_type);
	const struct request_type *type = find_type(number);
	struct report report;
	int ret;

	report_init(&report);
	ret = carry_out(request, &report);
	if (ret)
		pr_warn_ratelimited("%s refused with %pe: %s\n",
				    type ? type->name : "a request", ERR_PTR(ret),
				    report.reason);
	fill_reply(request, reply, ret, &report);
}

void devmgr_refuse(const union devmgr_message *request, union devmgr_message *reply,
		   int err, const char *reason)
{
	struct report report;

	report_init(&report);
	report_fail(&report, REPORT_NO_ENTRY, err, "%s", reason);
	fill_reply(request, reply, err, &report);
}
