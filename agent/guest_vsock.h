/* SPDX-License-Identifier: Apache-2.0 */
/* The vsock sockets of the guest, as the kernel's vsock_diag tells them. For jobs. */
#ifndef AGENT_GUEST_VSOCK_H
#define AGENT_GUEST_VSOCK_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define GUEST_VSOCK_MAX 8192 /* sockets in a list; further ones are left out */

struct guest_vsock {
	const char *type;  /* "stream", "dgram", "seqpacket", "unknown" */
	const char *state; /* "established", ... */
	uint32_t local_cid, local_port;
	uint32_t peer_cid, peer_port;
	uint64_t inode;
};

/*
 * All of them, in an allocation that the caller frees. -EOPNOTSUPP: the kernel has no
 * vsock_diag, or its module is not loaded.
 */
int guest_vsock_list(struct guest_vsock **list, size_t *n, struct error *err);

#endif
