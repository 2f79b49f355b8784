/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the verbs that speak to the guest's module have in common.
 */
#ifndef HOST_CLI_MODULE_VERB_H
#define HOST_CLI_MODULE_VERB_H

#include "vm.h"

/* "0000:01:02.3" of segment << 16 | bus << 8 | devfn, as in LIST; returns buf. */
#define BDF_TEXT_MAX 24
const char *bdf_format(uint64_t bdf, char buf[BDF_TEXT_MAX]);
/* "01:02.3" or with "SSSS:" before it, to the same; 0 or -EINVAL. */
int bdf_parse(const char *text, uint64_t *bdf);

/*
 * Greets the module, and refuses (STATUS_REFUSED, with words) when it cannot do
 * `what`, a verb's phrase such as "plug PCI devices". `base` tells that a device
 * manager without our extensions has the requests as well.
 */
enum status module_open(const struct vm *vm, struct upcall *u, uint32_t feature,
			bool base, const char *what, deadline_t deadline,
			struct report *r);

/*
 * A verb with nothing but VM and the common options, which asks the module and
 * prints: `ask` reports what fails, and prints text or sets members.
 */
int module_verb_main(int argc, char **argv, const struct options_syntax *syntax,
		     enum status (*ask)(struct upcall *u, deadline_t deadline,
					struct report *r));

#endif
