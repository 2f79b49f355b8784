/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM that a command is about, and what its failures mean: which exit code,
 * and what the user can do about it.
 */
#ifndef HOST_CLI_VM_H
#define HOST_CLI_VM_H

#include <sys/un.h>

#include "endpoint.h"
#include "guest.h"
#include "qmp.h"
#include "report.h"
#include "upcall.h"

struct vm {
	const char *name; /* what the user called it: a name or an address */
	struct endpoint endpoint;
	char qmp[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": not known */
};

/*
 * Finds the VM's endpoint and QMP socket; `qmp` (may be NULL) overrides the
 * registry's. Reports what is wrong.
 */
enum status vm_resolve(struct vm *vm, const char *name, const char *qmp,
		       struct report *r);

/* All three report what went wrong. The caller closes what it opened. */
enum status vm_open_qmp(const struct vm *vm, struct qmp *q, deadline_t deadline,
			struct report *r);
enum status vm_open_agent(const struct vm *vm, struct rpc *rpc, deadline_t deadline,
			  struct report *r);
enum status vm_open_module(const struct vm *vm, struct upcall *u, deadline_t deadline,
			   struct report *r);

/* Reports that nobody serves the endpoint itself: the same for every port. */
enum status vm_fail_dial(const struct vm *vm, int ret, const struct error *err,
			 struct report *r);

/* Report the failure of a call on an open connection. */
enum status vm_fail_qmp(int ret, const struct error *err, struct report *r);
enum status vm_fail_agent(int ret, const struct error *err, struct report *r);
enum status vm_fail_module(int ret, const struct error *err, struct report *r);

#endif
