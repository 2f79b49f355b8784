/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line that opens a connection on a hybrid vsock Unix socket: the client
 * sends "CONNECT <port>\n", the other side answers "OK <host port>\n".
 * Firecracker's docs/vsock.md describes it; Cloud Hypervisor, Dragonball and
 * vsockd speak it. Kata's Rust runtime writes the verb in lower case, so either
 * case is taken.
 *
 * Between two vsockd the line also says which guest asks, and from which of its
 * ports: "CONNECT <port> FROM <cid>:<port>\n". It is a line of its own: a side
 * that wants the one refuses the other.
 */
#ifndef PROTO_HYBRID_H
#define PROTO_HYBRID_H

#include <stddef.h>
#include <stdint.h>

/* No right line is longer, newline included: "connect 4294967295\r\n". */
#define HYBRID_LINE_MAX 32
/* "CONNECT 4294967295 FROM 4294967294:4294967295\r\n". */
#define HYBRID_FROM_LINE_MAX 64

/*
 * All look for a whole line at the start of buf. They return the line's length
 * with its newline (the bytes behind it belong to the connection), 0 when more
 * bytes are needed, or -EPROTO when the bytes cannot become a right line: a
 * wrong word, or a number that is no decimal u32 or has more than ten digits. A
 * '\r' before the newline is let pass. Numbers are set with a whole line only.
 */
int hybrid_parse_connect(const char *buf, size_t len, uint32_t *port);
int hybrid_parse_connect_from(const char *buf, size_t len, uint32_t *port,
			      uint32_t *from_cid, uint32_t *from_port);
int hybrid_parse_ok(const char *buf, size_t len, uint32_t *host_port);

/* All write the line, newline included and no NUL, and return its length. */
size_t hybrid_format_connect(char buf[static HYBRID_LINE_MAX], uint32_t port);
size_t hybrid_format_connect_from(char buf[static HYBRID_FROM_LINE_MAX], uint32_t port,
				  uint32_t from_cid, uint32_t from_port);
size_t hybrid_format_ok(char buf[static HYBRID_LINE_MAX], uint32_t host_port);

#endif
