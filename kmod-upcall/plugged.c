// SPDX-License-Identifier: GPL-2.0-only
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/device.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "class.h"
#include "plugged.h"

#define DEVICE_NAME "upcall-plugged"

/* The entries, as bytes: a property of the device, which the kernel copies. */
#define PROPERTY "upcall,entries"

static struct {
	struct mutex lock; /* of all below */
	struct list_head list;
	u32 entries;	/* of all the records */
	u64 generation; /* grows with each change */
	bool held;	/* a request may have taken out what has a record */
} records = {
	.lock = __MUTEX_INITIALIZER(records.lock),
	.list = LIST_HEAD_INIT(records.list),
};

static struct plugged *record_alloc(u32 count)
{
	struct plugged *plugged;

	plugged = kzalloc(struct_size(plugged, entry, count), GFP_KERNEL);
	if (plugged)
		plugged->count = count;
	return plugged;
}

static bool is_of(const struct plugged *plugged, u32 class_number, u64 key)
{
	return le32_to_cpu(plugged->entry[0].class_number) == class_number &&
	       le64_to_cpu(plugged->entry[0].key) == key;
}

static struct plugged *find(u32 class_number, u64 key)
{
	struct plugged *plugged;

	lockdep_assert_held(&records.lock);
	list_for_each_entry (plugged, &records.list, list) {
		if (is_of(plugged, class_number, key))
			return plugged;
	}
	return NULL;
}

static void insert(struct plugged *plugged)
{
	lockdep_assert_held(&records.lock);
	list_add_tail(&plugged->list, &records.list);
	records.entries += plugged->count;
	records.generation++;
}

/* Leaves the record with the caller. Its device goes without the lock, drop_device().
 */
static void take_out(struct plugged *plugged)
{
	lockdep_assert_held(&records.lock);
	list_del_init(&plugged->list);
	records.entries -= plugged->count;
	records.generation++;
}

static void drop_device(struct plugged *plugged)
{
	platform_device_unregister(plugged->device);
	plugged->device = NULL;
}

static bool is_present(const struct plugged *plugged)
{
	const struct device_class *class;

	class = class_find(le32_to_cpu(plugged->entry[0].class_number));
	return class && class->present(&plugged->entry[0]);
}

/* Drops the records of what went without us, by sysfs for one. */
static void prune(bool hold)
{
	struct plugged *plugged, *next;
	LIST_HEAD(gone);

	mutex_lock(&records.lock);
	list_for_each_entry_safe (plugged, next, &records.list, list) {
		if (records.held || is_present(plugged))
			continue;
		take_out(plugged);
		list_add_tail(&plugged->list, &gone);
	}
	records.held |= hold;
	mutex_unlock(&records.lock);
	list_for_each_entry_safe (plugged, next, &gone, list) {
		pr_info("%s %#llx is gone, and not by a request\n",
			class_find(le32_to_cpu(plugged->entry[0].class_number))->name,
			le64_to_cpu(plugged->entry[0].key));
		drop_device(plugged);
		kfree(plugged);
	}
}

void plugged_hold(void)
{
	prune(true);
}

void plugged_release(void)
{
	mutex_lock(&records.lock);
	records.held = false;
	mutex_unlock(&records.lock);
}

static struct platform_device *make_device(const struct plugged *plugged)
{
	const struct property_entry properties[] = {
		PROPERTY_ENTRY_U8_ARRAY_LEN(PROPERTY, (const u8 *)plugged->entry,
					    plugged->count * sizeof(plugged->entry[0])),
		{},
	};
	const struct platform_device_info info = {
		.name = DEVICE_NAME,
		.id = PLATFORM_DEVID_AUTO,
		.properties = properties,
	};

	return platform_device_register_full(&info);
}

int plugged_add(const struct upcall_list_entry *entries, u32 count,
		struct report *report)
{
	struct plugged *plugged = record_alloc(count);
	u32 i;
	int ret;

	if (!plugged)
		return report_fail(report, REPORT_NO_ENTRY, -ENOMEM, "out of memory");
	for (i = 0; i < count; i++) {
		plugged->entry[i] = entries[i];
		plugged->entry[i].type = cpu_to_le32(report->type);
		plugged->entry[i].request = cpu_to_le64(report->request);
		plugged->entry[i].boot_ns = cpu_to_le64(ktime_get_boottime_ns());
	}
	plugged->device = make_device(plugged);
	if (IS_ERR(plugged->device)) {
		ret = PTR_ERR(plugged->device);
		kfree(plugged);
		return report_fail(report, REPORT_NO_ENTRY, ret,
				   "no record could be made of it: %pe", ERR_PTR(ret));
	}
	mutex_lock(&records.lock);
	insert(plugged);
	mutex_unlock(&records.lock);
	return 0;
}

void plugged_keep(const struct upcall_list_entry *entries, u32 count,
		  const struct report *report)
{
	struct report later;

	report_init_later(&later, report);
	if (plugged_add(entries, count, &later))
		pr_warn_ratelimited("request %llu: what it could not take back is not "
				    "listed: %s\n",
				    report->request, later.reason);
}

void plugged_del(const struct upcall_list_entry *entry, struct report *report)
{
	struct plugged *plugged;

	mutex_lock(&records.lock);
	plugged = find(le32_to_cpu(entry->class_number), le64_to_cpu(entry->key));
	if (plugged)
		take_out(plugged);
	mutex_unlock(&records.lock);

	if (plugged) {
		drop_device(plugged);
	} else {
		plugged = record_alloc(1);
		if (!plugged)
			return; /* an event that says less */
		plugged->entry[0] = *entry;
	}
	list_add_tail(&plugged->list, &report->gone);
}

u32 plugged_find(u32 class_number, u64 key, struct upcall_list_entry *entries, u32 size)
{
	struct plugged *plugged;
	u32 count = 0;

	mutex_lock(&records.lock);
	plugged = find(class_number, key);
	if (plugged) {
		count = plugged->count;
		memcpy(entries, plugged->entry,
		       min(count, size) * sizeof(plugged->entry[0]));
	}
	mutex_unlock(&records.lock);
	return count;
}

u64 plugged_visit(int (*visit)(const struct plugged *plugged, void *data), void *data)
{
	struct plugged *plugged;
	u64 generation;

	mutex_lock(&records.lock);
	list_for_each_entry (plugged, &records.list, list) {
		if (visit(plugged, data))
			break;
	}
	generation = records.generation;
	mutex_unlock(&records.lock);
	return generation;
}

struct list_state {
	struct upcall_list *list;
	u32 start; /* of the entries wanted */
	u32 index; /* of the entry at hand */
	u32 count; /* copied */
};

static int copy_to_list(const struct plugged *plugged, void *data)
{
	struct list_state *state = data;
	u32 i;

	for (i = 0; i < plugged->count; i++, state->index++) {
		if (state->index >= state->start && state->count < UPCALL_LIST_MAX)
			state->list->entry[state->count++] = plugged->entry[i];
	}
	return 0;
}

void plugged_list(u32 start, struct upcall_list *list)
{
	struct list_state state = {.list = list, .start = start};

	prune(false);
	list->generation = cpu_to_le64(plugged_visit(copy_to_list, &state));
	list->total = cpu_to_le32(state.index);
	list->count = cpu_to_le32(state.count);
}

u64 plugged_generation(void)
{
	u64 generation;

	prune(false);
	mutex_lock(&records.lock);
	generation = records.generation;
	mutex_unlock(&records.lock);
	return generation;
}

u64 plugged_last_request(void)
{
	const struct plugged *plugged;
	u64 last = 0;

	mutex_lock(&records.lock);
	list_for_each_entry (plugged, &records.list, list)
		last = max(last, le64_to_cpu(plugged->entry[0].request));
	mutex_unlock(&records.lock);
	return last;
}

u32 plugged_count(void)
{
	u32 entries;

	prune(false);
	mutex_lock(&records.lock);
	entries = records.entries;
	mutex_unlock(&records.lock);
	return entries;
}

/* A device of that name may be anybody's: what it says is checked. */
static int adopt(struct device *device, void *data)
{
	struct plugged *plugged;
	int bytes;

	if (strncmp(dev_name(device), DEVICE_NAME ".", sizeof(DEVICE_NAME)))
		return 0;
	bytes = device_property_count_u8(device, PROPERTY);
	if (bytes <= 0 || bytes % sizeof(plugged->entry[0]))
		return 0;
	plugged = record_alloc(bytes / sizeof(plugged->entry[0]));
	if (!plugged)
		return -ENOMEM;
	if (device_property_read_u8_array(device, PROPERTY, (u8 *)plugged->entry,
					  bytes)) {
		kfree(plugged);
		return 0;
	}
	if (!class_find(le32_to_cpu(plugged->entry[0].class_number))) {
		kfree(plugged);
		return 0;
	}
	plugged->device = to_platform_device(device);
	insert(plugged);
	return 0;
}

int plugged_init(void)
{
	int ret;

	mutex_lock(&records.lock);
	ret = bus_for_each_dev(&platform_bus_type, NULL, NULL, adopt);
	mutex_unlock(&records.lock);
	if (ret)
		plugged_exit();
	else
		prune(false);
	return ret;
}

void plugged_exit(void)
{
	struct plugged *plugged, *next;

	mutex_lock(&records.lock);
	list_for_each_entry_safe (plugged, next, &records.list, list)
		kfree(plugged);
	INIT_LIST_HEAD(&records.list);
	records.entries = 0;
	mutex_unlock(&records.lock);
}
