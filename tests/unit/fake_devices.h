/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of a fake VM (fake_vm.h): a module with LIST, STATUS and the classes
 * other than CPUs, and a QEMU with one free root port and room for memory. All in
 * the log of the VM. One device at a time, which is all that a command is about. As
 * with the real two, PCI is ejected after a device_del only, and a second device_del
 * is refused.
 */
#ifndef FAKE_DEVICES_H
#define FAKE_DEVICES_H

#include <stddef.h>

#include "fake_vm.h"

#define FAKE_LIST_MAX 40

struct fake_devices {
	/* How it misbehaves. */
	int add_ret, del_ret;	 /* what the module answers */
	bool drop_add, drop_del; /* done, and the connection closed unanswered */
	bool drop_unread;	 /* closed, and nothing done */
	int late_ms;		 /* ADD and DEL are answered so much later */
	bool wants_device_del;	 /* ejecting frees only after device_del */
	bool keeps;		 /* ejecting frees nothing */
	bool no_port;		 /* no root port is free */
	bool refuse_add;	 /* device_add is refused */
	const char *refuse_del;	 /* device_del is refused, in these words */
	bool interrupt_add;	 /* device_add also sends us SIGINT */
	bool interrupt_del;	 /* likewise a DEL */
	bool ejects;		 /* the misbehaviour of a DEL is that of the eject */
	bool no_pci;		 /* what device_add makes is no PCI device */
	bool quit_del;		 /* QMP ends at device_del, unanswered */
	int function;		 /* of its slot */
	bool cold;	      /* QEMU has it from its start, on a bus without hotplug */
	const char *leftover; /* an object that was left ... */
	bool leftover_used;   /* ... and that something uses */
	uint32_t reply_size;  /* msg_size of the answers to ADD and DEL */
	/* LIST and STATUS as they should not be. */
	bool restless;	 /* another generation each time */
	uint32_t absurd; /* total that is said, if not 0 */
	uint32_t beyond; /* added to count */
	uint32_t query_size;

	/* Its state. */
	struct upcall_list_entry entry[FAKE_LIST_MAX];
	uint32_t entries;
	uint64_t generation;
	bool in_guest, in_qemu, asked_back, backend;
	int32_t node; /* of the last ADD_MEM2 */
	char id[64];
};

static void fake_answer(const struct fake_devices *d, int fd, uint32_t type, int ret,
			uint32_t size, const void *data, size_t len)
{
	uint8_t out[UPCALL_MSG_SIZE] = {0};

	(void)d;
	fake_put(out, UPCALL_MAGIC);
	fake_put(out + 4, size);
	fake_put(out + 8, type);
	fake_put(out + 16, (uint32_t)ret);
	fake_put(out + 0x40, UPCALL_EXT_MAGIC);
	fake_put(out + 0x44, UINT32_MAX);
	fake_put(out + 0x50, 3000000);
	if (ret)
		strcpy((char *)out + 0x58, "not \x1b[1mtoday");
	fake_put(out + 0x40 + 152, 7);
	memcpy(out + UPCALL_DATA_OFFSET, data, len);
	fake_send(fd, out, sizeof(out));
}

static void fake_answer_list(struct fake_devices *d, int fd, uint32_t start)
{
	struct upcall_list list = {0};
	uint32_t n = start < d->entries ? d->entries - start : 0;

	if (n > UPCALL_LIST_MAX)
		n = UPCALL_LIST_MAX;
	if (d->restless)
		d->generation++;
	list.total = htole32(d->absurd ? d->absurd : d->entries);
	list.count = htole32(n + d->beyond);
	list.generation = htole64(d->generation);
	memcpy(list.entry, d->entry + start, n * sizeof(list.entry[0]));
	fake_answer(d, fd, UPCALL_LIST, 0, d->query_size ? d->query_size : 1004, &list,
		    sizeof(list));
}

static void fake_answer_status(struct fake_devices *d, int fd, uint32_t start)
{
	struct upcall_status status = {.uptime_ns = htole64(2500000000),
				       .connections = htole32(1),
				       .connections_max = htole32(16),
				       .plugged = htole32(d->entries)};
	uint32_t i, total = 20, n = start < total ? total - start : 0;

	if (n > UPCALL_STATUS_MAX)
		n = UPCALL_STATUS_MAX;
	status.total = htole32(d->absurd ? d->absurd : total);
	status.count = htole32(n + d->beyond);
	for (i = 0; i < n; i++) {
		status.type[i].type = htole32(start + i);
		status.type[i].flags = htole32((start + i) & 1);
		status.type[i].requests = htole64(4);
		status.type[i].errors = htole64(1);
		status.type[i].total_ns = htole64(8000000);
		status.type[i].max_ns = htole64(5000000);
		snprintf(status.type[i].name, sizeof(status.type[i].name), "T\x1b%u",
			 start + i);
	}
	fake_answer(d, fd, UPCALL_STATUS, 0, d->query_size ? d->query_size : 1004,
		    &status, sizeof(status));
}

static const char *fake_type(uint32_t type)
{
	static const struct {
		uint32_t type;
		const char *name;
	} names[] = {
		{UPCALL_ADD_MMIO, "ADD_MMIO"},	   {UPCALL_DEL_MMIO, "DEL_MMIO"},
		{UPCALL_ADD_PCI, "ADD_PCI"},	   {UPCALL_DEL_PCI, "DEL_PCI"},
		{UPCALL_ADD_PCI2, "ADD_PCI2"},	   {UPCALL_DEL_PCI2, "DEL_PCI2"},
		{UPCALL_ADD_MEM2, "ADD_MEM2"},	   {UPCALL_DEL_MEM2, "DEL_MEM2"},
		{UPCALL_ADD_VIOMMU, "ADD_VIOMMU"}, {UPCALL_DEL_VIOMMU, "DEL_VIOMMU"},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].type == type)
			return names[i].name;
	return NULL;
}

/* What LIST then says of it: class and key from the request's own bytes. */
static void fake_list_device(struct fake_devices *d, uint32_t type, const uint8_t *p)
{
	struct upcall_list_entry *e = &d->entry[d->entries++];
	uint32_t class_number = type == UPCALL_ADD_MMIO	    ? UPCALL_CLASS_MMIO
				: type == UPCALL_ADD_MEM2   ? UPCALL_CLASS_MEM
				: type == UPCALL_ADD_VIOMMU ? UPCALL_CLASS_VIOMMU
							    : UPCALL_CLASS_PCI;
	uint64_t key;

	memcpy(&key, type == UPCALL_ADD_VIOMMU ? p + 8 : p, sizeof(key));
	if (class_number == UPCALL_CLASS_PCI)
		key = htole64(type == UPCALL_ADD_PCI ? p[0] << 8 | p[1]
						     : p[4] << 8 | p[5]);
	*e = (struct upcall_list_entry){.class_number = htole32(class_number),
					.key = key};
	d->generation++;
}

static bool fake_ejects(uint32_t type, const uint8_t *p)
{
	return (type == UPCALL_DEL_PCI2 && p[6]) || (type == UPCALL_DEL_MEM2 && p[20]);
}

static void fake_free(struct fake_devices *d)
{
	if (!d->keeps && (!d->wants_device_del || d->asked_back))
		d->in_qemu = d->asked_back = false;
}

/* Returns what is answered. A device that the guest never had is ejected all the
 * same. */
static int fake_change(struct fake_devices *d, uint32_t type, const uint8_t *p)
{
	bool adds = strstr(fake_type(type), "ADD") != NULL,
	     eject = fake_ejects(type, p);

	if (adds && d->add_ret)
		return d->add_ret;
	if (!adds && d->del_ret && (!d->ejects || eject))
		return d->del_ret;
	if (type == UPCALL_DEL_PCI2 && (eject ? !d->asked_back : !d->in_guest))
		return -ENODEV;
	if (adds)
		fake_list_device(d, type, p);
	else
		d->entries -= d->in_guest;
	if (eject)
		fake_free(d);
	if (type == UPCALL_ADD_MEM2)
		memcpy(&d->node, p + 16, sizeof(d->node));
	d->in_guest = adds;
	return 0;
}

static bool fake_device_request(struct fake_vm *vm, int fd, uint32_t type,
				const uint8_t *in, bool *stay)
{
	const uint8_t *p = in + sizeof(struct upcall_header);
	struct fake_devices *d = vm->more;
	const char *name = fake_type(type);
	bool adds, meant;
	int ret = 0;

	if (type == UPCALL_LIST || type == UPCALL_STATUS) {
		pthread_mutex_lock(&vm->lock);
		(type == UPCALL_LIST ? fake_answer_list : fake_answer_status)(d, fd,
									      in[16]);
		pthread_mutex_unlock(&vm->lock);
		return true;
	}
	if (!name)
		return false;
	adds = strstr(name, "ADD") != NULL;
	meant = adds || !d->ejects || fake_ejects(type, p);
	pthread_mutex_lock(&vm->lock);
	fake_log(vm, "%s%s;", name,
		 type == UPCALL_DEL_PCI2 && fake_ejects(type, p) ? " eject" : "");
	*stay = !(adds ? d->drop_add : meant && d->drop_del) &&
		!(meant && d->drop_unread);
	if (!(meant && d->drop_unread))
		ret = fake_change(d, type, p);
	if (meant)
		d->drop_unread = false; /* once */
	if (!adds && meant && d->interrupt_del)
		kill(getpid(), SIGINT);
	pthread_mutex_unlock(&vm->lock);
	if (meant && d->late_ms)
		poll(NULL, 0, d->late_ms);
	if (*stay)
		fake_answer(d, fd, type, ret, d->reply_size, "", 0);
	return true;
}

static json_t *fake_pci(const struct fake_devices *d)
{
	json_t *behind = json_array();

	if (d->in_qemu && !d->no_pci)
		json_array_append_new(behind, json_pack("{s:i, s:i, s:i, s:s}", "bus",
							1, "slot", 0, "function",
							d->function, "qdev_id", d->id));
	return json_pack("[{s:i, s:[{s:i, s:i, s:i, s:s}, {s:i, s:i, s:i, s:s, "
			 "s:{s:o}}]}]",
			 "bus", 0, "devices", "bus", 0, "slot", 1, "function", 0,
			 "qdev_id", "", "bus", 0, "slot", 2, "function", 0, "qdev_id",
			 d->no_port ? "" : "rp0", "pci_bridge", "devices", behind);
}

static json_t *fake_memory(const struct fake_devices *d)
{
	char backend[96];

	snprintf(backend, sizeof(backend), "/objects/%s-ram", d->id);
	if (!d->in_qemu)
		return json_array();
	return json_pack("[{s:s, s:{s:s, s:s, s:I, s:I, s:i}}]", "type", "dimm", "data",
			 "id", d->id, "memdev", backend, "addr",
			 (json_int_t)0x100000000, "size", (json_int_t)256 << 20, "node",
			 0);
}

static json_t *fake_add_device(struct fake_vm *vm, const json_t *arguments)
{
	struct fake_devices *d = vm->more;
	char *text = json_dumps(arguments, JSON_COMPACT);
	char *unique = strstr(text, "-ram.");

	/* What makes the name unique is of no interest. */
	if (unique)
		memmove(unique + 4, strchr(unique, '"'),
			strlen(strchr(unique, '"')) + 1);
	fake_log(vm, "device_add %s;", text);
	free(text);
	if (d->interrupt_add)
		kill(getpid(), SIGINT);
	if (d->refuse_add)
		return NULL;
	snprintf(d->id, sizeof(d->id), "%s",
		 json_string_value(json_object_get(arguments, "id")));
	d->in_qemu = true;
	return json_object();
}

static json_t *fake_device_del(struct fake_vm *vm)
{
	struct fake_devices *d = vm->more;

	fake_log(vm, "device_del;");
	vm->why = d->refuse_del ? d->refuse_del
				: "Device x is already in the process of unplug";
	if (d->refuse_del || d->asked_back)
		return NULL;
	d->asked_back = true;
	if (d->no_pci)
		d->in_qemu = d->asked_back = false;
	return json_object();
}

static json_t *fake_object_add(struct fake_vm *vm, const char *id)
{
	struct fake_devices *d = vm->more;

	fake_log(vm, "object-add;");
	if (d->leftover && !strcmp(id, d->leftover))
		return NULL;
	d->backend = true;
	return json_object();
}

static json_t *fake_object_del(struct fake_vm *vm, const char *id)
{
	struct fake_devices *d = vm->more;
	bool left = d->leftover && !strcmp(id, d->leftover);
	bool held = left ? d->leftover_used : !d->backend || d->in_qemu;

	fake_log(vm, left ? "object-del %s;" : "object-del;", id);
	if (held)
		return NULL;
	if (left)
		d->leftover = NULL;
	else
		d->backend = false;
	return json_object();
}

static json_t *fake_qom_list(const struct fake_devices *d, const char *path)
{
	json_t *list = json_pack("[{s:s, s:s}]", "name", "type", "type", "string");
	bool objects = !strcmp(path, "/objects");
	char backend[96];

	snprintf(backend, sizeof(backend), "%s-ram", d->id);
	if (!objects && d->in_qemu)
		json_array_append_new(list, json_pack("{s:s}", "name", d->id));
	if (objects && d->backend)
		json_array_append_new(list, json_pack("{s:s}", "name", backend));
	if (objects && d->leftover)
		json_array_append_new(list, json_pack("{s:s}", "name", d->leftover));
	return list;
}

static bool fake_device_command(struct fake_vm *vm, const char *name,
				const json_t *arguments, json_t **value)
{
	const char *id = json_string_value(json_object_get(arguments, "id"));
	const char *path = json_string_value(json_object_get(arguments, "path"));
	struct fake_devices *d = vm->more;

	*value = NULL;
	if (!strcmp(name, "query-pci"))
		*value = fake_pci(d);
	else if (!strcmp(name, "query-memory-devices"))
		*value = fake_memory(d);
	else if (!strcmp(name, "query-memory-size-summary"))
		*value = json_pack("{s:I, s:I}", "base-memory", (json_int_t)512 << 20,
				   "plugged-memory",
				   (json_int_t)(d->in_qemu ? 256 << 20 : 0));
	else if (!strcmp(name, "device_add"))
		*value = fake_add_device(vm, arguments);
	else if (!strcmp(name, "device_del"))
		*value = fake_device_del(vm);
	else if (!strcmp(name, "object-add"))
		*value = fake_object_add(vm, id);
	else if (!strcmp(name, "object-del"))
		*value = fake_object_del(vm, id);
	else if (!strcmp(name, "qom-list"))
		*value = fake_qom_list(d, path);
	else if (!strcmp(name, "qom-get"))
		*value = json_boolean(!d->cold);
	else
		return false;
	return true;
}

#define FAKE_ALL_FEATURES                                                \
	(UPCALL_FEATURE_MMIO | UPCALL_FEATURE_PCI | UPCALL_FEATURE_MEM | \
	 UPCALL_FEATURE_VIOMMU | UPCALL_FEATURE_QUERY | UPCALL_FEATURE_EJECT_PCI)

static struct fake_vm fake_with_devices(struct fake_devices *d)
{
	return (struct fake_vm){.features = FAKE_ALL_FEATURES,
				.quit_del = d->quit_del,
				.command = fake_device_command,
				.request = fake_device_request,
				.more = d};
}

#endif
