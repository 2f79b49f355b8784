/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of the guest that a user named, and what it means that it cannot be reached.
 */
#ifndef HOST_CLI_PORT_H
#define HOST_CLI_PORT_H

#include "vm.h"

/* A decimal number that can be a vsock port; 0 or -EINVAL, with words. */
int port_parse(const char *text, uint32_t *port, struct error *err);

/* Reports that dialling it failed with -errno. */
enum status port_fail(const struct vm *vm, uint32_t port, int ret,
		      const struct error *err, struct report *r);

#endif
