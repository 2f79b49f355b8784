// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steps are those of acpi_processor_hotadd_init() and its reverse, with the
 * same locks, except that the APIC id comes from the host and not from AML. With
 * ACPI on we keep out of its way altogether; so the present CPUs change by our
 * hand alone, and what a check has found still holds when the change is made.
 */
#define pr_fmt(fmt) "upcall: " fmt

#include <linux/acpi.h>
#include <linux/cpu.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include <asm/apic.h>
#include <asm/smp.h>

#include "compat.h"
#include "class.h"
#include "qemu_cpu.h"
#include "ksym.h"
#include "plugged.h"

/* APIC id 255 is everyone, unless ids have 32 bits. */
#define XAPIC_BROADCAST 255

/* How often user space may bring a CPU back online before we give up on it. */
#define UNPLUG_TRIES 3

#define NO_CPU	(-1)
#define NO_SLOT (-1)

struct target {
	u32 apic_id;
	u32 acpi_id;
	s32 node;
	int cpu;     /* NO_CPU: not a CPU of this kernel */
	int slot;    /* QEMU's, NO_SLOT where QEMU is not asked */
	bool online; /* before it was unplugged */
};

static int find_present(u32 apic_id)
{
	int cpu;

	for_each_present_cpu (cpu) {
		if (cpu_physical_id(cpu) == apic_id)
			return cpu;
	}
	return NO_CPU;
}

static u32 cpu_features(void)
{
	if (!acpi_disabled || ksym_missing(KSYM_CPU))
		return 0;
	return UPCALL_FEATURE_CPU |
	       (qemu_cpu_available() ? UPCALL_FEATURE_EJECT_CPU : 0);
}

/* What a CPU was plugged with, to bring it back with if it has to be. */
static void recall(struct target *target)
{
	struct upcall_list_entry entry;

	target->acpi_id = REQUEST_NO_ACPI_ID;
	target->node = REQUEST_NO_NODE;
	if (!plugged_find(UPCALL_CLASS_CPU, target->apic_id, &entry, 1))
		return;
	target->acpi_id = le32_to_cpu(entry.cpu.acpi_id);
	target->node = (s32)le32_to_cpu(entry.cpu.node);
}

static int make_targets(const struct request *request, struct target **targets,
			struct report *report)
{
	u32 count = request->cpu.count, i;

	if (!acpi_disabled)
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "ACPI is on in this guest and plugs CPUs itself");
	if (ksym_missing(KSYM_CPU))
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "this kernel does not let a module find %s()",
				   ksym_missing(KSYM_CPU));

	*targets = kcalloc(count, sizeof(**targets), GFP_KERNEL);
	if (!*targets)
		return report_fail(report, REPORT_NO_ENTRY, -ENOMEM, "out of memory");
	for (i = 0; i < count; i++) {
		(*targets)[i] = (struct target){
			.apic_id = request->cpu.entry[i].apic_id,
			.acpi_id = request->cpu.entry[i].acpi_id,
			.node = request->cpu.entry[i].node,
			.cpu = find_present(request->cpu.entry[i].apic_id),
			.slot = NO_SLOT,
		};
		if (request->type->op == REQUEST_DEL)
			recall(&(*targets)[i]);
	}
	return 0;
}

/* What holds for plug and unplug alike: no boot CPU. */
static int check_list(const struct target *targets, u32 count, struct report *report)
{
	u32 i;

	for (i = 0; i < count; i++) {
		if (targets[i].cpu == 0)
			return report_fail(report, i, -EBUSY,
					   "APIC id %u is the boot CPU",
					   targets[i].apic_id);
	}
	return 0;
}

/*
 * Asks QEMU, where it can be asked: to start a vCPU that is not there takes the
 * kernel 10 s, and before 6.9 costs a CPU number as well (compat.h).
 */
static int check_vcpu(struct target *target, u32 index, struct report *report)
{
	if (!qemu_cpu_available())
		return 0;
	target->slot = qemu_cpu_find(target->apic_id);
	if (target->slot < 0)
		return report_fail(report, index, -ENODEV,
				   "QEMU knows of no vCPU with APIC id %u",
				   target->apic_id);
	if (!qemu_cpu_occupied(target->slot))
		return report_fail(report, index, -ENODEV,
				   "QEMU has not made the vCPU with APIC id %u",
				   target->apic_id);
	return 0;
}

/*
 * Whether the kernel has a CPU number for each. acpi_map_cpu() would WARN where
 * numbers run out, which is why this looks first.
 */
static int check_numbers(const struct target *targets, u32 count, struct report *report)
{
	int cpu, spare = 0;
	bool known;
	u32 i;

	for_each_possible_cpu (cpu)
		spare += ksym_cpu_has_apic_id(cpu, KSYM_NO_APIC_ID);

	for (i = 0; i < count; i++) {
		known = false;
		for_each_possible_cpu (cpu)
			known |= ksym_cpu_has_apic_id(cpu, targets[i].apic_id);
		if (known)
			continue;
		if (COMPAT_CPU_NUMBERS_FIXED)
			return report_fail(
				report, i, -ENODEV,
				"APIC id %u was not announced to this kernel "
				"at boot",
				targets[i].apic_id);
		if (spare-- <= 0)
			return report_fail(report, i, -ENOSPC,
					   "no CPU number is left for APIC id %u: "
					   "each keeps its own for ever",
					   targets[i].apic_id);
	}
	return 0;
}

static int check_nodes(const struct target *targets, u32 count, struct report *report)
{
	u32 i;

	for (i = 0; i < count; i++) {
		if (targets[i].node == REQUEST_NO_NODE)
			continue;
		if (ksym_missing(KSYM_NODE))
			return report_fail(
				report, i, -EOPNOTSUPP,
				"this kernel does not let a module find %s()",
				ksym_missing(KSYM_NODE));
		if (targets[i].node >= MAX_NUMNODES || !node_online(targets[i].node))
			return report_fail(report, i, -ENODEV,
					   "node %d of APIC id %u is not online",
					   targets[i].node, targets[i].apic_id);
	}
	return 0;
}

static int check_plug(struct target *targets, u32 count, struct report *report)
{
	u32 possible = num_possible_cpus(), present = num_present_cpus();
	u32 i;
	int ret;

	if (count >= possible)
		return report_fail(report, REPORT_NO_ENTRY, -ENOSPC,
				   "%u CPUs are named, %u are possible and %u present",
				   count, possible, present);
	ret = check_list(targets, count, report);
	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		if (targets[i].cpu != NO_CPU)
			return report_fail(report, i, -EEXIST,
					   "APIC id %u is present already as CPU %d",
					   targets[i].apic_id, targets[i].cpu);
		if (targets[i].apic_id >= MAX_LOCAL_APIC ||
		    (targets[i].apic_id >= XAPIC_BROADCAST && !x2apic_enabled()))
			return report_fail(report, i, -EINVAL,
					   "no APIC of this guest can have the id %u",
					   targets[i].apic_id);
	}
	ret = check_nodes(targets, count, report);
	if (ret)
		return ret;
	if (count > possible - present)
		return report_fail(report, REPORT_NO_ENTRY, -ENOSPC,
				   "%u CPUs are named, %u are possible and %u present",
				   count, possible, present);
	ret = check_numbers(targets, count, report);
	for (i = 0; i < count && !ret; i++)
		ret = check_vcpu(&targets[i], i, report);
	return ret;
}

/* Makes the CPU present, with a device in sysfs, but does not start it. */
static int register_one(struct target *target)
{
	int cpu, ret;

	ksym_lock_cpu_maps();
	ret = acpi_map_cpu(NULL, target->apic_id, target->acpi_id, &cpu);
	if (ret)
		goto unlock;
	/* Before the CPU starts and before its device is linked to a node. */
	if (target->node != REQUEST_NO_NODE)
		ksym_set_cpu_node(cpu, target->apic_id, target->node);
	ret = ksym_register_cpu(cpu);
	if (ret) {
		acpi_unmap_cpu(cpu);
		goto unlock;
	}
	target->cpu = cpu;
unlock:
	ksym_unlock_cpu_maps();
	return ret;
}

/* Undoes register_one(). -EBUSY if the CPU is online. */
static int unregister_one(struct target *target)
{
	int ret = -EBUSY;

	ksym_lock_cpu_maps();
	if (!cpu_online(target->cpu)) {
		ksym_unregister_cpu(target->cpu);
		acpi_unmap_cpu(target->cpu);
		ret = 0;
	}
	ksym_unlock_cpu_maps();
	return ret;
}

/* add_cpu() and remove_cpu(), on the clock. */
static int change_cpu(int (*change)(unsigned int cpu), int cpu, struct report *report)
{
	u64 start = ktime_get_ns();
	int ret;

	ret = change(cpu);
	report->kernel_ns += ktime_get_ns() - start;
	return ret;
}

static int unplug_one(struct target *target, struct report *report)
{
	int ret = -EBUSY, tries;

	target->online = cpu_online(target->cpu);
	/* User space may bring it back in between; then it starts over. */
	for (tries = 0; tries < UNPLUG_TRIES && ret == -EBUSY; tries++) {
		if (cpu_online(target->cpu)) {
			ret = change_cpu(remove_cpu, target->cpu, report);
			if (ret < 0)
				break;
		}
		ret = unregister_one(target);
	}
	if (ret)
		return ret;
	pr_info("CPU %d unplugged (APIC id %u)\n", target->cpu, target->apic_id);
	return 0;
}

static int plug_one(struct target *target, bool online, struct report *report)
{
	int ret;

	ret = register_one(target);
	if (ret)
		return ret;
	/* 1: user space was faster and has it online already. */
	ret = online ? change_cpu(add_cpu, target->cpu, report) : 0;
	if (ret < 0)
		return ret;
	pr_info("CPU %d plugged (APIC id %u)%s\n", target->cpu, target->apic_id,
		online ? "" : ", left offline");
	return 0;
}

static struct upcall_list_entry entry_of(const struct target *target)
{
	return (struct upcall_list_entry){
		.class_number = cpu_to_le32(UPCALL_CLASS_CPU),
		.key = cpu_to_le64(target->apic_id),
		.cpu = {.acpi_id = cpu_to_le32(target->acpi_id),
			.node = cpu_to_le32(target->node),
			.cpu = cpu_to_le32(target->cpu)},
	};
}

/* Takes back the first `count` of a list that were plugged, the last one first. */
static void take_back_plugged(struct target *targets, u32 count, struct report *report)
{
	struct upcall_list_entry entry;

	while (count-- > 0) {
		entry = entry_of(&targets[count]);
		if (!unplug_one(&targets[count], report)) {
			plugged_del(&entry, report);
			report->rolled_back++;
			continue;
		}
		report->stuck++;
		pr_warn_ratelimited("CPU %d could not be taken back\n",
				    targets[count].cpu);
	}
}

/* Plugs a checked list and records it; what fails is taken back. */
static int plug_all(struct target *targets, u32 count, struct report *report)
{
	struct upcall_list_entry entry;
	u32 i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = plug_one(&targets[i], true, report);
		if (ret) {
			report_fail(report, i, ret,
				    "starting APIC id %u failed with %pe%s",
				    targets[i].apic_id, ERR_PTR(ret),
				    ret == -EIO ? ": has the VMM made the vCPU?" : "");
			break;
		}
		entry = entry_of(&targets[i]);
		ret = plugged_add(&entry, 1, report);
		if (ret)
			break;
	}
	if (!ret)
		return 0;
	/* The half-done one: present, and perhaps even online by now. */
	if (targets[i].cpu != NO_CPU && unplug_one(&targets[i], report)) {
		report->stuck++;
		entry = entry_of(&targets[i]);
		plugged_keep(&entry, 1, report);
	}
	take_back_plugged(targets, i, report);
	return ret;
}

static int cpu_add(const struct request *request, struct report *report)
{
	struct target *targets = NULL;
	u32 count = request->cpu.count;
	int ret;

	ret = make_targets(request, &targets, report);
	if (ret)
		return ret;
	ret = check_plug(targets, count, report);
	if (!ret)
		ret = plug_all(targets, count, report);
	if (!ret)
		report->done = count;
	kfree(targets);
	return ret;
}

static int check_unplug(struct target *targets, u32 count, bool eject,
			struct report *report)
{
	u32 i, online = 0;
	int ret;

	if (eject && !qemu_cpu_available())
		return report_fail(report, REPORT_NO_ENTRY, -EOPNOTSUPP,
				   "this machine has no registers of QEMU's to eject "
				   "a vCPU");
	ret = check_list(targets, count, report);
	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		if (eject) {
			ret = check_vcpu(&targets[i], i, report);
			if (ret)
				return ret;
		} else if (targets[i].cpu == NO_CPU) {
			return report_fail(report, i, -ENODEV,
					   "APIC id %u is no CPU of this guest",
					   targets[i].apic_id);
		}
		if (targets[i].cpu == NO_CPU)
			continue;
		/* remove_cpu() takes it for granted. */
		if (!get_cpu_device(targets[i].cpu))
			return report_fail(report, i, -ENODEV,
					   "CPU %d has no device to unplug",
					   targets[i].cpu);
		online += cpu_online(targets[i].cpu);
	}
	if (online == num_online_cpus())
		return report_fail(report, REPORT_NO_ENTRY, -EBUSY,
				   "no CPU would stay online");
	return 0;
}

/* Brings back those of a list that were unplugged, as they were. */
static void take_back_unplugged(struct target *targets, u32 count,
				struct report *report)
{
	struct upcall_list_entry entry;
	u32 i;

	for (i = 0; i < count; i++) {
		if (targets[i].cpu == NO_CPU)
			continue;
		entry = entry_of(&targets[i]);
		if (!plug_one(&targets[i], targets[i].online, report)) {
			report->rolled_back++;
			continue;
		}
		report->stuck++;
		pr_warn_ratelimited("CPU %d could not be brought back\n",
				    targets[i].cpu);
		if (find_present(targets[i].apic_id) == NO_CPU)
			plugged_del(&entry, report);
	}
}

/* The first `count` of a list have gone for good. */
static void forget_unplugged(const struct target *targets, u32 count,
			     struct report *report)
{
	struct upcall_list_entry entry;
	u32 i;

	for (i = 0; i < count; i++) {
		entry = entry_of(&targets[i]);
		if (targets[i].cpu != NO_CPU)
			plugged_del(&entry, report);
	}
}

/*
 * Ejects the whole list. A vCPU that QEMU keeps is brought back, and those behind it
 * too; the ones before it are gone for good.
 */
static int eject_all(struct target *targets, u32 count, struct report *report)
{
	u32 i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = qemu_cpu_eject(targets[i].slot);
		if (!ret)
			continue;
		report_fail(report, i, ret, "QEMU did not eject APIC id %u",
			    targets[i].apic_id);
		report->stuck += i;
		take_back_unplugged(targets + i, count - i, report);
		forget_unplugged(targets, i, report);
		return ret;
	}
	return 0;
}

/* Unplugs a checked list, and has QEMU free it; what fails is brought back. */
static int unplug_all(struct target *targets, u32 count, bool eject,
		      struct report *report)
{
	u32 i;
	int ret;

	for (i = 0; i < count; i++) {
		if (targets[i].cpu == NO_CPU)
			continue;
		ret = unplug_one(&targets[i], report);
		if (ret) {
			report_fail(report, i, ret,
				    "unplugging APIC id %u failed with %pe",
				    targets[i].apic_id, ERR_PTR(ret));
			take_back_unplugged(targets, i, report);
			return ret;
		}
	}
	ret = eject ? eject_all(targets, count, report) : 0;
	if (!ret)
		forget_unplugged(targets, count, report);
	return ret;
}

static int cpu_del(const struct request *request, struct report *report)
{
	struct target *targets = NULL;
	u32 count = request->cpu.count;
	int ret;

	ret = make_targets(request, &targets, report);
	if (ret)
		return ret;
	ret = check_unplug(targets, count, request->eject, report);
	if (!ret)
		ret = unplug_all(targets, count, request->eject, report);
	if (!ret)
		report->done = count;
	kfree(targets);
	return ret;
}

static bool cpu_present_entry(const struct upcall_list_entry *entry)
{
	return find_present(le64_to_cpu(entry->key)) != NO_CPU;
}

static int cpu_setup(void)
{
	qemu_cpu_init();
	return 0;
}

const struct device_class cpu_class = {
	.name = "cpu",
	.init = cpu_setup,
	.exit = qemu_cpu_exit,
	.features = cpu_features,
	.add = cpu_add,
	.del = cpu_del,
	.present = cpu_present_entry,
};
