/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest, and the host programs that talk to it, may take of the daemon.
 * Reaching a limit costs them an RST or a wait.
 */
#ifndef TRANSPORT_LIMITS_H
#define TRANSPORT_LIMITS_H

#include <stdint.h>

struct limits {
	uint32_t max_connections; /* at once */
	uint32_t conn_buffer;	  /* bytes held for the host program of each */
	uint64_t buffer_total;	  /* bytes of memory behind all of these */
	uint32_t connect_rate;	  /* new ones a second; 0: no limit */
	uint64_t rate;		  /* bytes a second, each way; 0: no limit */
};

/* clang-format off */
#define LIMITS_DEFAULT                                       \
	{                                                    \
		.max_connections = 4096,                     \
		.conn_buffer = 256 * 1024,                   \
		.buffer_total = 64 * 1024 * 1024,            \
	}
/* clang-format on */

enum {
	LIMITS_CONNECTIONS_MAX = 1 << 20,
	LIMITS_CONN_BUFFER_MIN = 4 * 1024,
	LIMITS_CONN_BUFFER_MAX = 1 << 30,
};

/* Tokens count thousandths of a byte: a second's worth has to fit. */
#define LIMITS_RATE_MAX (1ULL << 50)

#endif
