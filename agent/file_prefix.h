/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what is in a file is what the peer has: SHA-256 of its beginning. */
#ifndef AGENT_FILE_PREFIX_H
#define AGENT_FILE_PREFIX_H

#include <stdbool.h>

#include "task.h"
#include "vmctl/agent/v1/file.pb-c.h"

/*
 * Whether the first prefix->size bytes of the file (a prefix of NULL or of none: no)
 * are the peer's. Stops when the peer has gone.
 */
bool file_prefix_matches(const struct agent_task_io *io, int fd,
			 const Vmctl__Agent__V1__FilePrefix *prefix);

#endif
