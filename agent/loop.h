/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: descriptors through epoll, and timers. Everything the agent
 * does happens in a callback from here; nothing called from here may block.
 */
#ifndef AGENT_LOOP_H
#define AGENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "error.h"
#include "io.h"

#define agent_container(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A watched descriptor, embedded in what it belongs to. */
struct agent_source {
	int fd;		 /* owned by whom it belongs to */
	uint32_t events; /* those being waited for; EPOLLERR and EPOLLHUP always are */
	void (*ready)(struct agent_source *source, uint32_t events);
};

/* A point in time, embedded likewise. All zero is a timer that is not armed. */
struct agent_timer {
	TAILQ_ENTRY(agent_timer) link;
	bool armed;
	deadline_t at;
	void (*fire)(struct agent_timer *timer);
};

struct agent_loop {
	int epoll_fd;
	bool stop;
	TAILQ_HEAD(agent_timer_list, agent_timer) timers; /* the earliest first */
};

int agent_loop_init(struct agent_loop *loop, struct error *err);
/* Sources and timers must be gone by then. */
void agent_loop_free(struct agent_loop *loop);

/* Starts to watch, with level-triggered epoll events. Negative errno. */
int agent_loop_add(struct agent_loop *loop, struct agent_source *source,
		   uint32_t events);
/* Watches for other events from now on; cheap when they are the same. */
void agent_loop_watch(struct agent_loop *loop, struct agent_source *source,
		      uint32_t events);
/*
 * Ends the watch; to be called before the descriptor is closed. The source may
 * be freed at once, also by its own callback.
 */
void agent_loop_remove(struct agent_loop *loop, struct agent_source *source);

/* (Re-)arms a timer, which fires once. */
void agent_loop_arm(struct agent_loop *loop, struct agent_timer *timer, deadline_t at);
void agent_loop_disarm(struct agent_loop *loop, struct agent_timer *timer);

/* Runs until a callback calls agent_loop_stop(). Negative errno. */
int agent_loop_run(struct agent_loop *loop, struct error *err);
void agent_loop_stop(struct agent_loop *loop);

#endif
