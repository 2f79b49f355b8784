/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket that listens: a Unix one at a path of its own, or a TCP one.
 */
#ifndef TRANSPORT_LISTENER_H
#define TRANSPORT_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "map.h"
#include "error.h"
#include "loop.h"

struct listener {
	int fd;	      /* non-blocking; -1: closed */
	int spare_fd; /* given up to turn one away when there are no descriptors */
	sa_family_t family;
	char name[ENDPOINT_TEXT_MAX]; /* the path, or an address for the log */
	dev_t dev;		      /* what was made at that path */
	ino_t ino;
	bool foreign; /* the service manager's, who made it and will remove it */

	struct loop *loop; /* which watches it, but for a rest now and then */
	enum loop_type type;
	uint32_t id;
	uint64_t rests_until; /* loop_now(); 0: it does not rest */
};

/* What a shortage, which stays reported, is worth: not to spin, look later. */
enum {
	LISTENER_REST_MS = 100,
};

/*
 * Takes the socket that came with this process (store.h), or makes it, mode 0600,
 * and puts it into the store. One that is there already and that nobody listens
 * on any more, as a killed process leaves it, is replaced; anything else that is
 * there is left alone: -EADDRINUSE, -EEXIST. Other negative errno as they come.
 */
int listener_open(struct listener *listener, const char *path, struct error *err);
/* The same; type is SOCK_STREAM, as above, or SOCK_SEQPACKET. */
int listener_open_unix(struct listener *listener, const char *path, int type,
		       struct error *err);
/* Listens on a TCP address, whose name is for the log. Negative errno. */
int listener_open_tcp(struct listener *listener, const struct address *address,
		      const char *name, struct error *err);

/*
 * Takes the Unix stream socket that listens and came with this process under that
 * name, wherever it listens. False when there is none.
 */
bool listener_take(struct listener *listener, const char *name);

/* Has it watched for clients, as that type and id. Negative errno. */
int listener_watch(struct listener *listener, struct loop *loop, enum loop_type type,
		   uint32_t id, struct error *err);
/* Who comes in the next ms waits in the socket's queue, and is not reported. */
void listener_rest(struct listener *listener, int ms);
/* Watches it again when its rest is over. Negative errno. */
int listener_run(struct listener *listener, struct error *err);
/* Milliseconds until listener_run() has something to do; -1: never. */
int listener_timeout(const struct listener *listener);

/* Closes it and removes the path, if it is still the one that was made. */
void listener_close(struct listener *listener);

/* Closes it and leaves the path to the next process. */
void listener_leave(struct listener *listener);

/*
 * A client's non-blocking socket, -EAGAIN when none waits, -ECONNABORTED when one
 * was lost or turned away for want of a descriptor (there may be more), or
 * another negative errno: a shortage that it is no use to try again at once; it was
 * logged, and listener_rest() begun.
 */
int listener_accept(struct listener *listener);

#endif
