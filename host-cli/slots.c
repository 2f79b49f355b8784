/* SPDX-License-Identifier: Apache-2.0 */
#include "slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * An x86 APIC id is bit fields, one for each level of the topology, each as wide
 * as its largest id needs (Intel SDM 3A, "Hierarchical mapping of shared
 * resources"; QEMU lays it out so for every CPU model since 5.2). Innermost
 * first. A property that is none of these, nor node-id, is a topology that this
 * program does not know.
 */
static const char *const levels[] = {"thread-id", "core-id", "module-id", "die-id",
				     "socket-id"};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

static int level_of(const char *property)
{
	size_t i;

	for (i = 0; i < LEVELS; i++)
		if (!strcmp(property, levels[i]))
			return (int)i;
	return -1;
}

static int garbage(struct error *err, const char *what)
{
	return error_set(err, -EPROTO, "query-hotpluggable-cpus: %s", what);
}

/* Takes what a slot's props say into id[], and the largest of each into top[]. */
static int read_ids(const json_t *props, uint32_t id[LEVELS], uint32_t top[LEVELS],
		    struct error *err)
{
	const char *key;
	json_t *value;

	memset(id, 0, LEVELS * sizeof(id[0]));
	if (!json_is_object(props))
		return garbage(err, "a slot without props");
	json_object_foreach ((json_t *)props, key, value) {
		int level = level_of(key);

		if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		    json_integer_value(value) > 0xffff)
			return garbage(err, "an id that is no small number");
		if (!strcmp(key, "node-id"))
			continue;
		if (level < 0)
			return error_set(
				err, -EOPNOTSUPP,
				"this machine's CPU topology has a %s, which "
				"says nothing about APIC ids; use -machine q35",
				key);
		id[level] = (uint32_t)json_integer_value(value);
		if (id[level] > top[level])
			top[level] = id[level];
	}
	return 0;
}

static int read_slot(const json_t *o, struct slot *slot, struct error *err)
{
	const json_t *path = json_object_get(o, "qom-path");

	slot->type = json_string_value(json_object_get(o, "type"));
	slot->props = json_object_get(o, "props");
	slot->qom_path = json_string_value(path);
	if (!slot->type || (path && !slot->qom_path))
		return garbage(err, "a slot without type, or with a path that is none");
	if (json_integer_value(json_object_get(o, "vcpus-count")) != 1)
		return error_set(err, -EOPNOTSUPP,
				 "this machine plugs several vCPUs at once; use "
				 "-machine q35");
	return 0;
}

static int by_apic_id(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return (x->apic_id > y->apic_id) - (x->apic_id < y->apic_id);
}

/* A level's width is the length of its largest id in bits. */
static int apic_id_of(const uint32_t id[LEVELS], const uint32_t top[LEVELS],
		      uint32_t *apic_id, struct error *err)
{
	unsigned int shift = 0, width;
	size_t i;

	*apic_id = 0;
	for (i = 0; i < LEVELS; i++) {
		width = top[i] ? 32 - __builtin_clz(top[i]) : 0;
		if (shift + width > 31)
			return garbage(err, "ids too large for an APIC id");
		*apic_id |= id[i] << shift;
		shift += width;
	}
	return 0;
}

static int compute_apic_ids(struct slots *s, uint32_t (*ids)[LEVELS],
			    const uint32_t top[LEVELS], struct error *err)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		int ret = apic_id_of(ids[i], top, &s->slot[i].apic_id, err);

		if (ret)
			return ret;
	}
	qsort(s->slot, s->count, sizeof(*s->slot), by_apic_id);
	for (i = 0; i < s->count; i++) {
		s->slot[i].index = (uint32_t)i;
		if (i && s->slot[i].apic_id == s->slot[i - 1].apic_id)
			return garbage(err, "two slots with the same ids");
	}
	return 0;
}

int slots_parse(struct slots *s, json_t *reply, struct error *err)
{
	uint32_t top[LEVELS] = {0}, (*ids)[LEVELS];
	size_t i, n = json_array_size(reply);
	int ret = 0;

	memset(s, 0, sizeof(*s));
	if (!n || n > SLOTS_MAX)
		return garbage(err, "no list, an empty one or one too long");
	s->slot = calloc(n, sizeof(*s->slot));
	ids = calloc(n, sizeof(*ids));
	if (!s->slot || !ids) {
		free(ids);
		return error_set(err, -ENOMEM, "no memory for %zu slots", n);
	}
	s->count = n;
	s->reply = json_incref(reply);
	for (i = 0; i < n && !ret; i++) {
		ret = read_slot(json_array_get(reply, i), &s->slot[i], err);
		if (!ret)
			ret = read_ids(s->slot[i].props, ids[i], top, err);
		if (!ret && s->slot[i].qom_path)
			s->plugged++;
	}
	if (!ret)
		ret = compute_apic_ids(s, ids, top, err);
	free(ids);
	return ret;
}

void slots_free(struct slots *s)
{
	free(s->slot);
	json_decref(s->reply);
	memset(s, 0, sizeof(*s));
}

/* The boot CPU is the one that QEMU counts as 0. */
static int mark_boot(struct slots *s, struct qmp *q, deadline_t deadline,
		     struct error *err)
{
	json_t *reply = NULL, *cpu;
	size_t i, k;
	int ret = qmp_execute(q, "query-cpus-fast", NULL, deadline, &reply, err);

	if (ret)
		return ret;
	ret = error_set(err, -EPROTO, "query-cpus-fast names no CPU 0");
	json_array_foreach (reply, i, cpu) {
		const json_t *index = json_object_get(cpu, "cpu-index");
		const char *path = json_string_value(json_object_get(cpu, "qom-path"));

		if (!json_is_integer(index) || json_integer_value(index) || !path)
			continue;
		for (k = 0; k < s->count; k++) {
			const char *its = s->slot[k].qom_path;

			if (its && !strcmp(its, path)) {
				s->slot[k].boot = true;
				ret = 0;
			}
		}
	}
	json_decref(reply);
	return ret;
}

static int verify(const struct slot *slot, struct qmp *q, deadline_t deadline,
		  struct error *err)
{
	json_t *reply = NULL;
	json_int_t said;
	int ret = qmp_execute(
		q, "qom-get",
		json_pack("{s:s, s:s}", "path", slot->qom_path, "property", "apic-id"),
		deadline, &reply, err);

	if (ret == QMP_REFUSED)
		return error_set(err, -EOPNOTSUPP,
				 "QEMU tells no APIC id of its CPUs; is this an x86 "
				 "machine?");
	if (ret)
		return ret;
	said = json_is_integer(reply) ? json_integer_value(reply) : -1;
	json_decref(reply);
	if (said != (json_int_t)slot->apic_id)
		return error_set(err, -EOPNOTSUPP,
				 "the APIC ids of this CPU topology are not understood "
				 "(%lld where %u was computed); use "
				 "-smp sockets=N,cores=1,threads=1",
				 (long long)said, slot->apic_id);
	return 0;
}

int slots_read(struct slots *s, struct qmp *q, deadline_t deadline, struct error *err)
{
	json_t *reply = NULL;
	size_t i;
	int ret;

	memset(s, 0, sizeof(*s));
	ret = qmp_execute(q, "query-hotpluggable-cpus", NULL, deadline, &reply, err);
	if (ret == QMP_REFUSED)
		error_prefix(err, "this machine has no CPU hotplug, use -machine q35");
	if (!ret)
		ret = slots_parse(s, reply, err);
	json_decref(reply);
	if (!ret)
		ret = mark_boot(s, q, deadline, err);
	for (i = 0; i < s->count && !ret; i++)
		if (s->slot[i].qom_path)
			ret = verify(&s->slot[i], q, deadline, err);
	return ret;
}

const struct slot *slots_find(const struct slots *s, uint32_t apic_id)
{
	size_t i;

	for (i = 0; i < s->count; i++)
		if (s->slot[i].apic_id == apic_id)
			return &s->slot[i];
	return NULL;
}

static int pick_listed(const struct slots *s, const struct slots_wish *wish,
		       bool plugged, const struct slot **picked, struct error *err)
{
	uint32_t i;

	for (i = 0; i < wish->count; i++) {
		uint32_t apic_id = wish->apic_id[i];
		const struct slot *slot = slots_find(s, apic_id);

		if (!slot)
			return error_set(err, -ENOSPC,
					 "no CPU slot has APIC id %u; the highest is "
					 "%u",
					 apic_id, s->slot[s->count - 1].apic_id);
		if (plugged && slot->boot)
			return error_set(err, -ENOSPC,
					 "APIC id %u is the boot CPU, which cannot be "
					 "unplugged; name another",
					 apic_id);
		if (plugged != !!slot->qom_path)
			return error_set(err, -ENOSPC,
					 "the slot of APIC id %u is %s; name another",
					 apic_id, plugged ? "empty" : "taken already");
		picked[i] = slot;
	}
	return 0;
}

int slots_pick_free(const struct slots *s, const struct slots_wish *wish,
		    const struct slot **picked, size_t *n, struct error *err)
{
	size_t i, room = s->count - s->plugged;

	*n = wish->count;
	if (wish->kind == SLOTS_LIST)
		return pick_listed(s, wish, false, picked, err);
	if (wish->kind == SLOTS_TO) {
		if (wish->count < s->plugged)
			return error_set(
				err, -EINVAL,
				"--to %u is fewer than the %zu CPUs there are; "
				"use vmctl unplug-cpu",
				wish->count, s->plugged);
		*n = wish->count - s->plugged;
	}
	if (*n > room)
		return error_set(err, -ENOSPC,
				 "%zu more CPUs do not fit: %zu of %zu slots are free; "
				 "ask for fewer, or start QEMU with a larger maxcpus",
				 *n, room, s->count);
	for (i = room = 0; i < s->count && room < *n; i++)
		if (!s->slot[i].qom_path)
			picked[room++] = &s->slot[i];
	return 0;
}

int slots_pick_plugged(const struct slots *s, const struct slots_wish *wish,
		       const struct slot **picked, size_t *n, struct error *err)
{
	size_t i, k, room = s->plugged ? s->plugged - 1 : 0;

	*n = wish->count;
	if (wish->kind == SLOTS_LIST)
		return pick_listed(s, wish, true, picked, err);
	if (wish->kind == SLOTS_TO) {
		if (wish->count > s->plugged)
			return error_set(err, -EINVAL,
					 "--to %u is more than the %zu CPUs there are; "
					 "use vmctl hotplug-cpu",
					 wish->count, s->plugged);
		*n = s->plugged - wish->count;
	}
	if (*n > room)
		return error_set(err, -ENOSPC,
				 "%zu CPUs cannot go: there are %zu, and the boot CPU "
				 "stays; ask for fewer",
				 *n, s->plugged);
	for (i = s->count, k = 0; i > 0 && k < *n; i--)
		if (s->slot[i - 1].qom_path && !s->slot[i - 1].boot)
			picked[k++] = &s->slot[i - 1];
	return 0;
}
