/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of pieces of memory, taken as one run of bytes.
 */
#ifndef TRANSPORT_IOV_H
#define TRANSPORT_IOV_H

#include <stddef.h>
#include <sys/uio.h>

size_t iov_length(const struct iovec *iov, size_t count);

/*
 * Copy between buf and the bytes from offset on. They return how many bytes were
 * copied: fewer than len where the list ends before.
 */
size_t iov_read(const struct iovec *iov, size_t count, size_t offset, void *buf,
		size_t len);
size_t iov_write(const struct iovec *iov, size_t count, size_t offset, const void *buf,
		 size_t len);

/*
 * Fills out with the pieces that make up the len bytes from offset on, as far as
 * the list and max go. Returns the number of pieces.
 */
size_t iov_slice(struct iovec *out, size_t max, const struct iovec *iov, size_t count,
		 size_t offset, size_t len);

#endif
