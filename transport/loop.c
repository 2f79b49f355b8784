/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"
#include "sandbox_calls.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

SANDBOX_CALLS("clock_gettime", "close", "epoll_ctl", "epoll_wait", "epoll_pwait");

int loop_init(struct loop *loop)
{
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_free(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

static int control(struct loop *loop, int op, int fd, uint32_t events,
		   enum loop_type type, uint32_t id)
{
	struct epoll_event ev = {
		.events = events,
		.data.u64 = (uint64_t)type << 32 | id,
	};

	return epoll_ctl(loop->epoll_fd, op, fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, enum loop_type type,
	     uint32_t id)
{
	return control(loop, EPOLL_CTL_ADD, fd, events, type, id);
}

int loop_change(struct loop *loop, int fd, uint32_t events, enum loop_type type,
		uint32_t id)
{
	return control(loop, EPOLL_CTL_MOD, fd, events, type, id);
}

void loop_remove(struct loop *loop, int fd)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int loop_wait(struct loop *loop, struct loop_event events[static LOOP_EVENTS_MAX],
	      int timeout_ms)
{
	struct epoll_event raw[LOOP_EVENTS_MAX];
	int n;

	n = epoll_wait(loop->epoll_fd, raw, LOOP_EVENTS_MAX, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		events[i].type = (enum loop_type)(raw[i].data.u64 >> 32);
		events[i].id = (uint32_t)raw[i].data.u64;
		events[i].events = raw[i].events;
	}
	return n;
}

uint64_t loop_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t loop_now(void)
{
	return loop_now_us() / 1000 + 1;
}

int loop_sooner(int a, int b)
{
	if (a < 0 || (b >= 0 && b < a))
		return b;
	return a;
}
