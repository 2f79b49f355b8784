/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hotplug-pci and unplug-pci. With --guest-only there is no QEMU's half, and the
 * requests are Dragonball's.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pci_bus.h"
#include "pci_verb.h"
#include "qom.h"
#include "verbs.h"

static int set_bus(void *into, const char *value, struct error *err)
{
	((struct pci_verb *)into)->bus = value;
	return change_check_utf8("--bus", value, err);
}

static int set_prop(void *into, const char *value, struct error *err)
{
	static const char *const own[] = {"driver=", "id=", "bus="};
	struct pci_verb *v = into;
	size_t i, name = strcspn(value, "=");

	if (!value[name] || !name)
		return error_set(err, -EINVAL, "--prop %s: give NAME=VALUE", value);
	if (name >= CHANGE_ID_MAX)
		return error_set(err, -EINVAL, "--prop %s: NAME has %d bytes at most",
				 value, CHANGE_ID_MAX - 1);
	for (i = 0; i < v->props; i++)
		if (!strncmp(value, v->prop[i], name + 1))
			return error_set(err, -EINVAL, "--prop %s: that is given twice",
					 value);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!strncmp(value, own[i], strlen(own[i])))
			return error_set(err, -EINVAL,
					 "--prop %s: DRIVER, --id or --bus says that",
					 value);
	if (v->props == PCI_PROPS_MAX)
		return error_set(err, -EINVAL, "--prop: %d of them at most",
				 PCI_PROPS_MAX);
	v->prop[v->props++] = value;
	return change_check_utf8("--prop", value, err);
}

static int set_guest_only(void *into, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	((struct pci_verb *)into)->guest_only = true;
	return 0;
}

static int set_address(void *into, const char *value, struct error *err)
{
	struct pci_verb *v = into;

	v->addressed = true;
	if (bdf_parse(value, &v->bdf) || v->bdf >> 16)
		return error_set(err, -EINVAL,
				 "--address %s: give one as 01:00.0, of segment 0",
				 value);
	return 0;
}

/* The requests, once the address is known. */
static void fill(struct pci_verb *v)
{
	struct change *c = &v->c;
	char bdf[BDF_TEXT_MAX];

	c->key = v->bdf;
	snprintf(c->what, sizeof(c->what), "PCI device %s%s%s%s",
		 bdf_format(v->bdf, bdf), *c->id ? " (" : "", c->id, *c->id ? ")" : "");
	if (v->guest_only) {
		c->add.payload.pci = (struct upcall_pci){.bus = (uint8_t)(v->bdf >> 8),
							 .devfn = (uint8_t)v->bdf};
		c->add.len = sizeof(c->add.payload.pci);
		c->add.type = UPCALL_ADD_PCI;
		c->del = c->add;
		c->del.type = UPCALL_DEL_PCI;
		return;
	}
	c->add.payload.pci2 = (struct upcall_pci2){.bus = (uint8_t)(v->bdf >> 8),
						   .devfn = (uint8_t)v->bdf};
	c->add.len = sizeof(c->add.payload.pci2);
	c->add.type = UPCALL_ADD_PCI2;
	c->del = c->add;
	c->del.type = UPCALL_DEL_PCI2;
	v->eject = c->del;
	v->eject.payload.pci2.flags = htole16(UPCALL_EJECT);
}

/* QEMU also makes what is no PCI device, and then knows it by its id alone. */
static int look(struct pci_verb *v, uint64_t *bdf, bool *found, deadline_t deadline,
		struct error *err)
{
	struct change *c = &v->c;
	int ret = pci_bus_find(&c->qmp, c->id, bdf, deadline, err);

	*found = ret > 0;
	return ret ? ret : qom_has(&c->qmp, QOM_DEVICES, c->id, deadline, err);
}

static int in_qemu(struct change *c, deadline_t deadline, struct error *err)
{
	struct pci_verb *v = (struct pci_verb *)c;
	bool found;
	int ret = look(v, &v->bdf, &found, deadline, err);

	/* Not before: undoing a device_add that nobody answered. */
	if (found && !c->del.len)
		fill(v);
	return ret;
}

static int is_taken(struct pci_verb *v, struct error *err)
{
	uint64_t bdf;
	bool found;

	return look(v, &bdf, &found, v->c.deadline, err);
}

/* vmctl-pci0 and up: the first that QEMU does not have. */
static int choose_id(struct pci_verb *v, struct error *err)
{
	unsigned int n;
	int ret = 1;

	if (v->c.wanted_id)
		snprintf(v->c.id, sizeof(v->c.id), "%s", v->c.wanted_id);
	for (n = 0; !v->c.wanted_id && n < 256 && ret > 0; n++) {
		snprintf(v->c.id, sizeof(v->c.id), "vmctl-pci%u", n);
		ret = is_taken(v, err);
	}
	if (v->c.wanted_id)
		ret = is_taken(v, err);
	if (ret > 0)
		ret = error_set(err, -EEXIST,
				"QEMU has a device with the id %s already; name "
				"another --id",
				v->c.id);
	return ret;
}

static enum status choose_place(struct change *c)
{
	struct pci_verb *v = (struct pci_verb *)c;
	enum status status = change_open_qmp(c);
	struct error err = {0};
	int ret;

	if (status != STATUS_OK)
		return status;
	ret = choose_id(v, &err);
	if (!ret && !v->bus) {
		ret = pci_bus_free(&c->qmp, v->free_bus, sizeof(v->free_bus),
				   c->deadline, &err);
		v->bus = v->free_bus;
	}
	if (ret == -ENOSPC || ret == -EEXIST)
		return report_fail(&c->report, STATUS_NO_SLOT, "%s", err.text);
	if (ret)
		return vm_fail_qmp(ret, &err, &c->report);
	snprintf(c->what, sizeof(c->what), "PCI device %s", c->id);
	return STATUS_OK;
}

/* QMP's values have types: what reads as JSON is sent as that, so 4 is a number and
 * "4" with its quotes a string; on and off are QEMU's words for true and false. */
static json_t *prop_value(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!strcmp(text, "on") || !strcmp(text, "off"))
		return json_boolean(!strcmp(text, "on"));
	return value ? value : json_string(text);
}

static enum status create(struct change *c)
{
	struct pci_verb *v = (struct pci_verb *)c;
	struct error err = {0};
	json_t *arguments = json_pack("{s:s, s:s, s:s}", "driver", v->driver, "id",
				      c->id, "bus", v->bus);
	size_t i;
	int ret;

	for (i = 0; i < v->props; i++) {
		const char *equals = strchr(v->prop[i], '=');
		char name[CHANGE_ID_MAX];

		snprintf(name, sizeof(name), "%.*s", (int)(equals - v->prop[i]),
			 v->prop[i]);
		json_object_set_new(arguments, name, prop_value(equals + 1));
	}
	ret = qmp_execute(&c->qmp, "device_add", arguments, c->deadline, NULL, &err);
	/* Refused is not created; after anything else nobody knows. */
	c->created = ret != QMP_REFUSED;
	if (ret)
		return vm_fail_qmp(ret, &err, &c->report);
	ret = pci_bus_find(&c->qmp, c->id, &v->bdf, c->deadline, &err);
	if (ret < 0)
		return vm_fail_qmp(ret, &err, &c->report);
	if (!ret)
		return report_fail(&c->report, STATUS_QEMU_REFUSED,
				   "QEMU said that it created %s, and query-pci does "
				   "not have it: is %s a PCI device?",
				   c->id, v->driver);
	fill(v);
	return STATUS_OK;
}

static const struct change_step plug[] = {
	{"qmp", choose_place, false},
	{"module", change_greet, false},
	{"device_add", create, true},
	{"upcall", change_ask, false},
};
static const struct change_step guest_half[] = {
	{"module", change_greet, false},
	{"upcall", change_ask, true},
};

/* What is wrong in words that each make sense: the report, and so --json, has it. */
static enum status check(struct pci_verb *v, const char *second)
{
	struct report *r = &v->c.report;
	struct error err = {0};

	if (v->guest_only != v->addressed)
		return report_fail(r, STATUS_USAGE,
				   "--guest-only and --address belong together");
	if (v->guest_only == (second != NULL))
		return report_fail(r, STATUS_USAGE,
				   v->guest_only
					   ? "with --guest-only nothing but VM is named"
				   : v->c.adds ? "give the DRIVER, such as "
						 "virtio-net-pci"
					       : "give the device's ID");
	if (v->guest_only && (v->c.wanted_id || v->bus || v->props || v->c.qmp_path))
		return report_fail(r, STATUS_USAGE,
				   v->c.adds ? "--guest-only leaves QEMU out: --id, "
					       "--bus, --prop and --qmp are of no use"
					     : "--guest-only leaves QEMU out: --qmp is "
					       "of no use");
	if (v->c.adds && second && change_check_utf8("DRIVER", second, &err))
		return report_fail(r, STATUS_USAGE, "%s", err.text);
	if (!v->c.adds && second &&
	    (size_t)snprintf(v->c.id, sizeof(v->c.id), "%s", second) >= sizeof(v->c.id))
		return report_fail(r, STATUS_USAGE, "ID: %d bytes at most",
				   CHANGE_ID_MAX - 1);
	v->driver = second;
	return STATUS_OK;
}

static enum status run(struct pci_verb *v)
{
	struct change *c = &v->c;

	if (v->guest_only) {
		fill(v);
		c->base = true;
		return change_run(c, guest_half, 2);
	}
	c->in_qemu = in_qemu;
	c->take_back = pci_out_take_back;
	return c->adds ? change_run(c, plug, 4) : pci_out_run(v);
}

static int pci_main(int argc, char **argv, bool adds,
		    const struct options_syntax *syntax)
{
	struct pci_verb v = {.c = {.adds = adds,
				   .feature = UPCALL_FEATURE_PCI,
				   .verb_phrase = "plug PCI devices",
				   .class_number = UPCALL_CLASS_PCI}};
	struct change *c = &v.c;
	char bdf[BDF_TEXT_MAX];
	int ret = options_parse(argc, argv, syntax, &c->options, &v);

	if (ret)
		return ret > 0 ? STATUS_OK : STATUS_USAGE;
	change_begin(c, syntax->verb);
	if (check(&v, c->options.nargs > 1 ? c->options.args[1] : NULL) == STATUS_OK &&
	    run(&v) == STATUS_OK) {
		change_print(c);
		if (c->del.len) /* with --dry-run QEMU has not said where it goes */
			report_set(&c->report, "address",
				   json_string(bdf_format(v.bdf, bdf)));
	}
	return change_end(c);
}

#define GUEST_OPTIONS                                                             \
	{"guest-only", NULL, "leave QEMU out: the VMM has done its part", 0,      \
	 set_guest_only},                                                         \
		{"address", "BDF", "with --guest-only: 01:00.0", 0, set_address}, \
	{                                                                         \
		"qmp", "PATH", "QEMU's QMP socket, if VM is an address", 0,       \
			change_set_qmp                                            \
	}

int hotplug_pci_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {
		{"id", "ID", "QEMU's name for it (vmctl-pci0 and up)", 0,
		 change_set_id},
		{"bus", "ID", "the root port (the first free one)", 0, set_bus},
		{"prop", "NAME=VALUE", "a property of the device; may be repeated", 0,
		 set_prop},
		GUEST_OPTIONS,
		{NULL, NULL, NULL, 0, NULL},
	};
	static const struct options_syntax syntax = {
		.verb = "hotplug-pci",
		.operands = "VM [DRIVER]",
		.about = "Plugs a PCI device into a running VM: QEMU creates it behind "
			 "a "
			 "root\n"
			 "port, and the guest's kernel takes it.",
		.own = specs,
		.min_args = 1,
		.max_args = 2,
		.changes = true,
	};

	return pci_main(argc, argv, true, &syntax);
}

int unplug_pci_main(int argc, char **argv)
{
	static const struct option_spec specs[] = {
		GUEST_OPTIONS,
		{NULL, NULL, NULL, 0, NULL},
	};
	static const struct options_syntax syntax = {
		.verb = "unplug-pci",
		.operands = "VM [ID]",
		.about = "Takes a PCI device out of a running VM: the guest's kernel "
			 "lets "
			 "go of\n"
			 "it, and QEMU frees it. ID is QEMU's name of it.",
		.own = specs,
		.min_args = 1,
		.max_args = 2,
		.changes = true,
	};

	return pci_main(argc, argv, false, &syntax);
}
