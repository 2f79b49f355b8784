/* SPDX-License-Identifier: Apache-2.0 */
/* What has gone over a VM's vsock device, as its vsockd has counted. */
#ifndef HOST_CLI_VSOCK_TRAFFIC_H
#define HOST_CLI_VSOCK_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "io.h"

struct vsock_traffic {
	uint64_t to_guest, from_guest; /* bytes of data since vsockd began */
	uint64_t connections;	       /* at the moment */
};

/*
 * Asks the vsockd of the VM of that name in the registry. False where none answers
 * until the deadline, as with another transport, or an address in place of a name.
 */
bool vsock_traffic_ask(const char *name, deadline_t deadline, struct vsock_traffic *t);

#endif
