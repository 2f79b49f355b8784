/* SPDX-License-Identifier: Apache-2.0 */
#include "ceiling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "instance.h"
#include "meter.h"
#include "stream.h"

static uint64_t time_of(const void *task)
{
	return task_cpu(task);
}

struct sample ceiling_flow(bool to_host, uint32_t size)
{
	struct stream writer = {.size = size};
	struct stream reader = {
		.size = to_host ? STREAM_HOST_PIECE : STREAM_GUEST_PIECE,
		.pieces = to_host ? STREAM_HOST_PIECES : STREAM_GUEST_PIECES};
	struct sample sample;
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		die_errno("cannot make a socket pair");
	writer.fd = fd[0];
	reader.fd = fd[1];
	stream_read(&reader, options.cpu[to_host ? CPU_HOST : CPU_BACKEND]);
	stream_write(&writer, options.cpu[to_host ? CPU_BACKEND : CPU_HOST]);
	sample =
		meter_run(&reader.task, time_of, to_host ? &writer.task : &reader.task);
	task_stop(&writer.task);
	task_join(&writer.task);
	close(fd[0]);
	task_join(&reader.task);
	close(fd[1]);
	return sample;
}

/* The three parts of a round trip. */
struct relay {
	int to_middle, from_middle; /* eventfds */
	int middle, host;	    /* the two ends of a socket pair */
	uint64_t sent, returned;    /* in memory, when all of them spin */
	bool spin;
};

static void run_middle(struct task *task)
{
	struct relay *r = task->arg;
	char buf[LATENCY_SIZE];
	uint64_t count, seen = 0;

	while (!task_stops(task)) {
		if (r->spin) {
			if (__atomic_load_n(&r->sent, __ATOMIC_ACQUIRE) == seen)
				continue;
			seen++;
		} else if (read(r->to_middle, &count, sizeof(count)) < 0) {
			break;
		}
		if (task_stops(task) || send(r->middle, buf, sizeof(buf), 0) < 0)
			break;
		while (recv(r->middle, buf, sizeof(buf), r->spin ? MSG_DONTWAIT : 0) <
		       0)
			;
		count = 1;
		if (r->spin)
			__atomic_store_n(&r->returned, seen, __ATOMIC_RELEASE);
		else if (write(r->from_middle, &count, sizeof(count)) < 0)
			break;
	}
}

static void trip(struct relay *r)
{
	char buf[LATENCY_SIZE];
	uint64_t count = 1;

	if (!r->spin) {
		if (write(r->to_middle, &count, sizeof(count)) < 0 ||
		    read(r->from_middle, &count, sizeof(count)) < 0)
			die_errno("cannot use an eventfd");
		return;
	}
	__atomic_store_n(&r->sent, r->sent + 1, __ATOMIC_RELEASE);
	while (recv(r->host, buf, sizeof(buf), MSG_DONTWAIT) < 0)
		;
	if (send(r->host, buf, sizeof(buf), 0) < 0)
		die_errno("cannot write to a socket pair");
	while (__atomic_load_n(&r->returned, __ATOMIC_ACQUIRE) != r->sent)
		;
}

struct trips {
	struct relay *relay;
	struct latencies *to;
};

static void run_trips(struct task *task)
{
	struct trips *trips = task->arg;
	uint64_t end = now_ns() + (uint64_t)(options.seconds * 1e9), begin;

	while ((begin = now_ns()) < end) {
		trip(trips->relay);
		latency_add(trips->to, now_ns() - begin);
	}
}

void ceiling_round_trips(struct latencies *to, bool spin)
{
	struct relay r = {.spin = spin};
	struct trips trips = {&r, to};
	struct task first, middle, host;
	uint64_t one = 1;
	int fd[2];

	r.to_middle = eventfd(0, EFD_CLOEXEC);
	r.from_middle = eventfd(0, EFD_CLOEXEC);
	if (r.to_middle < 0 || r.from_middle < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		die_errno("cannot make eventfds and a socket pair");
	r.middle = fd[0];
	r.host = fd[1];
	task_start(&middle, run_middle, &r, options.cpu[CPU_BACKEND]);
	if (!spin)
		task_start(&host, latency_echo, &r.host, options.cpu[CPU_HOST]);
	task_start(&first, run_trips, &trips,
		   options.cpu[spin ? CPU_HOST : CPU_DRIVER]);
	task_join(&first);
	task_stop(&middle);
	if (write(r.to_middle, &one, sizeof(one)) < 0)
		die_errno("cannot use an eventfd");
	task_join(&middle);
	shutdown(r.host, SHUT_RDWR);
	if (!spin)
		task_join(&host);
	close(r.middle);
	close(r.host);
	close(r.to_middle);
	close(r.from_middle);
}

/* A server, in the back-end's place for the host's connections. */
struct server {
	int fd;
	bool line;
};

static void run_server(struct task *task)
{
	const struct server *server = task->arg;
	char buf[64];

	while (!task_stops(task)) {
		int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			break;
		if (server->line && recv(fd, buf, sizeof(buf), 0) > 0)
			send(fd, "OK 1\n", 5, MSG_NOSIGNAL);
		while (recv(fd, buf, sizeof(buf), 0) > 0)
			;
		close(fd);
		task_add(task, 1);
	}
}

struct client {
	const char *path;
	bool line;
};

static void run_client(struct task *task)
{
	const struct client *client = task->arg;
	char buf[64];

	while (!task_stops(task)) {
		int fd = unix_connect(client->path);

		if (client->line && send(fd, "CONNECT 5000\n", 13, 0) > 0)
			while (recv(fd, buf, sizeof(buf), 0) < 0)
				;
		close(fd);
	}
}

double ceiling_connects(bool line)
{
	char dir[] = "/tmp/vsock-ring-XXXXXX", path[sizeof(dir) + 8];
	struct client client = {path, line};
	struct server server = {.line = line};
	struct task serving, asking;
	uint64_t count, time;

	if (!mkdtemp(dir))
		die_errno("cannot make %s", dir);
	snprintf(path, sizeof(path), "%s/s", dir);
	server.fd = unix_listen(path);
	task_start(&serving, run_server, &server,
		   options.cpu[line ? CPU_BACKEND : CPU_HOST]);
	task_start(&asking, run_client, &client,
		   options.cpu[line ? CPU_HOST : CPU_BACKEND]);
	count = task_bytes(&serving);
	time = now_ns();
	meter_sleep(&serving, count, options.seconds);
	count = task_bytes(&serving) - count;
	time = now_ns() - time;
	task_stop(&asking);
	task_join(&asking);
	task_stop(&serving);
	shutdown(server.fd, SHUT_RDWR);
	task_join(&serving);
	close(server.fd);
	unlink(path);
	rmdir(dir);
	return (double)count * 1e9 / (double)time;
}
