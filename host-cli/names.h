/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of the registry's VMs, in alphabetical order.
 */
#ifndef HOST_CLI_NAMES_H
#define HOST_CLI_NAMES_H

#include <stddef.h>

#include "error.h"

struct names {
	char **name;
	size_t count;
};

/* A registry that is not there has none. To be freed also after a failure. */
int names_read(struct names *names, struct error *err);
void names_free(struct names *names);

#endif
