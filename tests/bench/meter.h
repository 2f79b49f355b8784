/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a round of a stream came to.
 */
#ifndef BENCH_METER_H
#define BENCH_METER_H

#include "task.h"

struct sample {
	double rate; /* bytes a second */
	double cpu;  /* seconds of CPU time for each GiB */
};

/*
 * Watches the bytes of a task for options.seconds, when it is up to speed, and the
 * CPU time that cpu(arg) tells, in nanoseconds.
 */
struct sample meter_run(const struct task *task, uint64_t (*cpu)(const void *),
			const void *arg);

/*
 * Sleeps for that many seconds, and goes on for as long as the task has counted nothing
 * beyond `from`, as on a busy machine it may for a while; at most a minute.
 */
void meter_sleep(const struct task *task, uint64_t from, double seconds);

#endif
