/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of VMs: one directory per VM below /run/vmctl, or below
 * $XDG_RUNTIME_DIR/vmctl for a user other than root. $VMCTL_RUN_DIR, when set,
 * takes the place of both.
 *
 *   <name>/vsock.sock   the VM's hybrid vsock socket, made by vsockd, or
 *   <name>/endpoint     one line: another endpoint address ("vsock:3")
 *   <name>/qmp.sock     QEMU's QMP socket
 *   <name>/vhost.sock   the vhost-user socket between vsockd and QEMU
 *   <name>/control.sock where vsockd says how it does
 */
#ifndef PROTO_REGISTRY_H
#define PROTO_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define REGISTRY_NAME_MAX 64

/* Whether a string can name a VM: [A-Za-z0-9][A-Za-z0-9._-]*, at most 64 bytes. */
bool registry_name_valid(const char *name);

/* Writes the registry's directory; -ENAMETOOLONG when it does not fit. */
int registry_dir(char *buf, size_t size, struct error *err);

/* Writes the path of one file of one VM ("qmp.sock"), whether it exists or not. */
int registry_path(const char *name, const char *file, char *buf, size_t size,
		  struct error *err);

#endif
