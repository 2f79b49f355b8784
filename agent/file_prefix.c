// SPDX-License-Identifier: Apache-2.0
#include "file_prefix.h"

#include <errno.h>
#include <sha256.h>
#include <string.h>
#include <unistd.h>

#define CHUNK		(64u << 10)
#define CHUNKS_PER_LOOK 16

bool file_prefix_matches(const struct agent_task_io *io, int fd,
			 const Vmctl__Agent__V1__FilePrefix *prefix)
{
	uint8_t buf[CHUNK], digest[SHA256_DIGEST_LENGTH];
	uint64_t left, at = 0;
	unsigned int chunks = 0;
	SHA2_CTX sum;

	if (!prefix || !prefix->size || prefix->size > INT64_MAX ||
	    prefix->sha256.len != sizeof(digest))
		return false;
	SHA256Init(&sum);
	for (left = prefix->size; left;) {
		ssize_t n = pread(fd, buf, left < sizeof(buf) ? left : sizeof(buf),
				  (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		SHA256Update(&sum, buf, n);
		at += n;
		left -= n;
		if (++chunks % CHUNKS_PER_LOOK == 0 && agent_task_gone(io))
			return false;
	}
	SHA256Final(digest, &sum);
	return !memcmp(digest, prefix->sha256.data, sizeof(digest));
}
