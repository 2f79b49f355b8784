/* SPDX-License-Identifier: Apache-2.0 */
#include "latency.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void latency_add(struct latencies *l, uint64_t ns)
{
	if (l->count == l->room) {
		l->room = l->room ? l->room * 2 : 1 << 16;
		l->ns = realloc(l->ns, l->room * sizeof(*l->ns));
		if (!l->ns)
			die("out of memory");
	}
	l->ns[l->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

double latency_percentile(struct latencies *l, double p)
{
	if (!l->count)
		die("not a single round trip was made");
	qsort(l->ns, l->count, sizeof(*l->ns), compare);
	return l->ns[(size_t)((double)(l->count - 1) * p / 100)];
}

void latency_free(struct latencies *l)
{
	free(l->ns);
	*l = (struct latencies){0};
}

void latency_echo(struct task *task)
{
	int fd = *(const int *)task->arg;
	char buf[LATENCY_SIZE];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		if (send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n)
			die_errno("cannot write to a connection");
	}
}

struct trips {
	struct instance *inst;
	struct guest_conn *conn;
	struct latencies *to;
	int host_fd;
	bool spin;
};

static void echo_spinning(int fd)
{
	char buf[LATENCY_SIZE];
	size_t done = 0;
	ssize_t n;

	while (done < sizeof(buf)) {
		n = recv(fd, buf + done, sizeof(buf) - done, MSG_DONTWAIT);
		if (n > 0)
			done += (size_t)n;
	}
	if (send(fd, buf, sizeof(buf), MSG_NOSIGNAL) != sizeof(buf))
		die_errno("cannot write to a connection");
}

static void trip(struct trips *t)
{
	struct driver *d = &t->inst->driver;
	uint64_t wanted = t->conn->received + LATENCY_SIZE;

	while (driver_may_send(t->conn) < LATENCY_SIZE ||
	       !driver_send(d, t->conn, LATENCY_SIZE))
		driver_turn(d, t->spin);
	driver_publish(d);
	if (t->spin)
		echo_spinning(t->host_fd);
	while (t->conn->received < wanted) {
		if (driver_poll(d)) {
			if (t->conn->received < wanted)
				driver_publish(d);
		} else if (!t->spin) {
			driver_wait(d);
		}
	}
}

static void run_trips(struct task *task)
{
	struct trips *t = task->arg;
	uint64_t end = now_ns() + (uint64_t)(options.seconds * 1e9), begin;

	do {
		begin = now_ns();
		trip(t);
		latency_add(t->to, now_ns() - begin);
	} while (now_ns() < end);
	driver_publish(&t->inst->driver);
}

void latency_round_trips(struct latencies *to, struct instance *inst, bool spin)
{
	struct trips t = {.inst = inst, .to = to, .spin = spin};
	struct task guest, host;

	t.conn = instance_connect(inst, 0, &t.host_fd);
	/* What comes back is what was sent; the streams' patterns are the same. */
	if (!spin)
		task_start(&host, latency_echo, &t.host_fd, options.cpu[CPU_HOST]);
	task_start(&guest, run_trips, &t, options.cpu[spin ? CPU_HOST : CPU_DRIVER]);
	task_join(&guest);
	driver_close(&inst->driver, t.conn);
	while (t.conn->state != GUEST_CLOSED)
		driver_turn(&inst->driver, false);
	driver_publish(&inst->driver);
	if (!spin)
		task_join(&host);
	close(t.host_fd);
}
