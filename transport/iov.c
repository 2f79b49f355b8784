/* SPDX-License-Identifier: Apache-2.0 */
#include "iov.h"

#include <string.h>

size_t iov_length(const struct iovec *iov, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += iov[i].iov_len;
	return len;
}

size_t iov_slice(struct iovec *out, size_t max, const struct iovec *iov, size_t count,
		 size_t offset, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < count && len && n < max; i++) {
		size_t part = iov[i].iov_len;

		if (offset >= part) {
			offset -= part;
			continue;
		}
		part -= offset;
		if (part > len)
			part = len;
		out[n].iov_base = (char *)iov[i].iov_base + offset;
		out[n].iov_len = part;
		n++;
		len -= part;
		offset = 0;
	}
	return n;
}

/* One direction or the other: exactly one of to and from is given. */
static size_t copy(const struct iovec *iov, size_t count, size_t offset, char *to,
		   const char *from, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < count && done < len; i++) {
		struct iovec piece;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		iov_slice(&piece, 1, &iov[i], 1, offset, len - done);
		if (to)
			memcpy(to + done, piece.iov_base, piece.iov_len);
		else
			memcpy(piece.iov_base, from + done, piece.iov_len);
		done += piece.iov_len;
		offset = 0;
	}
	return done;
}

size_t iov_read(const struct iovec *iov, size_t count, size_t offset, void *buf,
		size_t len)
{
	return copy(iov, count, offset, buf, NULL, len);
}

size_t iov_write(const struct iovec *iov, size_t count, size_t offset, const void *buf,
		 size_t len)
{
	return copy(iov, count, offset, NULL, buf, len);
}
