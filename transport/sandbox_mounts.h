/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TRANSPORT_SANDBOX_MOUNTS_H
#define TRANSPORT_SANDBOX_MOUNTS_H

#include "sandbox.h"

/*
 * In a mount namespace of its own: leaves nothing in sight but the directories of
 * sandbox->path, where they were, whatever appears in them later included. On an
 * error (negative errno) everything is as it was.
 */
int sandbox_mounts(const struct sandbox *sandbox, struct error *err);

#endif
