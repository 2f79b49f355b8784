/* SPDX-License-Identifier: Apache-2.0 */
#include "flow.h"

#include <sys/socket.h>
#include <unistd.h>

/* The guest's program and its driver: writes messages, in packets as credit allows. */
static void run_sender(struct task *task)
{
	struct flow *flow = task->arg;
	struct driver *d = &flow->inst->driver;
	uint32_t left = flow->size;

	while (!task_stops(task)) {
		bool some = driver_poll(d);

		for (;;) {
			uint32_t len = driver_may_send(flow->conn);

			if (len > left)
				len = left;
			if (!len || !driver_send(d, flow->conn, len))
				break;
			left = len < left ? left - len : flow->size;
			some = true;
		}
		driver_publish(d);
		if (!some && !task_stops(task))
			driver_wait(d);
	}
}

static void run_receiver(struct task *task)
{
	struct flow *flow = task->arg;
	struct driver *d = &flow->inst->driver;

	while (!task_stops(task)) {
		uint64_t before = flow->conn->received;

		driver_turn(d, false);
		task_add(task, flow->conn->received - before);
	}
	driver_publish(d);
}

static uint64_t backend_time(const void *arg)
{
	return backend_cpu(arg);
}

void flow_open(struct flow *flow, struct instance *inst, bool to_host, uint32_t size)
{
	*flow = (struct flow){.inst = inst, .to_host = to_host, .size = size};
	flow->conn = instance_connect(inst, 0, &flow->host.fd);
	flow->host.verify = options.quick;
	if (to_host) {
		flow->host.size = STREAM_HOST_PIECE;
		flow->host.pieces = STREAM_HOST_PIECES;
		stream_read(&flow->host, options.cpu[CPU_HOST]);
	} else {
		flow->host.size = size;
	}
}

static void stop_driver(struct flow *flow)
{
	task_stop(&flow->driver);
	driver_wake(&flow->inst->driver);
	task_join(&flow->driver);
}

static struct sample send_round(struct flow *flow)
{
	struct sample sample;

	task_start(&flow->driver, run_sender, flow, options.cpu[CPU_DRIVER]);
	sample = meter_run(&flow->host.task, backend_time, &flow->inst->backend);
	stop_driver(flow);
	while (task_bytes(&flow->host.task) < flow->conn->sent)
		usleep(100);
	return sample;
}

static struct sample receive_round(struct flow *flow)
{
	uint64_t before = flow->conn->received;
	struct sample sample;

	task_start(&flow->driver, run_receiver, flow, options.cpu[CPU_DRIVER]);
	flow->host.at = flow->host_sent;
	stream_write(&flow->host, options.cpu[CPU_HOST]);
	sample = meter_run(&flow->driver, backend_time, &flow->inst->backend);
	task_stop(&flow->host.task);
	task_join(&flow->host.task);
	flow->host_sent += task_bytes(&flow->host.task);
	while (before + task_bytes(&flow->driver) < flow->host_sent)
		usleep(100);
	stop_driver(flow);
	return sample;
}

struct sample flow_round(struct flow *flow)
{
	return flow->to_host ? send_round(flow) : receive_round(flow);
}

void flow_close(struct flow *flow)
{
	/* Its reader sees the end of the stream, which is how it ends. */
	driver_close(&flow->inst->driver, flow->conn);
	while (flow->conn->state != GUEST_CLOSED)
		driver_turn(&flow->inst->driver, false);
	driver_publish(&flow->inst->driver);
	if (flow->to_host)
		task_join(&flow->host.task);
	close(flow->host.fd);
}
