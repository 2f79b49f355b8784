/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Unix socket that listens at a path of its own.
 */
#ifndef TRANSPORT_LISTENER_H
#define TRANSPORT_LISTENER_H

#include <sys/types.h>

#include "error.h"

struct listener {
	int fd;		  /* non-blocking; -1: closed */
	int spare_fd;	  /* given up to turn one away when there are no descriptors */
	const char *path; /* the caller's */
	dev_t dev;	  /* what was made at path */
	ino_t ino;
};

/*
 * Makes the socket, mode 0600. One that is there already and that nobody listens
 * on any more, as a killed process leaves it, is replaced; anything else that is
 * there is left alone: -EADDRINUSE, -EEXIST. Other negative errno as they come.
 */
int listener_open(struct listener *listener, const char *path, struct error *err);

/* Closes it and removes the path, if it is still the one that was made. */
void listener_close(struct listener *listener);

/*
 * A client's non-blocking socket, -EAGAIN when none waits, -ECONNABORTED when one
 * was lost or turned away for want of a descriptor (there may be more), or
 * another negative errno: a shortage that it is no use to try again at once.
 */
int listener_accept(struct listener *listener);

#endif
