/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that is measured, with the processes that it started.
 */
#ifndef BENCH_BACKEND_H
#define BENCH_BACKEND_H

#include <stdint.h>
#include <sys/types.h>

struct backend {
	pid_t pid;
	char dir[64]; /* empty: it was there before */
	char vhost_user[108], uds[96];
};

/*
 * Starts a command of the shell in which {vhost-user}, {uds} and {cid} stand for
 * what the back-end is to use. It runs on CPU_BACKEND.
 */
void backend_spawn(struct backend *backend, const char *command);

/* One that runs already, as the options say. */
void backend_use(struct backend *backend);

/* Of one that runs already: who answers at its socket, if no option says. */
void backend_found(struct backend *backend, pid_t pid);

void backend_end(struct backend *backend);

/* CPU time so far, in nanoseconds. */
uint64_t backend_cpu(const struct backend *backend);

/* Proportional set size in bytes, without the guest's memory. */
uint64_t backend_memory(const struct backend *backend);

#endif
