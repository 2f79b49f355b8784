/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, for those who ask how the device does. A client sends one
 * request, a line, gets one answer (answer.h), and the connection is closed.
 *
 * Clients are few at a time, and none is waited for: one that dawdles is cut off,
 * and what it has not read waits unwritten. The answers' last lines tell those that
 * are whole from those that were cut.
 */
#ifndef TRANSPORT_CONTROL_H
#define TRANSPORT_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "answer.h"
#include "device.h"
#include "error.h"
#include "listener.h"
#include "loop.h"

/* What a listening socket that a service manager passes along is called. */
#define CONTROL_NAME "control"

enum {
	CONTROL_CLIENTS_MAX = 8, /* at once; more wait */
	CONTROL_LINE_MAX = 32,
	CONTROL_PIECE = 8192, /* bytes that are written at once */
	/* Milliseconds. */
	CONTROL_LINE_TIMEOUT = 5000,
	CONTROL_STALL_TIMEOUT = 10000,	 /* in which some of it has to be read, */
	CONTROL_ANSWER_TIMEOUT = 120000, /* and all of it */
};

struct control_client {
	int fd; /* -1: there is none */
	uint32_t id;
	uint64_t deadline, give_up; /* loop_now(): for the next step, and for all */
	bool answering;
	struct answer answer;
	size_t start, len; /* of buf: what has come, or is yet to be sent */
	char *buf;	   /* of CONTROL_PIECE bytes, the control's */
};

struct control {
	struct loop *loop;
	struct listener listener;
	bool full; /* there is no room for one more: the listener is not watched */
	uint64_t began;
	uint32_t next_id;
	int clients; /* that there are */
	struct control_client client[CONTROL_CLIENTS_MAX];
	char piece[CONTROL_CLIENTS_MAX][CONTROL_PIECE]; /* touched when needed */
};

/* Of memory that is all zero: closed; control_close() may be called. */
void control_init(struct control *control);

/*
 * Listens at the path, or, where that is NULL, on the socket that came with this
 * process for it, or not at all. Negative errno.
 */
int control_open(struct control *control, const char *path, struct loop *loop,
		 struct error *err);
void control_close(struct control *control);
/* Leaves the socket open for the next process. */
void control_leave(struct control *control);

/* LOOP_CONTROL and LOOP_CONTROL_CLIENT. */
void control_accept(struct control *control, const struct device *dev);
void control_on_client(struct control *control, uint32_t id, const struct device *dev);

/* Cuts off who dawdles, and lets in who waited. */
void control_run(struct control *control, uint64_t now);
/* Milliseconds until control_run() has something to do; -1: never. */
int control_timeout(const struct control *control, uint64_t now);

#endif
