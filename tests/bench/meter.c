/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include "bench.h"

enum {
	PATIENCE = 60 /* seconds */
};

void meter_sleep(const struct task *task, uint64_t from, double seconds)
{
	uint64_t begin = now_ns();

	do
		sleep_seconds(seconds);
	while (task_bytes(task) == from && now_ns() - begin < PATIENCE * 1000000000ULL);
}

struct sample meter_run(const struct task *task, uint64_t (*cpu)(const void *),
			const void *arg)
{
	uint64_t bytes, time, spent;

	meter_sleep(task, 0, options.seconds / 5);
	bytes = task_bytes(task);
	spent = cpu(arg);
	time = now_ns();
	meter_sleep(task, bytes, options.seconds);
	time = now_ns() - time;
	spent = cpu(arg) - spent;
	bytes = task_bytes(task) - bytes;
	if (!bytes)
		die("not a single byte arrived in %.3f s", (double)time / 1e9);
	return (struct sample){.rate = (double)bytes * 1e9 / (double)time,
			       .cpu = (double)spent / 1e9 /
				      ((double)bytes / (double)(1 << 30))};
}
