/* SPDX-License-Identifier: Apache-2.0 */
/* vsockd as the program that it is: a holder, and the worker that is its child. */
#ifndef FAKE_WORKER_H
#define FAKE_WORKER_H

#include <libgen.h>

#include "fake_guest.h"

/* The holder's one child; 0 when there is none just now. */
static inline pid_t worker_of(const struct guest *g)
{
	pid_t worker = 0;

	assert_true(proc_children(g->pid, &worker, 1) >= 0);
	return worker;
}

static inline void kill_worker(const struct guest *g)
{
	pid_t worker;

	wait_until((worker = worker_of(g)) > 0);
	kill(worker, SIGKILL);
}

static inline void expect_service(struct guest *g)
{
	uint32_t port;
	int fd = join_in(g, 5000, &port);

	part(g, fd, 5000, port);
}

/* The guests to come are served by the program itself, which is beside this one. */
static inline void run_the_program(void)
{
	static char program[4096 + 16];
	ssize_t n = readlink("/proc/self/exe", program, 4095);

	assert_true(n > 0);
	dirname(program);
	strcat(program, "/../../vsockd");
	front_program = program;
}

#endif
