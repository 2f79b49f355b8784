/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUs into a running VM and out of it: what QEMU, the guest's kernel and its
 * agent each have to do, in what order, and the way back when one says no.
 *
 * Plugging
 *   qmp         which slots are free
 *   before      the agent: what the guest has
 *   module      greet the module: nothing is created for a guest that has none
 *   device_add  QEMU creates the vCPUs, halted
 *   upcall      ADD_CPU: the guest's kernel takes them all, or none
 *   agent       which CPUs are new; have them online
 *   cleanup     only after a failure since device_add
 *
 * Unplugging
 *   qmp, before, module as above
 *   upcall      DEL_CPU2: the guest's kernel lets go of them all, or none, and
 *               ejects them
 *   release     until QEMU has freed them
 *   after       the agent: what the guest has now
 *
 * Unplugging asks the guest before QEMU. A device_del sets a request that only
 * the guest can clear, so asking QEMU first would leave it pending where the guest
 * then refuses. QEMU (10.0.2) frees a vCPU when the guest ejects it, whether a
 * device_del came before or not, and takes a second device_del as well; so
 * device_del is sent only for a vCPU that is still there after the ejection, and
 * when plugging is undone.
 */
#ifndef HOST_CLI_PLUG_H
#define HOST_CLI_PLUG_H

#include "report.h"
#include "slots.h"
#include "vm.h"

/* Beyond --timeout, for bringing a VM back into one of the two states. More than
 * the 10 s that a Linux guest waits for a vCPU that does not start. */
#define PLUG_CLEANUP_MS 15000

struct plug {
	const struct vm *vm;
	struct report *report;
	const struct slots_wish *wish;
	deadline_t deadline;
	int64_t cleanup_ms; /* PLUG_CLEANUP_MS, unless a test has less patience */

	struct qmp qmp;
	struct rpc agent;
	struct upcall upcall;
	struct slots slots;
	const struct slot **picked; /* which CPUs this is about */
	size_t count;

	bool out;	/* they are to go, or are gone */
	bool looked;	/* `before` is known */
	size_t created; /* of picked: QEMU may have made these */
	bool asked;	/* the guest may have taken or given them */
	bool freed;	/* unplug: QEMU has them back */
	uint64_t kernel_ns;
	struct guest_cpus before, after;
};

void plug_init(struct plug *p, const struct vm *vm, const struct slots_wish *wish,
	       deadline_t deadline, struct report *report);
void plug_free(struct plug *p);

/*
 * Both run all the steps, and after a failure leave the VM as it was or say
 * loudly (STATUS_HALF_PLUGGED) what is left. They report what went wrong. With
 * nothing to do, count is 0 and after equals before.
 */
enum status plug_run(struct plug *p); /* with SLOTS_TO it unplugs what is too many */
enum status plug_run_out(struct plug *p);

/* For plug.c and unplug.c. */
struct plug_step {
	const char *name;
	enum status (*run)(struct plug *p);
	bool changes; /* the VM: from here on signals wait */
};
enum status plug_run_steps(struct plug *p, const struct plug_step *steps, size_t n);
/* Opens QMP, reads the slots and makes room for the picked ones. */
enum status plug_read_slots(struct plug *p);
/* Picks what is to go of the slots that were read. */
enum status plug_pick_out(struct plug *p);
/* Unplugging, from the second step on. */
enum status plug_go_out(struct plug *p);
enum status plug_read_before(struct plug *p);
enum status plug_greet_module(struct plug *p);
enum status plug_refused(struct plug *p, const struct upcall_result *result);
/* Sends DEL_CPU2 with EJECT for `n` CPUs and waits for the reply. */
int plug_eject(struct plug *p, const struct slot *const *slots, size_t n,
	       struct upcall_result *result, deadline_t deadline, struct error *err);
/* How many of the first n picked CPUs QEMU still has; they are moved to the front.
 * Or -errno. */
int plug_count_left(struct plug *p, size_t n, deadline_t deadline, struct error *err);
/* The same again and again, `until` then or it is 0; QMP may take to the deadline. */
int plug_wait_gone(struct plug *p, size_t n, deadline_t until, deadline_t deadline,
		   struct error *err);
/* device_del of the first n picked CPUs, by id or path; the first error counts. */
int plug_device_del(struct plug *p, size_t n, deadline_t deadline, struct error *err);
/* "1-3", the APIC ids of the first n picked CPUs; returns buf. */
const char *plug_name_ids(const struct plug *p, size_t n, char *buf, size_t size);

#endif
