/* SPDX-License-Identifier: Apache-2.0 */
#include "connects.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meter.h"
#include "task.h"

enum {
	AT_ONCE = 32,
};

struct work {
	struct instance *inst;
	unsigned int next; /* index of the next connection */
};

static void run_accepter(struct task *task)
{
	const struct work *work = task->arg;
	char buf[64];

	while (!task_stops(task)) {
		int fd = accept4(work->inst->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			die_errno("cannot accept the guest's connection");
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			;
		close(fd);
	}
}

/* Goes on with each of the connections that are under way. */
static void go_on(struct driver *d, struct task *task, struct work *work,
		  unsigned int *index)
{
	for (unsigned int i = 0; i < AT_ONCE; i++) {
		struct guest_conn *conn = driver_conn(d, DRIVER_PORT + index[i]);

		if (conn->state == GUEST_OPEN)
			driver_close(d, conn);
		if (conn->state != GUEST_CLOSED || task_stops(task))
			continue;
		if (conn->guest_port)
			task_add(task, 1);
		index[i] = work->next++ % DRIVER_CONNS;
		driver_connect(d, DRIVER_PORT + index[i], INSTANCE_PORT);
	}
}

static void run_connecter(struct task *task)
{
	struct work *work = task->arg;
	struct driver *d = &work->inst->driver;
	unsigned int index[AT_ONCE];
	bool busy = true;

	for (unsigned int i = 0; i < AT_ONCE; i++)
		index[i] = work->next++ % DRIVER_CONNS;
	while (busy) {
		go_on(d, task, work, index);
		busy = false;
		for (unsigned int i = 0; i < AT_ONCE; i++)
			busy |= driver_conn(d, DRIVER_PORT + index[i])->state !=
				GUEST_CLOSED;
		if (busy)
			driver_turn(d, false);
	}
	driver_publish(d);
}

static double rate_of(const struct task *task)
{
	uint64_t count, time;

	meter_sleep(task, 0, options.seconds / 5);
	count = task_bytes(task);
	time = now_ns();
	meter_sleep(task, count, options.seconds);
	count = task_bytes(task) - count;
	time = now_ns() - time;
	return (double)count * 1e9 / (double)time;
}

double connects_of_guest(struct instance *inst)
{
	char path[sizeof(inst->backend.uds) + 16];
	struct work work = {.inst = inst};
	struct task guest, host;
	uint64_t refused = inst->driver.refused;
	double rate;

	memset(inst->driver.conn, 0, DRIVER_CONNS * sizeof(*inst->driver.conn));
	task_start(&host, run_accepter, &work, options.cpu[CPU_HOST]);
	task_start(&guest, run_connecter, &work, options.cpu[CPU_DRIVER]);
	rate = rate_of(&guest);
	task_stop(&guest);
	task_join(&guest);
	task_stop(&host);
	/* One more, for the one that waits in accept(). */
	snprintf(path, sizeof(path), "%s_%d", inst->backend.uds, INSTANCE_PORT);
	close(unix_connect(path));
	task_join(&host);
	if (inst->driver.refused != refused)
		die("%llu connections were refused",
		    (unsigned long long)(inst->driver.refused - refused));
	return rate;
}

static void run_driver(struct task *task)
{
	struct work *work = task->arg;

	while (!task_stops(task))
		driver_turn(&work->inst->driver, false);
	driver_publish(&work->inst->driver);
}

static void run_caller(struct task *task)
{
	struct work *work = task->arg;
	char buf[64];

	while (!task_stops(task)) {
		int fd = unix_connect(work->inst->backend.uds);
		unsigned int port = DRIVER_LISTEN_PORT + work->next++ % DRIVER_CONNS;
		int len = snprintf(buf, sizeof(buf), "CONNECT %u\n", port);

		if (send(fd, buf, (size_t)len, MSG_NOSIGNAL) != len)
			die_errno("cannot send the CONNECT line");
		if (recv(fd, buf, sizeof(buf), 0) < 4 || memcmp(buf, "OK ", 3))
			die("the CONNECT line was not answered with OK");
		close(fd);
		task_add(task, 1);
	}
}

/* Connections that the guest still has. */
static bool any_left(const struct driver *d)
{
	for (unsigned int i = 0; i < DRIVER_CONNS; i++) {
		if (d->conn[DRIVER_CONNS + i].state != GUEST_CLOSED)
			return true;
	}
	return false;
}

double connects_of_host(struct instance *inst)
{
	struct work work = {.inst = inst};
	struct task guest, host;
	double rate;

	task_start(&guest, run_driver, &work, options.cpu[CPU_DRIVER]);
	task_start(&host, run_caller, &work, options.cpu[CPU_HOST]);
	rate = rate_of(&host);
	task_stop(&host);
	task_join(&host);
	task_stop(&guest);
	driver_wake(&inst->driver);
	task_join(&guest);
	while (any_left(&inst->driver))
		driver_turn(&inst->driver, false);
	return rate;
}
