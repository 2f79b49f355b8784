// SPDX-License-Identifier: Apache-2.0
#include "file_prefix.h"

#include <string.h>

#include "prefix.h"

static bool gone(const void *data)
{
	return agent_task_gone(data);
}

bool file_prefix_matches(const struct agent_task_io *io, int fd,
			 const Vmctl__Agent__V1__FilePrefix *prefix)
{
	uint8_t digest[PREFIX_DIGEST];

	return prefix && prefix->size && prefix->sha256.len == sizeof(digest) &&
	       !prefix_digest(fd, prefix->size, digest, gone, io) &&
	       !memcmp(digest, prefix->sha256.data, sizeof(digest));
}
