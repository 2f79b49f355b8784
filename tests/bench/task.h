/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that are pinned to a CPU, and what is known of them from outside.
 */
#ifndef BENCH_TASK_H
#define BENCH_TASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct task {
	pthread_t thread;
	void (*run)(struct task *task);
	void *arg;
	int cpu;
	bool stop;	/* asked to end, see task_stops() */
	uint64_t bytes; /* done so far, see task_bytes() */
};

void task_start(struct task *task, void (*run)(struct task *), void *arg, int cpu);
void task_join(struct task *task);

/* Asks it to end. */
void task_stop(struct task *task);
bool task_stops(const struct task *task);

/* For the task itself, and for others. */
void task_add(struct task *task, uint64_t bytes);
uint64_t task_bytes(const struct task *task);
/* CPU time so far of one that runs, in nanoseconds. */
uint64_t task_cpu(const struct task *task);

/* The calling thread to a CPU, unless that is NOT_PINNED. */
void task_pin(int cpu);

uint64_t now_ns(void);
void sleep_seconds(double seconds);

#endif
