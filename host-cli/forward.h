/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets of the host that lead to ports of a guest: each connection to one of them
 * is joined to the guest's port, all in one loop.
 */
#ifndef HOST_CLI_FORWARD_H
#define HOST_CLI_FORWARD_H

#include "port.h"

#define FORWARDS_MAX		16
#define FORWARD_ADDRESSES_MAX	8   /* of a name, each of which is listened on */
#define FORWARD_CONNECTIONS_MAX 256 /* at once; more wait in the sockets' backlogs */

struct forward {
	struct endpoint local; /* ENDPOINT_UNIX or ENDPOINT_TCP */
	uint32_t port;
	int listener[FORWARD_ADDRESSES_MAX];
	size_t listeners;
	bool made; /* the Unix socket's file is ours */
};

/* "tcp:127.0.0.1:2222=22" or "unix:/tmp/ssh.sock=22"; -EINVAL with words. */
int forward_parse(const char *text, struct forward *f, struct error *err);

/*
 * Listens, on every address that the name has. A Unix socket that nobody serves any
 * more is replaced.
 */
int forward_listen(struct forward *f, struct report *r, struct error *err);
/* Closes it, and removes the file. */
void forward_close(struct forward *f);

/*
 * Serves them until SIGINT, SIGTERM or SIGHUP, and then closes what there is. What
 * happens to connections is said on stderr: as JSON with --json, else with -v; what
 * fails always. addresses: the VM's, as endpoint_look_up() gives them.
 */
enum status forward_serve(struct forward *forwards, size_t n, const struct vm *vm,
			  const struct addrinfo *addresses, struct report *r);

#endif
