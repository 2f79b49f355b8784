/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll with a typed reference in place of a pointer: what an event is for is a
 * type and a number, so an event that is out of date names something that is
 * not there any more, never memory that was freed.
 */
#ifndef TRANSPORT_LOOP_H
#define TRANSPORT_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

enum loop_type {
	LOOP_SIGNAL,	     /* signalfd */
	LOOP_FRONT_LISTENER, /* where QEMU connects */
	LOOP_FRONT,	     /* vhost-user messages */
	LOOP_KICK,	     /* id: ring index */
	LOOP_DOOR,	     /* id: number of the door */
	LOOP_CONN,	     /* id: that of the connection */
	LOOP_CONTROL,	     /* where those connect who ask how it goes */
	LOOP_CONTROL_CLIENT, /* id: that of the client */
	LOOP_TYPES,
};

struct loop_event {
	enum loop_type type;
	uint32_t id;
	uint32_t events; /* EPOLL* */
};

struct loop {
	int epoll_fd;
};

enum {
	LOOP_EVENTS_MAX = 64
};

/* Negative errno. */
int loop_init(struct loop *loop);
void loop_free(struct loop *loop);

/* Negative errno. fd stays the caller's, who takes it out before closing it. */
int loop_add(struct loop *loop, int fd, uint32_t events, enum loop_type type,
	     uint32_t id);

/* Changes what is waited for; what is the case already is reported again. */
int loop_change(struct loop *loop, int fd, uint32_t events, enum loop_type type,
		uint32_t id);

/*
 * Closing a descriptor is not enough where somebody else holds it too, as QEMU
 * does the kick descriptors: epoll would go on reporting it.
 */
void loop_remove(struct loop *loop, int fd);

/*
 * Waits at most timeout_ms (-1: for ever). The number of events, 0 also after a
 * signal; negative errno.
 */
int loop_wait(struct loop *loop, struct loop_event events[static LOOP_EVENTS_MAX],
	      int timeout_ms);

/* Milliseconds of the monotonic clock; never 0. */
uint64_t loop_now(void);
/* Microseconds of it. */
uint64_t loop_now_us(void);

/* The earlier of two timeouts, of which -1 is never. */
int loop_sooner(int a, int b);

#endif
