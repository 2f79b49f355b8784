// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory, in blocks of memory_block_size_bytes(), all of them movable: what the
 * kernel cannot move, it puts elsewhere, and so the memory can go again.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/acpi.h>
#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/ktime.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "class.h"
#include "compat.h"
#include "ksym.h"
#include "plugged.h"
#include "qemu_mem.h"
#include "window.h"

/*
 * offline_pages() tries for ever to move a page that somebody holds, and would keep
 * every other request waiting. For one block it may try this long.
 */
#define OFFLINE_LIMIT (10 * HZ)

/* A range that is being added, whose blocks nobody may online but us. */
static struct {
	unsigned long first_pfn;
	unsigned long end_pfn; /* 0: none */
	bool ours;	       /* it is us now; with device_hotplug_lock */
} adding;

/* Kernels may online new memory by themselves, in a zone it cannot leave again. */
static int veto(struct notifier_block *self, unsigned long action, void *data)
{
	const struct memory_notify *what = data;

	if (action != MEM_GOING_ONLINE || READ_ONCE(adding.ours))
		return NOTIFY_OK;
	return what->start_pfn >= READ_ONCE(adding.first_pfn) &&
			       what->start_pfn < READ_ONCE(adding.end_pfn)
		       ? NOTIFY_BAD
		       : NOTIFY_OK;
}

static struct notifier_block veto_notifier = {.notifier_call = veto};

/* A walk over the blocks of a range. */
struct walk {
	u64 base;
	unsigned long *taken; /* a bit for each block that was taken offline, or
			       * that is to come online; NULL: all of them */
	unsigned long *fixed; /* a bit for each of those that was not movable */
	u64 failed_at;	      /* address of the block that failed */
	u32 blocks;	      /* that were changed before it */
	struct delayed_work limit;
	struct task_struct *task; /* that walks */
};

static u64 address_of(const struct memory_block *block)
{
	return (u64)block->start_section_nr << SECTION_SIZE_BITS;
}

static u64 index_of(const struct memory_block *block, const struct walk *walk)
{
	return (address_of(block) - walk->base) / memory_block_size_bytes();
}

static int online_block(struct memory_block *block, void *data)
{
	struct walk *walk = data;
	int ret;

	if (walk->taken && !test_bit(index_of(block, walk), walk->taken))
		return 0;
	block->online_type = walk->taken && test_bit(index_of(block, walk), walk->fixed)
				     ? MMOP_ONLINE_KERNEL
				     : MMOP_ONLINE_MOVABLE;
	WRITE_ONCE(adding.ours, true);
	ret = ksym_device_online(&block->dev);
	WRITE_ONCE(adding.ours, false);
	/* 1: it is online already. */
	if (ret < 0) {
		walk->failed_at = address_of(block);
		return ret;
	}
	walk->blocks++;
	return 0;
}

/* What offline_pages() looks at; a worker gets no signal otherwise. */
static void limit_work(struct work_struct *work)
{
	struct walk *walk = container_of(to_delayed_work(work), struct walk, limit);

	set_tsk_thread_flag(walk->task, TIF_SIGPENDING);
}

static int offline_block(struct memory_block *block, void *data)
{
	struct walk *walk = data;
	bool fixed = !block->zone || zone_idx(block->zone) != ZONE_MOVABLE;
	int ret;

	cancel_delayed_work(&walk->limit);
	schedule_delayed_work(&walk->limit, OFFLINE_LIMIT);
	ret = ksym_device_offline(&block->dev);
	if (ret < 0) {
		walk->failed_at = address_of(block);
		return ret;
	}
	/* 1: it is offline already, and stays so if the others come back. */
	if (ret == 0) {
		set_bit(index_of(block, walk), walk->taken);
		if (fixed)
			set_bit(index_of(block, walk), walk->fixed);
		walk->blocks++;
	}
	return 0;
}

static int walk_blocks(struct walk *walk, u64 size, walk_memory_blocks_func_t change)
{
	int ret;

	walk->blocks = 0;
	ksym_lock_device_hotplug();
	ret = ksym_walk_memory_blocks(walk->base, size, walk, change);
	ksym_unlock_device_hotplug();
	return ret;
}

static int walk_offline(struct walk *walk, u64 size)
{
	int ret;

	walk->task = current;
	INIT_DELAYED_WORK_ONSTACK(&walk->limit, limit_work);
	ret = walk_blocks(walk, size, offline_block);
	cancel_delayed_work_sync(&walk->limit);
	destroy_delayed_work_on_stack(&walk->limit);
	flush_signals(current);
	return ret == -EINTR ? -EBUSY : ret;
}

static const char *block_name(u64 address, char *text, size_t size)
{
	scnprintf(text, size, "memory%llu at %#llx",
		  address / memory_block_size_bytes(), address);
	return text;
}

static u32 mem_features(void)
{
	if (!acpi_disabled || ksym_missing(KSYM_MEM))
		return 0;
	return UPCALL_FEATURE_MEM |
	       (qemu_mem_available() ? UPCALL_FEATURE_EJECT_MEM : 0);
}

static int check_usable(struct report *report)
{
	if (!acpi_disabled)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "ACPI is on in this guest and plugs memory itself");
	if (ksym_missing(KSYM_MEM))
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "this kernel does not let a module find %s()",
				   ksym_missing(KSYM_MEM));
	return 0;
}

static int is_registered(struct resource *resource, void *data)
{
	return 1;
}

static int check_range(u64 base, u64 size, struct report *report)
{
	struct range pluggable = mhp_get_pluggable_range(true);
	u64 block = memory_block_size_bytes();

	if (base % block || size % block)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "%#llx bytes at %#llx are no whole memory blocks of "
				   "%llu MiB",
				   size, base, block >> 20);
	/* The kernel's mappings may reach further than the CPU's addresses. */
	pluggable.end = min_t(u64, pluggable.end, iomem_resource.end);
	if (base < pluggable.start || base + size - 1 > pluggable.end)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "this kernel takes memory from %#llx to %#llx",
				   pluggable.start, pluggable.end);
	if (window_is_apic(base, base + size - 1) ||
	    walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_MEM, base, base + size - 1,
				NULL, is_registered) > 0)
		return report_fail(report, REPORT_NO_ENTRY, -EADDRINUSE,
				   "a part of %#llx bytes at %#llx is registered as "
				   "something else",
				   size, base);
	return 0;
}

/* Whether the first word of each block keeps what is written to it. */
static int check_there(u64 base, u64 size, struct report *report)
{
	static const u64 patterns[] = {0x5aa55aa5c33cc33c, 0xa55aa55a3cc33cc3};
	u64 address, *word, outside;
	bool kept = true;
	size_t i;

	if (qemu_mem_available() && qemu_mem_covered(base, size, &outside) != size)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "QEMU has no DIMMs that fill %#llx bytes at %#llx",
				   size, base);
	for (address = base; address < base + size && kept;
	     address += memory_block_size_bytes()) {
		word = memremap(address, sizeof(*word), MEMREMAP_WB);
		if (!word)
			return report_fail(report, REPORT_NO_ENTRY, -ENOMEM,
					   "%#llx cannot be mapped", address);
		for (i = 0; i < ARRAY_SIZE(patterns); i++) {
			WRITE_ONCE(*word, patterns[i]);
			kept &= READ_ONCE(*word) == patterns[i];
		}
		memunmap(word);
	}
	if (!kept)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "there is no memory at %#llx",
				   address - memory_block_size_bytes());
	return 0;
}

static int pick_node(s32 wanted, u64 base, struct report *report)
{
	int node = wanted;

	if (wanted == REQUEST_NO_NODE)
		node = memory_add_physaddr_to_nid(base);
	if (wanted == REQUEST_NO_NODE && (node < 0 || !node_online(node)))
		node = first_online_node;
	if (node >= MAX_NUMNODES || !node_online(node))
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "node %d is not online", node);
	return node;
}

/* Adds the memory, every block of it offline. */
static int add_offline(int node, u64 base, u64 size)
{
	WRITE_ONCE(adding.first_pfn, PFN_DOWN(base));
	WRITE_ONCE(adding.end_pfn, PFN_DOWN(base + size));
	return add_memory(node, base, size, MHP_NONE);
}

static int remove_blocks(u64 base, u64 size, struct report *report);

static int plug(int node, u64 base, u64 size, struct report *report)
{
	struct walk walk = {.base = base};
	struct report later;
	char name[48];
	int ret;

	ret = add_offline(node, base, size);
	if (ret) {
		report_fail(report, REPORT_NO_ENTRY, ret,
			    "adding %#llx bytes at %#llx failed with %pe", size, base,
			    ERR_PTR(ret));
		goto end;
	}
	ret = walk_blocks(&walk, size, online_block);
	if (!ret)
		goto end;
	report_fail(report, REPORT_NO_ENTRY, ret, "%s could not be brought online: %pe",
		    block_name(walk.failed_at, name, sizeof(name)), ERR_PTR(ret));
	report_init(&later);
	report->stuck = remove_blocks(base, size, &later) != 0;
end:
	WRITE_ONCE(adding.end_pfn, 0);
	return ret;
}

static struct upcall_list_entry entry_of(u64 base, u64 size, int node)
{
	return (struct upcall_list_entry){
		.class_number = cpu_to_le32(UPCALL_CLASS_MEM),
		.key = cpu_to_le64(base),
		.mem = {.size = cpu_to_le64(size),
			.node = cpu_to_le32(node),
			.block_mib = cpu_to_le32(memory_block_size_bytes() >> 20)},
	};
}

static int mem_add(const struct request *request, struct report *report)
{
	u64 base = request->mem.base, size = request->mem.size, start;
	struct upcall_list_entry entry;
	struct report later;
	int node, ret;

	ret = check_usable(report);
	if (ret)
		return ret;
	if (plugged_find(UPCALL_CLASS_MEM, base, &entry, 1))
		return report_fail(report, REPORT_NO_ENTRY, -EEXIST,
				   "the memory at %#llx is plugged already", base);
	ret = check_range(base, size, report);
	if (!ret)
		ret = check_there(base, size, report);
	if (ret)
		return ret;
	node = pick_node(request->mem.node, base, report);
	if (node < 0)
		return node;
	entry = entry_of(base, size, node);
	start = ktime_get_ns();
	ret = plug(node, base, size, report);
	report->kernel_ns = ktime_get_ns() - start;
	if (!ret) {
		ret = plugged_add(&entry, 1, report);
		if (ret) {
			report_init(&later);
			report->stuck = remove_blocks(base, size, &later) != 0;
		}
	}
	if (report->stuck)
		plugged_keep(&entry, 1, report);
	if (ret)
		return ret;
	pr_info("%llu MiB of memory plugged at %#llx\n", size >> 20, base);
	return 0;
}

/* All blocks offline and out of the kernel, or all as they were. */
static int take_out(struct walk *walk, u64 size, struct report *report)
{
	char name[48];
	int ret;

	ret = walk_offline(walk, size);
	if (ret)
		return report_fail(
			report, REPORT_NO_ENTRY, ret,
			"%s could not be taken offline: %pe%s",
			block_name(walk->failed_at, name, sizeof(name)), ERR_PTR(ret),
			ret == -EBUSY ? ", it has pages that cannot move" : "");
	ret = remove_memory(walk->base, size);
	if (ret)
		return report_fail(report, REPORT_NO_ENTRY, ret,
				   "removing the memory failed with %pe", ERR_PTR(ret));
	return 0;
}

static int remove_blocks(u64 base, u64 size, struct report *report)
{
	struct walk walk = {.base = base};
	u64 count = size / memory_block_size_bytes();
	int ret;

	walk.taken = bitmap_zalloc(count, GFP_KERNEL);
	walk.fixed = bitmap_zalloc(count, GFP_KERNEL);
	if (!walk.taken || !walk.fixed) {
		ret = report_fail(report, REPORT_NO_ENTRY, -ENOMEM, "out of memory");
		goto end;
	}
	ret = take_out(&walk, size, report);
	if (ret && walk.blocks) {
		report->stuck = walk_blocks(&walk, size, online_block) != 0;
		report->rolled_back = walk.blocks;
	}
end:
	bitmap_free(walk.taken);
	bitmap_free(walk.fixed);
	return ret;
}

static int eject(u64 base, u64 size, int node, struct report *report)
{
	struct report again;
	int ret = qemu_mem_eject(base, size);

	if (!ret)
		return 0;
	report_init(&again);
	/* Of several DIMMs, some may have gone. */
	report->stuck =
		check_there(base, size, &again) || plug(node, base, size, &again);
	return report_fail(report, REPORT_NO_ENTRY, ret,
			   "QEMU did not eject the memory at %#llx", base);
}

static bool is_ram(u64 base, u64 size)
{
	return region_intersects(base, size, IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	       REGION_DISJOINT;
}

static int check_eject(u64 base, u64 size, struct report *report)
{
	u64 outside;

	if (!qemu_mem_available())
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "this machine has no registers of QEMU's to eject "
				   "memory");
	qemu_mem_covered(base, size, &outside);
	if (outside)
		return report_fail(
			report, REPORT_NO_ENTRY, -EINVAL,
			"a DIMM goes as a whole, and has %#llx bytes outside "
			"%#llx bytes at %#llx",
			outside, size, base);
	return 0;
}

/* DIMMs that QEMU has made and this kernel never took can be given back. */
static int del_unknown(const struct request *request, struct report *report)
{
	u64 base = request->mem.base, size = request->mem.size, outside;
	int ret;

	if (!request->eject || is_ram(base, size) ||
	    qemu_mem_covered(base, size, &outside) != size)
		return report_fail(report, REPORT_NO_ENTRY, -ENODEV,
				   "no memory was plugged at %#llx", base);
	ret = qemu_mem_eject(base, size);
	if (ret)
		report_fail(report, REPORT_NO_ENTRY, ret,
			    "QEMU did not eject the memory at %#llx", base);
	return ret;
}

static int mem_del(const struct request *request, struct report *report)
{
	u64 base = request->mem.base, size = request->mem.size, start;
	struct upcall_list_entry entry;
	int ret;

	ret = check_usable(report);
	if (ret)
		return ret;
	ret = request->eject ? check_eject(base, size, report) : 0;
	if (ret)
		return ret;
	if (!plugged_find(UPCALL_CLASS_MEM, base, &entry, 1))
		return del_unknown(request, report);
	if (le64_to_cpu(entry.mem.size) != size)
		return report_fail(report, REPORT_NO_ENTRY, -EINVAL,
				   "%#llx bytes were plugged at %#llx",
				   le64_to_cpu(entry.mem.size), base);
	start = ktime_get_ns();
	ret = remove_blocks(base, size, report);
	if (!ret && request->eject)
		ret = eject(base, size, (s32)le32_to_cpu(entry.mem.node), report);
	report->kernel_ns = ktime_get_ns() - start;
	if (ret)
		return ret;
	pr_info("%llu MiB of memory unplugged at %#llx\n", size >> 20, base);
	plugged_del(&entry, report);
	return 0;
}

static bool mem_present(const struct upcall_list_entry *entry)
{
	return is_ram(le64_to_cpu(entry->key), le64_to_cpu(entry->mem.size));
}

static int mem_setup(void)
{
	int ret = register_memory_notifier(&veto_notifier);

	if (!ret)
		qemu_mem_init();
	return ret;
}

static void mem_exit(void)
{
	qemu_mem_exit();
	unregister_memory_notifier(&veto_notifier);
}

const struct device_class mem_class = {
	.name = "mem",
	.init = mem_setup,
	.exit = mem_exit,
	.features = mem_features,
	.add = mem_add,
	.del = mem_del,
	.present = mem_present,
};
