/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a VM's vsock ports can be reached, and how to dial one.
 *
 *   unix:/run/vmctl/vm1/vsock.sock   hybrid vsock (proto/hybrid.h)
 *   vsock:3                          AF_VSOCK to CID 3
 *   tcp:host:port, tcp:[v6]:port     a forwarder that speaks the CONNECT line
 *   vm1                              a name, looked up in the registry
 */
#ifndef PROTO_ENDPOINT_H
#define PROTO_ENDPOINT_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "error.h"
#include "io.h"

enum endpoint_kind {
	ENDPOINT_UNIX,
	ENDPOINT_VSOCK,
	ENDPOINT_TCP,
};

struct addrinfo;

struct endpoint {
	enum endpoint_kind kind;
	uint32_t cid;						/* ENDPOINT_VSOCK */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* ENDPOINT_UNIX */
	char host[256];						/* ENDPOINT_TCP */
	char service[32]; /* ENDPOINT_TCP: the port */
};

#define ENDPOINT_TEXT_MAX 320

/*
 * Parses an address with a scheme, or looks a name up in the registry
 * (proto/registry.h). -EINVAL for a string that is none of the above, -ENOENT
 * for a name that the registry does not hold.
 */
int endpoint_parse(const char *text, struct endpoint *ep, struct error *err);

/*
 * Parses an address of any service, not only of a VM: names are not looked up, and
 * vsock: may be followed by 1 or 2. What it leads to speaks no CONNECT line.
 */
int endpoint_parse_address(const char *text, struct endpoint *ep, struct error *err);

/* Writes the address back as text ("unix:/..."); returns buf. */
const char *endpoint_format(const struct endpoint *ep,
			    char buf[static ENDPOINT_TEXT_MAX]);

/*
 * Connects to a port of the guest and returns a connected, non-blocking,
 * close-on-exec descriptor that the caller owns: for the line-speaking kinds the
 * handshake is done and nothing behind the OK line has been read. Of a TCP name each
 * address is tried in turn.
 *
 * Errors: -ENOENT or -ECONNREFUSED when nobody serves the address,
 * -ECONNRESET when the transport is there and the guest refuses the port,
 * -ETIMEDOUT, -EPROTO when the answer is no OK line.
 */
int endpoint_dial(const struct endpoint *ep, uint32_t port, deadline_t deadline,
		  struct error *err);

/*
 * The socket address of unix:, or of a port of vsock:, and its length. 0 for tcp:,
 * which has to be looked up.
 */
socklen_t endpoint_address(const struct endpoint *ep, uint32_t port,
			   struct sockaddr_storage *addr);

/*
 * The addresses of a TCP name, for freeaddrinfo(): at least one, NULL for the other
 * kinds. It waits for name servers as long as the system does.
 */
int endpoint_look_up(const struct endpoint *ep, struct addrinfo **list,
		     struct error *err);

/* Connects to a Unix socket; no handshake. Returns a descriptor as above. */
int endpoint_connect_unix(const char *path, deadline_t deadline, struct error *err);

#endif
