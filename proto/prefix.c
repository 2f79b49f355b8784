/* SPDX-License-Identifier: Apache-2.0 */
#include "prefix.h"

#include <errno.h>
#include <sha256.h>
#include <unistd.h>

#define CHUNK		(64u << 10)
#define CHUNKS_PER_LOOK 16

int prefix_digest(int fd, uint64_t size, uint8_t digest[static PREFIX_DIGEST],
		  bool (*stop)(const void *data), const void *data)
{
	uint8_t buf[CHUNK];
	unsigned int chunks = 0;
	uint64_t at = 0;
	SHA2_CTX sum;

	if (size > INT64_MAX)
		return -ENODATA;
	SHA256Init(&sum);
	while (at < size) {
		size_t want = size - at < sizeof(buf) ? size - at : sizeof(buf);
		ssize_t n = pread(fd, buf, want, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		SHA256Update(&sum, buf, n);
		at += n;
		if (++chunks % CHUNKS_PER_LOOK == 0 && stop && stop(data))
			return -ECANCELED;
	}
	SHA256Final(digest, &sum);
	return 0;
}
