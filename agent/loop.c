// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int agent_loop_init(struct agent_loop *loop, struct error *err)
{
	TAILQ_INIT(&loop->timers);
	loop->stop = false;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return error_set(err, -errno, "epoll_create1: %s", strerror(errno));
	return 0;
}

void agent_loop_free(struct agent_loop *loop)
{
	close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

static int control(struct agent_loop *loop, int op, struct agent_source *source,
		   uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll_fd, op, source->fd, &ev) < 0)
		return -errno;
	source->events = events;
	return 0;
}

int agent_loop_add(struct agent_loop *loop, struct agent_source *source,
		   uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, source, events);
}

void agent_loop_watch(struct agent_loop *loop, struct agent_source *source,
		      uint32_t events)
{
	/* EPOLL_CTL_MOD of a watched descriptor has no way to fail. */
	if (events != source->events)
		control(loop, EPOLL_CTL_MOD, source, events);
}

void agent_loop_remove(struct agent_loop *loop, struct agent_source *source)
{
	control(loop, EPOLL_CTL_DEL, source, 0);
}

void agent_loop_arm(struct agent_loop *loop, struct agent_timer *timer, deadline_t at)
{
	struct agent_timer *other;

	agent_loop_disarm(loop, timer);
	timer->at = at;
	timer->armed = true;
	for (other = TAILQ_FIRST(&loop->timers); other;
	     other = TAILQ_NEXT(other, link)) {
		if (other->at > at) {
			TAILQ_INSERT_BEFORE(other, timer, link);
			return;
		}
	}
	TAILQ_INSERT_TAIL(&loop->timers, timer, link);
}

void agent_loop_disarm(struct agent_loop *loop, struct agent_timer *timer)
{
	if (!timer->armed)
		return;
	TAILQ_REMOVE(&loop->timers, timer, link);
	timer->armed = false;
}

static void fire_timers(struct agent_loop *loop)
{
	deadline_t now = deadline_after_ms(0);
	struct agent_timer *timer;

	/* One that is armed anew for at once waits until the descriptors had theirs. */
	while ((timer = TAILQ_FIRST(&loop->timers)) && timer->at <= now) {
		agent_loop_disarm(loop, timer);
		timer->fire(timer);
	}
}

int agent_loop_run(struct agent_loop *loop, struct error *err)
{
	while (!loop->stop) {
		struct agent_timer *timer = TAILQ_FIRST(&loop->timers);
		struct agent_source *source;
		struct epoll_event ev;
		int n;

		/*
		 * One event at a time: with a batch, a callback could free the
		 * source of an event that is still to come.
		 */
		n = epoll_wait(loop->epoll_fd, &ev, 1,
			       timer ? deadline_left_ms(timer->at) : -1);
		if (n < 0 && errno != EINTR)
			return error_set(err, -errno, "epoll_wait: %s",
					 strerror(errno));
		if (n > 0) {
			source = ev.data.ptr;
			source->ready(source, ev.events);
		}
		fire_timers(loop);
	}
	return 0;
}

void agent_loop_stop(struct agent_loop *loop)
{
	loop->stop = true;
}
