// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#include "class.h"
#include "conn.h"
#include "devmgr.h"
#include "events.h"
#include "plugged.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * Adding a class of devices: its file, its line here, and what messages say of it in
 * request.c and upcall_wire.h. Kbuild leaves out what the kernel has not.
 */
static const struct device_class *const classes[] = {
	[UPCALL_CLASS_CPU] = &cpu_class,
	[UPCALL_CLASS_MMIO] = &mmio_class,
	[UPCALL_CLASS_PCI] = IS_ENABLED(CONFIG_PCI) ? &pci_class : NULL,
	[UPCALL_CLASS_MEM] = IS_ENABLED(CONFIG_MEMORY_HOTPLUG) ? &mem_class : NULL,
	[UPCALL_CLASS_VIOMMU] = &viommu_class,
};

struct counters {
	u64 requests;
	u64 errors;
	u64 total_ns;
	u64 max_ns;
};

/* One for each of request_types[]. */
static struct counters *counters;
static u64 requests; /* of all types and of none; goes on where the last load ended */
static u64 load_ns;  /* CLOCK_BOOTTIME */

const struct device_class *class_find(u32 number)
{
	return number < ARRAY_SIZE(classes) ? classes[number] : NULL;
}

static u32 features(void)
{
	u32 all = UPCALL_FEATURE_DETAIL | UPCALL_FEATURE_DEL_CPU2 |
		  UPCALL_FEATURE_ADD_CPU2 | UPCALL_FEATURE_QUERY;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		if (classes[i])
			all |= classes[i]->features();
	}
	return all;
}

static void fill_status(u32 start, struct upcall_status *status)
{
	struct upcall_status_type *type;
	u32 available = features();
	u32 i, count = 0;

	for (i = start; i < request_type_count && count < UPCALL_STATUS_MAX; i++) {
		type = &status->type[count++];
		type->type = cpu_to_le32(request_types[i].number);
		if (request_types[i].feature & available)
			type->flags = cpu_to_le32(UPCALL_STATUS_AVAILABLE);
		type->requests = cpu_to_le64(counters[i].requests);
		type->errors = cpu_to_le64(counters[i].errors);
		type->total_ns = cpu_to_le64(counters[i].total_ns);
		type->max_ns = cpu_to_le64(counters[i].max_ns);
		strscpy(type->name, request_types[i].name, sizeof(type->name));
	}
	status->total = cpu_to_le32(request_type_count);
	status->count = cpu_to_le32(count);
	status->uptime_ns = cpu_to_le64(ktime_get_boottime_ns() - load_ns);
	status->connections = cpu_to_le32(conn_count());
	status->connections_max = cpu_to_le32(conn_max);
	status->plugged = cpu_to_le32(plugged_count());
}

/* Whom it concerns. The data of a reply is zero before. */
static int dispatch(const struct request *request, union message *reply,
		    struct report *report)
{
	const struct device_class *class = class_find(request->type->class_number);
	int ret;

	switch (request->type->op) {
	case REQUEST_ADD:
	case REQUEST_DEL:
		if (!class)
			return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
					   "%s: this kernel was built without it",
					   request->type->name);
		plugged_hold();
		ret = request->type->op == REQUEST_ADD ? class->add(request, report)
						       : class->del(request, report);
		plugged_release();
		return ret;
	case REQUEST_LIST:
		plugged_list(request->start, &reply->reply.list);
		return 0;
	case REQUEST_STATUS:
		fill_status(request->start, &reply->reply.status);
		return 0;
	case REQUEST_RESERVED:
		break;
	}
	return -EOPNOTSUPP;
}

static void count_request(const struct request_type *type, int ret, u64 ns)
{
	struct counters *counter;

	if (!type)
		return;
	counter = &counters[type - request_types];
	counter->requests++;
	counter->errors += ret != 0;
	counter->total_ns += ns;
	counter->max_ns = max(counter->max_ns, ns);
}

static const char *type_name(const struct request_type *type)
{
	return type ? type->name : "a request";
}

static void fill_reply(const union message *message, union message *reply, int ret,
		       const struct report *report)
{
	struct upcall_detail *detail = &reply->reply.detail;
	const struct request_type *type;

	type = request_find_type(le32_to_cpu(message->request.header.msg_type));
	reply->reply.head.header.magic_version = cpu_to_le32(UPCALL_MAGIC);
	reply->reply.head.header.msg_size = cpu_to_le32(type ? type->reply_size : 0);
	reply->reply.head.header.msg_type = message->request.header.msg_type;
	reply->reply.head.ret = cpu_to_le32(ret);
	reply->reply.head.apic_id_index = cpu_to_le32(report->done);

	detail->magic = cpu_to_le32(UPCALL_EXT_MAGIC);
	detail->failed = cpu_to_le32(report->failed);
	detail->rolled_back = cpu_to_le32(report->rolled_back);
	detail->stuck = cpu_to_le32(report->stuck);
	detail->kernel_ns = cpu_to_le64(report->kernel_ns);
	detail->request = cpu_to_le64(report->request);
	detail->total_ns = cpu_to_le64(report->total_ns);
	strscpy(detail->reason, report->reason, sizeof(detail->reason));
}

static void forget_gone(struct report *report)
{
	struct plugged *plugged, *next;

	list_for_each_entry_safe (plugged, next, &report->gone, list)
		kfree(plugged);
}

void devmgr_connect(union message *message)
{
	struct upcall_announce *announce = &message->connect.announce;

	memset(message, 0, sizeof(*message));
	message->connect.header.magic_version = cpu_to_le32(UPCALL_MAGIC);
	message->connect.header.msg_type = cpu_to_le32(UPCALL_CONNECT);

	announce->magic = cpu_to_le32(UPCALL_EXT_MAGIC);
	announce->version = cpu_to_le32(1);
	announce->features = cpu_to_le32(features());
	strscpy(announce->module, UPCALL_VERSION, sizeof(announce->module));
	strscpy(announce->kernel, init_utsname()->release, sizeof(announce->kernel));
}

void devmgr_handle(const union message *message, union message *reply)
{
	/* 3 KiB are no stack's, and there is one request at a time. */
	static struct request request;
	u64 start = ktime_get_ns();
	struct report report;
	int ret;

	memset(reply, 0, sizeof(*reply));
	report_init(&report);
	report.request = request.number = ++requests;
	report.type = le32_to_cpu(message->request.header.msg_type);
	trace_upcall_request_start(report.request, report.type);

	ret = request_parse(message, &request, &report);
	if (!ret)
		ret = dispatch(&request, reply, &report);
	report.total_ns = ktime_get_ns() - start;
	if (ret)
		pr_warn_ratelimited("%s refused with %pe: %s\n",
				    type_name(request.type), ERR_PTR(ret),
				    report.reason);
	count_request(request.type, ret, report.total_ns);
	trace_upcall_request_end(report.request, report.type, ret, report.kernel_ns,
				 report.total_ns);
	if (request.type && request.type->class_number)
		events_send(request.type, ret, &report);
	fill_reply(message, reply, ret, &report);
	forget_gone(&report);
}

void devmgr_refuse(const union message *message, union message *reply, int err,
		   const char *reason)
{
	struct report report;

	memset(reply, 0, sizeof(*reply));
	report_init(&report);
	report_fail(&report, REPORT_NO_ENTRY, err, "%s", reason);
	fill_reply(message, reply, err, &report);
}

static void exit_classes(u32 count)
{
	while (count-- > 0) {
		if (classes[count] && classes[count]->exit)
			classes[count]->exit();
	}
}

int devmgr_init(void)
{
	int ret;
	u32 i;

	load_ns = ktime_get_boottime_ns();
	counters = kcalloc(request_type_count, sizeof(*counters), GFP_KERNEL);
	if (!counters)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		ret = classes[i] && classes[i]->init ? classes[i]->init() : 0;
		if (ret) {
			pr_err("class %s: %pe\n", classes[i]->name, ERR_PTR(ret));
			goto exit;
		}
	}
	ret = plugged_init();
	if (!ret) {
		requests = plugged_last_request();
		return 0;
	}
exit:
	exit_classes(i);
	kfree(counters);
	return ret;
}

void devmgr_exit(void)
{
	/* Its notifier of PCI devices looks at the records until then. */
	exit_classes(ARRAY_SIZE(classes));
	plugged_exit();
	kfree(counters);
}
