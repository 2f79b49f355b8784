/* SPDX-License-Identifier: Apache-2.0 */
#include "task.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include "bench.h"

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void sleep_seconds(double seconds)
{
	struct timespec t = {(time_t)seconds,
			     (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

void task_pin(int cpu)
{
	cpu_set_t set;

	if (cpu == NOT_PINNED)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die_errno("cannot run on CPU %d", cpu);
}

static void *run(void *arg)
{
	struct task *task = arg;

	task_pin(task->cpu);
	task->run(task);
	return NULL;
}

void task_start(struct task *task, void (*fn)(struct task *), void *arg, int cpu)
{
	int err;

	*task = (struct task){.run = fn, .arg = arg, .cpu = cpu};
	err = pthread_create(&task->thread, NULL, run, task);
	if (err)
		die("cannot start a thread: %s", strerror(err));
}

void task_join(struct task *task)
{
	pthread_join(task->thread, NULL);
}

void task_stop(struct task *task)
{
	__atomic_store_n(&task->stop, true, __ATOMIC_RELEASE);
}

bool task_stops(const struct task *task)
{
	return __atomic_load_n(&task->stop, __ATOMIC_ACQUIRE);
}

void task_add(struct task *task, uint64_t bytes)
{
	__atomic_store_n(&task->bytes, task->bytes + bytes, __ATOMIC_RELEASE);
}

uint64_t task_bytes(const struct task *task)
{
	return __atomic_load_n(&task->bytes, __ATOMIC_ACQUIRE);
}

uint64_t task_cpu(const struct task *task)
{
	struct timespec t;
	clockid_t clock;

	if (pthread_getcpuclockid(task->thread, &clock) || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
