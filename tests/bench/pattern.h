/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of bytes that both ends know, which costs a memcpy to make and a
 * memcmp to check. Its period is no multiple of any size that is in use.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

void pattern_init(void);
/* len: at most 64 KiB. */
void pattern_fill(void *buf, size_t len, uint64_t at);
/* Ends the program when it is not what belongs there. */
void pattern_check(const void *buf, size_t len, uint64_t at, const char *where);
/* The first len bytes of iov. */
void pattern_check_iov(const struct iovec *iov, size_t len, uint64_t at,
		       const char *where);

#endif
