/* SPDX-License-Identifier: Apache-2.0 */
/* A small file that is replaced as a whole or not at all. */
#ifndef AGENT_REPLACE_H
#define AGENT_REPLACE_H

#include <stddef.h>
#include <sys/types.h>

#include "error.h"

/*
 * Writes a file of that name in a directory, over the one that may be there; a
 * symbolic link of that name is replaced, not followed. It blocks for the disk.
 */
int replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode,
		 struct error *err);

#endif
