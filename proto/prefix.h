/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of the beginning of a file: whether both sides have the same. */
#ifndef PROTO_PREFIX_H
#define PROTO_PREFIX_H

#include <stdbool.h>
#include <stdint.h>

#define PREFIX_DIGEST 32

/*
 * -ENODATA: the file is shorter. -ECANCELED: stop(data), which is asked now and then,
 * was true; it may be NULL.
 */
int prefix_digest(int fd, uint64_t size, uint8_t digest[static PREFIX_DIGEST],
		  bool (*stop)(const void *data), const void *data);

#endif
