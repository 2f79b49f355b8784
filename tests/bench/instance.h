/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back-end, the guest that it has, and the host programs' sockets.
 */
#ifndef BENCH_INSTANCE_H
#define BENCH_INSTANCE_H

#include "backend.h"
#include "driver.h"

enum {
	INSTANCE_PORT = 5000, /* of the host, where a program listens */
};

struct instance {
	struct backend backend;
	struct driver driver;
	int listener; /* where the guest's connections come out */
};

/* command: what to spawn, NULL for the back-end that runs already. */
void instance_open(struct instance *inst, const char *command);
void instance_close(struct instance *inst);

/*
 * A connection that the guest makes; *host_fd is its other end. There may be
 * DRIVER_CONNS of them, each with an index.
 */
struct guest_conn *instance_connect(struct instance *inst, unsigned int index,
				    int *host_fd);

/* Makes count of them from index on, many at a time; how many were not refused. */
unsigned int instance_fill(struct instance *inst, unsigned int index,
			   unsigned int count, int *host_fds);

/* Closes one from the guest's side; waits until the back-end has agreed. */
void instance_disconnect(struct instance *inst, struct guest_conn *conn, int host_fd);

/* A socket that listens at path, or one that is connected to it. */
int unix_listen(const char *path);
int unix_connect(const char *path);

#endif
