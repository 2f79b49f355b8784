/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-mem and unplug-mem: the command line, and what it takes to reach a total.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mem_verb.h"
#include "step.h"
#include "text.h"
#include "verbs.h"

static int set_node(void *into, const char *value, struct error *err)
{
	uint64_t node;

	if (text_number(value, 0, 1023, &node))
		return error_set(err, -EINVAL,
				 "--node %s: give a number from 0 to 1023", value);
	((struct mem_verb *)into)->node = (int64_t)node;
	return 0;
}

static int take_size(const char *what, const char *value, uint64_t *mebibytes,
		     struct error *err)
{
	return text_mebibytes(value, mebibytes)
		       ? error_set(err, -EINVAL,
				   "%s %s: give a size such as 512M or 2G", what, value)
		       : 0;
}

static int set_to(void *into, const char *value, struct error *err)
{
	return take_size("--to", value, &((struct mem_verb *)into)->to, err);
}

static int set_size(void *into, const char *value, struct error *err)
{
	return take_size("--size", value, &((struct mem_verb *)into)->mebibytes, err);
}

static void set_json(const struct mem_verb *v, struct report *r)
{
	/* Without a size: only what was behind it was left, or it is to come. */
	if (v->dimm.size) {
		report_set(r, "base", json_integer((json_int_t)v->dimm.base));
		report_set(r, "size", json_integer((json_int_t)v->dimm.size));
	} else if (v->mebibytes) {
		report_set(r, "size", json_integer((json_int_t)(v->mebibytes << 20)));
	}
}

/* With --to: how much more, or less, that is. */
static enum status aim(struct mem_verb *v)
{
	struct change *c = &v->c;
	enum status status = step_begin(&c->report, "qmp", false);
	uint64_t have, want = v->to << 20;
	struct error err = {0};
	int ret;

	if (status == STATUS_OK)
		status = change_open_qmp(c);
	if (status != STATUS_OK)
		return status;
	ret = dimm_total(&c->qmp, &have, c->deadline, &err);
	if (ret)
		return vm_fail_qmp(ret, &err, &c->report);
	v->mebibytes = want > have ? (want - have) >> 20 : 0;
	v->excess = want < have ? have - want : 0;
	c->adds = !v->excess;
	report_set(&c->report, "total_bytes", json_integer((json_int_t)want));
	report_set(&c->report, "action",
		   json_string(v->excess      ? "unplug"
			       : v->mebibytes ? "plug"
					      : "none"));
	report_step_end(&c->report);
	return STATUS_OK;
}

/* For another dimm: nothing has been done about it. */
static void begin_again(struct mem_verb *v, const char *id)
{
	struct change *c = &v->c;

	upcall_close(&c->upcall);
	c->asked = c->answered = c->refused = c->listed = c->unsettled = false;
	c->done = c->created = c->freed = false;
	c->add.len = c->del.len = 0;
	memset(&c->result, 0, sizeof(c->result));
	c->wanted_id = id;
}

/* One dimm after the other, each of them all or not at all. */
static enum status shrink(struct mem_verb *v)
{
	static struct dimm picked[DIMMS_MAX];
	struct change *c = &v->c;
	struct error err = {0};
	uint64_t nearest;
	size_t i, n;
	int ret =
		dimm_pick(&c->qmp, v->excess, picked, &n, &nearest, c->deadline, &err);

	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (!ret)
		return report_fail(
			&c->report, STATUS_NO_SLOT,
			"--to takes out whole pieces that vmctl plugged, the "
			"last first: %lluM can be reached, and not %lluM",
			(unsigned long long)(v->to + ((v->excess - nearest) >> 20)),
			(unsigned long long)v->to);
	for (i = 0; i < n && c->report.status == STATUS_OK; i++) {
		begin_again(v, picked[i].id);
		mem_unplug(v);
	}
	if (c->report.status != STATUS_OK && i > 1)
		report_fail_more(&c->report, STATUS_OK, "; %zu of %zu pieces are out",
				 i - 1, n);
	return c->report.status;
}

static enum status run(struct mem_verb *v)
{
	struct change *c = &v->c;

	if (c->report.status != STATUS_OK || (v->to && aim(v) != STATUS_OK))
		return c->report.status;
	if (v->excess)
		return shrink(v);
	if (c->adds && !v->mebibytes)
		return STATUS_OK;
	return c->adds ? mem_plug(v) : mem_unplug(v);
}

static void print(struct mem_verb *v)
{
	struct change *c = &v->c;

	if (v->excess)
		snprintf(c->what, sizeof(c->what), "memory of %llu MiB",
			 (unsigned long long)(v->excess >> 20));
	if (v->to && !v->excess && !v->mebibytes) {
		if (!c->options.json)
			printf("%s: nothing to do, there are %llu MiB\n",
			       c->report.printable, (unsigned long long)v->to);
		return;
	}
	change_print(c);
	if (!v->excess)
		set_json(v, &c->report);
}

static void check(struct mem_verb *v, bool adds)
{
	struct change *c = &v->c;
	const char *size = adds && c->options.nargs > 1 ? c->options.args[1] : NULL;
	struct error err = {0};

	if (adds && !size == !v->to)
		report_fail(
			&c->report, STATUS_USAGE,
			"give either SIZE, which is plugged, or --to SIZE, which there "
			"is to be in all");
	else if (size && take_size("SIZE", size, &v->mebibytes, &err))
		report_fail(&c->report, STATUS_USAGE, "%s", err.text);
	if (!adds && c->wanted_id && v->mebibytes)
		report_fail(&c->report, STATUS_USAGE,
			    "give either --id or --size: an id says which one it is");
}

static int mem_main(int argc, char **argv, bool adds,
		    const struct options_syntax *syntax)
{
	struct mem_verb v = {.c = {.adds = adds,
				   .feature = UPCALL_FEATURE_MEM,
				   .verb_phrase = "plug memory",
				   .class_number = UPCALL_CLASS_MEM,
				   .in_qemu = mem_in_qemu,
				   .after_qemu = mem_after_qemu},
			     .node = -1};
	struct change *c = &v.c;
	int ret = options_parse(argc, argv, syntax, &c->options, &v);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	change_begin(c, syntax->verb);
	check(&v, adds);
	if (run(&v) == STATUS_OK)
		print(&v);
	return change_end(c);
}

int hotplug_mem_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {
		{"to", "SIZE", "plug, or unplug, until there is so much in all", 0,
		 set_to},
		{"node", "N", "the NUMA node (none)", 0, set_node},
		{"qmp", "PATH", "QEMU's QMP socket, if VM is an address", 0,
		 change_set_qmp},
		{NULL, NULL, NULL, 0, NULL},
	};
	static const struct options_syntax syntax = {
		.verb = "hotplug-mem",
		.operands = "VM [SIZE]",
		.about = "Plugs memory into a running VM: QEMU creates it, and the "
			 "guest's kernel\n"
			 "has it online. SIZE is a multiple of the guest's memory "
			 "block, mostly 128M.",
		.own = specs,
		.min_args = 1,
		.max_args = 2,
		.changes = true,
	};

	return mem_main(argc, argv, true, &syntax);
}

int unplug_mem_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {
		{"id", "ID", "this one, by QEMU's name (the last that vmctl plugged)",
		 0, change_set_id},
		{"size", "SIZE", "the last one of this size", 0, set_size},
		{"qmp", "PATH", "QEMU's QMP socket, if VM is an address", 0,
		 change_set_qmp},
		{NULL, NULL, NULL, 0, NULL},
	};
	static const struct options_syntax syntax = {
		.verb = "unplug-mem",
		.operands = "VM",
		.about = "Takes plugged memory out of a running VM: the guest's kernel "
			 "empties it\n"
			 "and lets go of it, and QEMU frees it.",
		.own = specs,
		.min_args = 1,
		.max_args = 1,
		.changes = true,
	};

	return mem_main(argc, argv, false, &syntax);
}
