/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_verb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "step.h"
#include "text.h"

struct cpu_options {
	struct slots_wish wish;
	bool wished;
	const char *qmp;
};

static int wish_once(struct cpu_options *o, enum slots_wish_kind kind,
		     struct error *err)
{
	if (o->wished)
		return error_set(err, -EINVAL,
				 "--count, --to and --apic-id: one of them, once");
	o->wished = true;
	o->wish.kind = kind;
	return 0;
}

static int set_number(struct cpu_options *o, enum slots_wish_kind kind,
		      const char *option, const char *value, struct error *err)
{
	uint64_t n;

	if (text_number(value, 1, SLOTS_MAX, &n))
		return error_set(err, -EINVAL, "%s %s: give a number from 1 to %d",
				 option, value, SLOTS_MAX);
	o->wish.count = (uint32_t)n;
	return wish_once(o, kind, err);
}

int cpu_verb_set_count(void *into, const char *value, struct error *err)
{
	return set_number(into, SLOTS_COUNT, "--count", value, err);
}

int cpu_verb_set_to(void *into, const char *value, struct error *err)
{
	return set_number(into, SLOTS_TO, "--to", value, err);
}

int cpu_verb_set_list(void *into, const char *value, struct error *err)
{
	struct cpu_options *o = into;
	size_t size = sizeof(o->wish.apic_id) / sizeof(o->wish.apic_id[0]), n;

	switch (text_list(value, UINT16_MAX, o->wish.apic_id, size, &n)) {
	case 0:
		o->wish.count = (uint32_t)n;
		return wish_once(o, SLOTS_LIST, err);
	case -EEXIST:
		return error_set(err, -EINVAL, "--apic-id %s: one id twice", value);
	case -E2BIG:
		return error_set(err, -EINVAL, "--apic-id %s: more than %zu ids", value,
				 size);
	default:
		return error_set(err, -EINVAL,
				 "--apic-id %s: give a list such as 1,3-5", value);
	}
}

int cpu_verb_set_qmp(void *into, const char *value, struct error *err)
{
	(void)err;
	((struct cpu_options *)into)->qmp = value;
	return 0;
}

static json_t *cpus_json(const struct guest_cpus *c)
{
	return json_pack("{s:o, s:o, s:o}", "possible", cpumask_json(&c->possible),
			 "present", cpumask_json(&c->present), "online",
			 cpumask_json(&c->online));
}

static void print_json(const struct plug *p, struct report *r)
{
	json_t *ids = json_array();
	size_t i;

	for (i = 0; i < p->count; i++)
		json_array_append_new(ids, json_integer(p->picked[i]->apic_id));
	report_set(r, "action",
		   json_string(!p->count ? "none"
			       : p->out	 ? "unplug"
					 : "plug"));
	report_set(r, "apic_ids", ids);
	report_set(r, "before", cpus_json(&p->before));
	if (r->options->dry_run)
		return;
	report_set(r, "after", cpus_json(&p->after));
	report_set(r, "kernel_ms", json_real((double)p->kernel_ns / 1e6));
	report_set(r, "freed", json_boolean(p->freed));
}

static void print_view(const char *name, const struct guest_cpus *c)
{
	char possible[128], present[128], online[128];

	printf("%-8s %-12s %-12s %s\n", name,
	       cpumask_format(&c->possible, possible, sizeof(possible)),
	       cpumask_format(&c->present, present, sizeof(present)),
	       cpumask_format(&c->online, online, sizeof(online)));
}

static void print_text(const struct cpu_verb *verb, const struct plug *p,
		       const struct report *r)
{
	bool dry = r->options->dry_run;
	char ids[128];

	if (p->count)
		printf("%s: %s%splug%s %zu CPU%s, APIC id%s %s\n", r->printable,
		       dry ? "would " : "", p->out ? "un" : "", dry ? "" : "ged",
		       p->count, p->count > 1 ? "s" : "", p->count > 1 ? "s" : "",
		       plug_name_ids(p, p->count, ids, sizeof(ids)));
	else
		printf("%s: %s\n", r->printable, verb->nothing);
	printf("%-8s %-12s %-12s %s\n", "CPUs", "possible", "present", "online");
	print_view("before", &p->before);
	if (dry) {
		step_print_would(r);
		return;
	}
	print_view("after", &p->after);
	report_print_steps(r);
	if (p->kernel_ns)
		printf("         of which the guest's kernel %.1f ms\n",
		       (double)p->kernel_ns / 1e6);
}

int cpu_verb_main(int argc, char **argv, const struct cpu_verb *verb)
{
	struct cpu_options own = {.wish = {.kind = SLOTS_COUNT, .count = 1}};
	const struct options_syntax syntax = {.verb = verb->name,
					      .operands = "VM",
					      .about = verb->about,
					      .own = verb->options,
					      .min_args = 1,
					      .max_args = 1,
					      .changes = true};
	struct options options;
	struct report report;
	struct plug plug;
	struct vm vm;
	int ret = options_parse(argc, argv, &syntax, &options, &own);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	report_begin(&report, &options, verb->name, options.args[0]);
	plug_init(&plug, &vm, &own.wish, deadline_after_ms(options.timeout_ms),
		  &report);
	if (vm_resolve(&vm, options.args[0], own.qmp, &report) == STATUS_OK &&
	    verb->run(&plug) == STATUS_OK) {
		if (options.json)
			print_json(&plug, &report);
		else
			print_text(verb, &plug, &report);
	}
	plug_free(&plug);
	return report_finish(&report);
}
