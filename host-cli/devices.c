/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "inventory.h"
#include "module_verb.h"
#include "upcall_class.h"
#include "verbs.h"

static const struct options_syntax syntax = {
	.verb = "devices",
	.operands = "VM",
	.about = "Lists what the guest's upcall module has plugged, with what it was "
		 "plugged\n"
		 "with, by which request, and when (seconds of the guest's uptime).",
	.min_args = 1,
	.max_args = 1,
};

#define NAME_MAX_BYTES 32

typedef unsigned long long ull;

/* Its own name in its class: APIC id, address or BDF. */
static void name_entry(const struct upcall_list_entry *e, char name[NAME_MAX_BYTES])
{
	uint32_t class_number = le32toh(e->class_number);
	ull key = le64toh(e->key);
	char bdf[BDF_TEXT_MAX];

	if (class_number == UPCALL_CLASS_CPU)
		snprintf(name, NAME_MAX_BYTES, "%llu", key);
	else if (class_number == UPCALL_CLASS_PCI ||
		 (class_number == UPCALL_CLASS_VIOMMU &&
		  le32toh(e->viommu.at) == UPCALL_VIOMMU_AT_PCI))
		snprintf(name, NAME_MAX_BYTES, "%s", bdf_format(key, bdf));
	else
		snprintf(name, NAME_MAX_BYTES, "%#llx", key);
}

static json_t *range_json(const struct upcall_viommu_range *range)
{
	uint64_t segment = (uint64_t)le32toh(range->segment) << 16;
	char first[BDF_TEXT_MAX], last[BDF_TEXT_MAX];

	if (le32toh(range->kind) == UPCALL_RANGE_MMIO)
		return json_pack("{s:I, s:I}", "base", (json_int_t)le64toh(range->base),
				 "endpoint", (json_int_t)le32toh(range->endpoint));
	return json_pack("{s:s, s:s, s:I}", "first",
			 bdf_format(segment | le16toh(range->first), first), "last",
			 bdf_format(segment | le16toh(range->last), last), "endpoint",
			 (json_int_t)le32toh(range->endpoint));
}

/* The parameters by their names in the request: for --json and for the table. */
static json_t *parameters(const struct upcall_list_entry *e)
{
	switch (le32toh(e->class_number)) {
	case UPCALL_CLASS_CPU:
		return json_pack("{s:I, s:o, s:i}", "cpu",
				 (json_int_t)le32toh(e->cpu.cpu), "acpi_id",
				 le32toh(e->cpu.acpi_id) == UINT32_MAX
					 ? json_null()
					 : json_integer(le32toh(e->cpu.acpi_id)),
				 "node", (int)(int32_t)le32toh(e->cpu.node));
	case UPCALL_CLASS_MMIO:
		return json_pack("{s:I, s:I, s:I}", "size",
				 (json_int_t)le64toh(e->mmio.size), "irq",
				 (json_int_t)le32toh(e->mmio.irq), "id",
				 (json_int_t)le32toh(e->mmio.id));
	case UPCALL_CLASS_PCI:
		return json_pack("{s:i, s:i, s:I}", "vendor", le16toh(e->pci.vendor),
				 "device", le16toh(e->pci.device), "class_code",
				 (json_int_t)le32toh(e->pci.class_code));
	case UPCALL_CLASS_MEM:
		return json_pack("{s:I, s:i, s:I}", "size",
				 (json_int_t)le64toh(e->mem.size), "node",
				 (int)(int32_t)le32toh(e->mem.node), "block_mib",
				 (json_int_t)le32toh(e->mem.block_mib));
	case UPCALL_CLASS_VIOMMU:
		return json_pack("{s:I, s:I, s:I, s:I}", "size",
				 (json_int_t)le64toh(e->viommu.size), "irq",
				 (json_int_t)le32toh(e->viommu.irq), "id",
				 (json_int_t)le32toh(e->viommu.id), "ranges",
				 (json_int_t)le32toh(e->viommu.ranges));
	case UPCALL_CLASS_VIOMMU_RANGE:
		return range_json(&e->range);
	default:
		return json_object();
	}
}

/* Numbers that are read in hexadecimal. */
static bool is_hex(const char *key)
{
	return !strcmp(key, "base") || !strcmp(key, "size") || !strcmp(key, "vendor") ||
	       !strcmp(key, "device") || !strcmp(key, "class_code");
}

static void print_parameters(json_t *o)
{
	const char *key;
	json_t *value;

	json_object_foreach (o, key, value) {
		if (json_is_null(value))
			continue;
		if (json_is_string(value))
			printf(" %s=%s", key, json_string_value(value));
		else
			printf(is_hex(key) ? " %s=%#llx" : " %s=%lld", key,
			       (ull)json_integer_value(value));
	}
	json_decref(o);
}

static void print_row(const struct upcall_list_entry *e)
{
	char name[NAME_MAX_BYTES];

	name_entry(e, name);
	printf("%-8s %-18s %8llu %10.1f ", upcall_class_name(le32toh(e->class_number)),
	       name, (ull)le64toh(e->request), (double)le64toh(e->boot_ns) / 1e9);
	print_parameters(parameters(e));
	putchar('\n');
}

static json_t *entry_json(const struct upcall_list_entry *e)
{
	char name[NAME_MAX_BYTES];

	name_entry(e, name);
	return json_pack(
		"{s:s, s:I, s:s, s:I, s:I, s:I, s:f, s:o}", "class",
		upcall_class_name(le32toh(e->class_number)), "class_number",
		(json_int_t)le32toh(e->class_number), "name", name, "key",
		(json_int_t)le64toh(e->key), "type", (json_int_t)le32toh(e->type),
		"request", (json_int_t)le64toh(e->request), "since_s",
		(double)le64toh(e->boot_ns) / 1e9, "parameters", parameters(e));
}

static void print(const struct inventory *inventory, struct report *r)
{
	json_t *list = r->options->json ? json_array() : NULL;
	size_t i;

	if (!list && inventory->count)
		printf("%-8s %-18s %8s %10s  %s\n", "CLASS", "NAME", "REQUEST",
		       "SINCE S", "PARAMETERS");
	else if (!list && !r->options->quiet)
		fprintf(stderr, "%s: nothing is plugged\n", r->printable);
	for (i = 0; i < inventory->count; i++) {
		if (list)
			json_array_append_new(list, entry_json(&inventory->entry[i]));
		else
			print_row(&inventory->entry[i]);
	}
	if (list)
		report_set(r, "devices", list);
}

static enum status ask(struct upcall *u, deadline_t deadline, struct report *r)
{
	struct inventory inventory;
	struct error err = {0};
	int ret = inventory_read(&inventory, u, deadline, &err);

	report_step_end(r);
	if (ret == -EAGAIN)
		report_fail(r, STATUS_REFUSED, "%s; try again when less is plugged",
			    err.text);
	else if (ret)
		vm_fail_module(ret, &err, r);
	else
		print(&inventory, r);
	inventory_free(&inventory);
	return r->status;
}

int devices_main(int argc, char **argv)
{
	return module_verb_main(argc, argv, &syntax, ask);
}
