/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device into a running VM or out of it: what the verbs for MMIO, PCI, memory
 * and virtio-iommu share. The guest has its half of each; PCI and memory have
 * one in QEMU too, which is made before the guest's and goes after it.
 *
 * QEMU frees memory of a guest without ACPI when the guest ejects it, whether a
 * device_del came before or not (QEMU, hw/acpi/memory_hotplug.c). As in plug.h,
 * device_del is sent only where the ejection alone did not do, and when plugging is
 * undone: the request would stay pending where the guest refuses. PCI has an order of
 * its own (pci_out.c).
 */
#ifndef HOST_CLI_CHANGE_H
#define HOST_CLI_CHANGE_H

#include "module_verb.h"

#define CHANGE_CLEANUP_MS 15000 /* beyond --timeout, as in plug.h */
#define CHANGE_ID_MAX	  64

struct change_request {
	enum upcall_type type;
	size_t len;
	union {
		struct upcall_mmio mmio;
		struct upcall_pci pci;
		struct upcall_pci2 pci2;
		struct upcall_mem2 mem2;
		struct upcall_viommu viommu;
	} payload;
};

struct change {
	struct options options;
	struct report report;
	struct vm vm;
	deadline_t deadline;
	int64_t cleanup_ms;
	struct upcall upcall;
	struct qmp qmp;

	const char *qmp_path, *wanted_id; /* --qmp and --id, or NULL */

	bool adds;
	/* The module must have this; `base`: Dragonball's has it too. */
	uint32_t feature;
	bool base;
	const char *verb_phrase;       /* "plug PCI devices" */
	char what[160];		       /* "PCI device 0000:01:00.0 (vmctl-pci0)" */
	uint32_t class_number;	       /* as in LIST */
	uint64_t key;		       /* likewise */
	struct change_request add;     /* to plug it */
	struct change_request del;     /* to unplug it, or take it back */
	struct upcall_result result;   /* of the last request */
	bool asked, answered, refused; /* the guest, and what it said */
	bool listed;		       /* LIST had it before */
	bool unsettled;	   /* unplug: a failure leaves it somewhere between */
	const char *again; /* what finishes it; NULL: the same command */
	bool done;	   /* there is nothing left to do: no more steps */

	/* QEMU's half; NULL: there is none. 1: QEMU has it, 0: not, or -errno. */
	int (*in_qemu)(struct change *c, deadline_t deadline, struct error *err);
	/* Frees what is left in QEMU when the device is gone; may be NULL. */
	int (*after_qemu)(struct change *c, deadline_t deadline, struct error *err);
	/* Where these are not NULL they are used in place of change_undo.c's own. */
	int (*take_back)(struct change *c, deadline_t deadline, struct error *err);
	void (*settle)(struct change *c);
	char id[CHANGE_ID_MAX]; /* QEMU's name of it */
	bool created;		/* QEMU may have made it */
	bool freed;		/* QEMU has it no more */
};

struct change_step {
	const char *name;
	enum status (*run)(struct change *c);
	bool changes;
};

/* A command from its options on: the rest of *c is the caller's to have filled. */
void change_begin(struct change *c, const char *verb);
/*
 * Runs the steps and, where one of them failed after something was done, brings the
 * VM back or says loudly (STATUS_HALF_PLUGGED) what is left.
 */
enum status change_run(struct change *c, const struct change_step *steps, size_t n);
/* Sets what is common in the result's members; prints text without --json. */
void change_print(struct change *c);
int change_end(struct change *c);

/* For tables of options, where `into` begins with a struct change. What goes to QEMU
 * must be UTF-8, which JSON is; `option` says whose value it is. */
int change_check_utf8(const char *option, const char *value, struct error *err);
int change_set_qmp(void *into, const char *value, struct error *err);
int change_set_id(void *into, const char *value, struct error *err);

/* Steps. */
enum status change_open_qmp(struct change *c);
enum status change_greet(struct change *c); /* and what is in LIST already */
enum status change_ask(struct change *c);   /* ADD or DEL */
enum status change_release(struct change *c);

/* Reports what change_send() got for an answer, which is a refusal. */
enum status change_refused(struct change *c);

/* change_undo.c: plugging undone, all of it or STATUS_HALF_PLUGGED. */
void change_undo(struct change *c);
/* After a DEL that nobody answered in time: which of the two states it is. */
void change_settle(struct change *c);
/* Until QEMU has freed it, and what was behind it; 0 or -errno. */
int change_leave_qemu(struct change *c, deadline_t deadline, struct error *err);
/* A QMP connection, whatever became of the last one. */
int change_reopen_qmp(struct change *c, deadline_t deadline, struct error *err);
/* Sends device_del. That QEMU waits for the guest already is no error. */
int change_device_del(struct change *c, deadline_t deadline, struct error *err);
/* Sends a request and waits: 0 also when the guest refused. */
int change_send(struct change *c, const struct change_request *request,
		deadline_t deadline, struct error *err);
/* A connection with nothing under way, whatever became of the last request. */
int change_reconnect(struct change *c, deadline_t deadline, struct error *err);
/* Whether LIST has it: 1, 0, or -errno (-EOPNOTSUPP: the guest has no LIST). */
int change_in_list(struct change *c, deadline_t deadline, struct error *err);
/* Until QEMU has it no more, or `until` passes: as in_qemu. */
int change_wait_gone(struct change *c, deadline_t until, deadline_t deadline,
		     struct error *err);

#endif
