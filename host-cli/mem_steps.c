/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pc-dimm into a running VM or out of it, with the memory behind it.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mem_verb.h"
#include "qom.h"
#include "step.h"
#include "text.h"

/* Both requests, once the address is known. */
static void fill(struct mem_verb *v)
{
	struct change *c = &v->c;

	c->key = v->dimm.base;
	snprintf(c->what, sizeof(c->what), "memory of %llu MiB at %#llx (%s)",
		 (unsigned long long)(v->dimm.size >> 20),
		 (unsigned long long)v->dimm.base, c->id);
	c->add.payload.mem2 = (struct upcall_mem2){
		.base = htole64(v->dimm.base),
		.size = htole64(v->dimm.size),
		.node = htole32((uint32_t)v->node),
	};
	c->add.len = sizeof(c->add.payload.mem2);
	c->add.type = UPCALL_ADD_MEM2;
	c->del = c->add;
	c->del.type = UPCALL_DEL_MEM2;
	c->del.payload.mem2.node = htole32((uint32_t)-1);
	c->del.payload.mem2.flags = htole32(UPCALL_EJECT);
	snprintf(v->backend, sizeof(v->backend), "%s", v->dimm.backend);
	snprintf(v->again, sizeof(v->again), "the same command with --id %s", c->id);
	c->again = c->adds || v->to ? NULL : v->again;
}

int mem_in_qemu(struct change *c, deadline_t deadline, struct error *err)
{
	struct mem_verb *v = (struct mem_verb *)c;
	struct dimm dimm;
	int ret = dimm_find(&c->qmp, c->id, &dimm, deadline, err);

	/* Undoing a device_add that nobody answered. */
	if (ret > 0 && !c->del.len) {
		v->dimm = dimm;
		fill(v);
	}
	return ret;
}

/* The dimm is gone: now what was behind it. */
int mem_after_qemu(struct change *c, deadline_t deadline, struct error *err)
{
	struct mem_verb *v = (struct mem_verb *)c;

	if (!*v->backend)
		return 0;
	return qmp_execute(&c->qmp, "object-del", json_pack("{s:s}", "id", v->backend),
			   deadline, NULL, err);
}

/* "vmctl-mem3-ram" is 3's, and so is that with a dot and more behind it. */
static bool backend_number(const char *name, uint64_t *number)
{
	char digits[8];
	const char *end = strstr(name, "-ram");
	size_t prefix = strlen(DIMM_PREFIX);

	if (strncmp(name, DIMM_PREFIX, prefix) || !end || (end[4] && end[4] != '.') ||
	    (size_t)(end - name) - prefix >= sizeof(digits))
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)(end - name - prefix),
		 name + prefix);
	return !text_number(digits, 0, 65535, number);
}

/*
 * A vmctl that was killed between object-add and device_add, or between an eject and
 * object-del, leaves memory with no dimm in front of it: it goes now.
 */
static int sweep_one(struct mem_verb *v, const char *backend, unsigned int number,
		     struct error *err)
{
	struct change *c = &v->c;
	char id[DIMM_ID_MAX];
	struct dimm dimm;
	int ret;

	snprintf(id, sizeof(id), DIMM_PREFIX "%u", number);
	ret = dimm_find(&c->qmp, id, &dimm, c->deadline, err);
	if (!ret && c->options.dry_run) {
		step_would(&c->report, "object-del");
		strcpy(v->swept, id);
		return 0;
	}
	if (!ret) {
		ret = qmp_execute(&c->qmp, "object-del",
				  json_pack("{s:s}", "id", backend), c->deadline, NULL,
				  err);
		if (!ret) {
			strcpy(v->swept, id);
			report_debug(&c->report, "%s was left, and is gone", backend);
			return 0;
		}
	}
	/* What something else uses QEMU keeps, and the name is taken. */
	if (ret < 0 && ret != QMP_REFUSED)
		return ret;
	if (number >= v->next)
		v->next = number + 1;
	return 0;
}

static int sweep(struct mem_verb *v, struct error *err)
{
	json_t *list = NULL;
	int ret = qom_list(&v->c.qmp, QOM_OBJECTS, v->c.deadline, &list, err);
	const char *name;
	uint64_t number;
	size_t i;

	for (i = 0; !ret && (name = qom_name(list, i)); i++)
		if (backend_number(name, &number))
			ret = sweep_one(v, name, (unsigned int)number, err);
	json_decref(list);
	return ret;
}

static enum status choose_id(struct change *c)
{
	struct mem_verb *v = (struct mem_verb *)c;
	enum status status = change_open_qmp(c);
	struct error err = {0};
	struct timespec now;
	struct dimm last;
	unsigned int n;
	int ret;

	if (status != STATUS_OK)
		return status;
	ret = sweep(v, &err);
	if (!ret)
		ret = dimm_find_last(&c->qmp, 0, &last, &n, c->deadline, &err);
	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (ret && n >= v->next)
		v->next = n + 1;
	snprintf(c->id, sizeof(c->id), DIMM_PREFIX "%u", v->next);
	/* QEMU 10.0 remembers the file of a name for ever, and its size. */
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(v->backend, sizeof(v->backend), "%s-ram.%llx", c->id,
		 now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec);
	snprintf(c->what, sizeof(c->what), "memory of %llu MiB (%s)",
		 (unsigned long long)v->mebibytes, c->id);
	return STATUS_OK;
}

/* Shared, since a vhost-user back-end such as vsockd maps all of a guest's memory. */
static int make_backend(struct mem_verb *v, struct error *err)
{
	struct change *c = &v->c;
	int ret =
		qmp_execute(&c->qmp, "object-add",
			    json_pack("{s:s, s:s, s:I, s:b}", "qom-type",
				      "memory-backend-memfd", "id", v->backend, "size",
				      (json_int_t)(v->mebibytes << 20), "share", 1),
			    c->deadline, NULL, err);

	c->created = ret != QMP_REFUSED;
	return ret;
}

static enum status create(struct change *c)
{
	struct mem_verb *v = (struct mem_verb *)c;
	struct error err = {0};
	json_t *arguments;
	int ret = make_backend(v, &err);

	if (ret)
		return vm_fail_qmp(ret, &err, &c->report);
	arguments = json_pack("{s:s, s:s, s:s}", "driver", "pc-dimm", "id", c->id,
			      "memdev", v->backend);
	if (v->node >= 0)
		json_object_set_new(arguments, "node", json_integer(v->node));
	ret = qmp_execute(&c->qmp, "device_add", arguments, c->deadline, NULL, &err);
	if (ret == QMP_REFUSED)
		return report_fail(&c->report, STATUS_QEMU_REFUSED,
				   "%s; room for memory is made when QEMU starts: see "
				   "vmctl qemu-args --max-memory",
				   err.text);
	if (ret)
		return vm_fail_qmp(ret, &err, &c->report);
	ret = dimm_find(&c->qmp, c->id, &v->dimm, c->deadline, &err);
	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (!ret)
		return report_fail(&c->report, STATUS_QEMU_REFUSED,
				   "QEMU said that it created %s, and "
				   "query-memory-devices does not have it",
				   c->id);
	fill(v);
	return STATUS_OK;
}

/* An earlier unplug of the memory that is meant had come that far. */
static bool was_swept(const struct mem_verb *v)
{
	if (v->c.wanted_id)
		return !strcmp(v->c.wanted_id, v->swept);
	return *v->swept && !v->mebibytes;
}

static enum status find(struct change *c)
{
	struct mem_verb *v = (struct mem_verb *)c;
	enum status status = change_open_qmp(c);
	struct error err = {0};
	int ret;

	if (status != STATUS_OK)
		return status;
	ret = sweep(v, &err);
	if (ret)
		return vm_fail_qmp(ret, &err, &c->report);
	ret = v->c.wanted_id
		      ? dimm_find(&c->qmp, v->c.wanted_id, &v->dimm, c->deadline, &err)
		      : dimm_find_last(&c->qmp, v->mebibytes << 20, &v->dimm, NULL,
				       c->deadline, &err);
	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (!ret && was_swept(v)) {
		strcpy(c->id, v->swept);
		snprintf(c->what, sizeof(c->what),
			 "what QEMU had left of the memory %s", c->id);
		c->done = true;
		return STATUS_OK;
	}
	if (!ret)
		return report_fail(&c->report, STATUS_NO_SLOT,
				   "QEMU has no memory %s%s of that kind; qmp's "
				   "query-memory-devices lists what it has",
				   v->c.wanted_id ? "with the id " : "plugged by vmctl",
				   v->c.wanted_id ? v->c.wanted_id : "");
	strcpy(c->id, v->dimm.id);
	fill(v);
	return STATUS_OK;
}

static const struct change_step plug[] = {
	{"qmp", choose_id, false},
	{"module", change_greet, false},
	{"device_add", create, true},
	{"upcall", change_ask, false},
};
static const struct change_step unplug[] = {
	{"qmp", find, false},
	{"module", change_greet, false},
	{"upcall", change_ask, true},
	{"release", change_release, false},
};

enum status mem_plug(struct mem_verb *v)
{
	return change_run(&v->c, plug, sizeof(plug) / sizeof(plug[0]));
}

enum status mem_unplug(struct mem_verb *v)
{
	return change_run(&v->c, unplug, sizeof(unplug) / sizeof(unplug[0]));
}
