/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line that opens a connection on a hybrid vsock Unix socket: the client
 * sends "CONNECT <port>\n", the other side answers "OK <host port>\n".
 * Firecracker's docs/vsock.md describes it; Cloud Hypervisor, Dragonball and
 * vsockd speak it. Kata's Rust runtime writes the verb in lower case, so either
 * case is taken.
 */
#ifndef PROTO_HYBRID_H
#define PROTO_HYBRID_H

#include <stddef.h>
#include <stdint.h>

/* The longest line that can be right, newline included: "connect 4294967295\n". */
#define HYBRID_LINE_MAX 32

/*
 * Both look for a whole line at the start of buf. They return the line's length
 * with its newline (the bytes behind it belong to the connection), 0 when more
 * bytes are needed, or -EPROTO when the bytes cannot become a right line: a
 * wrong word, a port that is no decimal u32, or HYBRID_LINE_MAX bytes with no
 * newline. A '\r' before the newline is let pass.
 */
int hybrid_parse_connect(const char *buf, size_t len, uint32_t *port);
int hybrid_parse_ok(const char *buf, size_t len, uint32_t *host_port);

/* Both write the line, newline included and no NUL, and return its length. */
size_t hybrid_format_connect(char buf[static HYBRID_LINE_MAX], uint32_t port);
size_t hybrid_format_ok(char buf[static HYBRID_LINE_MAX], uint32_t host_port);

#endif
