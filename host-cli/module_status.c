/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdio.h>

#include "inventory.h"
#include "module_verb.h"
#include "text.h"
#include "verbs.h"

static const struct options_syntax syntax = {
	.verb = "module-status",
	.operands = "VM",
	.about = "Asks the guest's upcall module what it is, what it can do there, and "
		 "what\n"
		 "became of the requests since it was loaded.",
	.min_args = 1,
	.max_args = 1,
};

static const struct {
	uint32_t bit;
	const char *word;
} features[] = {
	{UPCALL_FEATURE_DETAIL, "detail"},
	{UPCALL_FEATURE_DEL_CPU2, "del-cpu2"},
	{UPCALL_FEATURE_CPU, "cpu"},
	{UPCALL_FEATURE_ADD_CPU2, "add-cpu2"},
	{UPCALL_FEATURE_MMIO, "mmio"},
	{UPCALL_FEATURE_PCI, "pci"},
	{UPCALL_FEATURE_MEM, "mem"},
	{UPCALL_FEATURE_VIOMMU, "viommu"},
	{UPCALL_FEATURE_QUERY, "query"},
	{UPCALL_FEATURE_EJECT_CPU, "eject-cpu"},
	{UPCALL_FEATURE_EJECT_PCI, "eject-pci"},
	{UPCALL_FEATURE_EJECT_MEM, "eject-mem"},
};
#define FEATURES (sizeof(features) / sizeof(features[0]))

/* One type of request, for people: what LIST and STATUS count is in ns. */
struct type_view {
	char name[17];
	bool available;
	uint64_t requests, errors;
	double mean_ms, max_ms;
};

static struct type_view view_type(const struct upcall_status_type *type)
{
	struct type_view v = {
		.available = le32toh(type->flags) & UPCALL_STATUS_AVAILABLE,
		.requests = le64toh(type->requests),
		.errors = le64toh(type->errors),
		.max_ms = (double)le64toh(type->max_ns) / 1e6,
	};

	text_copy(v.name, sizeof(v.name), type->name, sizeof(type->name));
	if (v.requests)
		v.mean_ms = (double)le64toh(type->total_ns) / 1e6 / (double)v.requests;
	return v;
}

static void print_text(const struct module_status *s, const struct upcall *u)
{
	size_t i;

	printf("module       %s\n", u->module);
	printf("kernel       %s\n", u->kernel);
	printf("loaded for   %.1f s\n", (double)le64toh(s->head.uptime_ns) / 1e9);
	printf("connections  %u of %u\n", le32toh(s->head.connections),
	       le32toh(s->head.connections_max));
	printf("plugged      %u\n", le32toh(s->head.plugged));
	printf("features    ");
	for (i = 0; i < FEATURES; i++)
		if (u->features & features[i].bit)
			printf(" %s", features[i].word);
	printf("\n%-16s %-9s %9s %7s %9s %9s\n", "REQUEST", "AVAILABLE", "REQUESTS",
	       "ERRORS", "MEAN MS", "MAX MS");
	for (i = 0; i < s->count; i++) {
		struct type_view v = view_type(&s->type[i]);

		printf("%-16s %-9s %9llu %7llu %9.1f %9.1f\n", v.name,
		       v.available ? "yes" : "no", (unsigned long long)v.requests,
		       (unsigned long long)v.errors, v.mean_ms, v.max_ms);
	}
}

static json_t *types_json(const struct module_status *s)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < s->count; i++) {
		struct type_view v = view_type(&s->type[i]);

		json_array_append_new(
			list, json_pack("{s:I, s:s, s:b, s:I, s:I, s:f, s:f}", "type",
					(json_int_t)le32toh(s->type[i].type), "name",
					v.name, "available", v.available, "requests",
					(json_int_t)v.requests, "errors",
					(json_int_t)v.errors, "mean_ms", v.mean_ms,
					"max_ms", v.max_ms));
	}
	return list;
}

static void print_json(const struct module_status *s, const struct upcall *u,
		       struct report *r)
{
	json_t *words = json_array();
	size_t i;

	for (i = 0; i < FEATURES; i++)
		if (u->features & features[i].bit)
			json_array_append_new(words, json_string(features[i].word));
	report_set(r, "module_version", json_string(u->module));
	report_set(r, "kernel", json_string(u->kernel));
	report_set(r, "uptime_s", json_real((double)le64toh(s->head.uptime_ns) / 1e9));
	report_set(r, "connections", json_integer(le32toh(s->head.connections)));
	report_set(r, "connections_max",
		   json_integer(le32toh(s->head.connections_max)));
	report_set(r, "plugged", json_integer(le32toh(s->head.plugged)));
	report_set(r, "features", words);
	report_set(r, "types", types_json(s));
}

static enum status ask(struct upcall *u, deadline_t deadline, struct report *r)
{
	struct module_status status;
	struct error err = {0};
	int ret = module_status_read(&status, u, deadline, &err);

	report_step_end(r);
	if (ret)
		vm_fail_module(ret, &err, r);
	else if (r->options->json)
		print_json(&status, u, r);
	else
		print_text(&status, u);
	module_status_free(&status);
	return r->status;
}

int module_status_main(int argc, char **argv)
{
	return module_verb_main(argc, argv, &syntax, ask);
}
