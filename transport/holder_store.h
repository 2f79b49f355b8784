/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The holder's store: descriptors with names, as a worker's messages ask for it.
 */
#ifndef TRANSPORT_HOLDER_STORE_H
#define TRANSPORT_HOLDER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "store.h"

struct holding {
	int fd;
	char name[STORE_NAME_MAX];
};

struct holder_store {
	struct holding *holding;
	size_t count, max;
};

/* What a message was about besides the store. */
enum holder_news {
	HOLDER_NOTHING, /* there is none yet */
	HOLDER_HEARD,
	HOLDER_READY, /* READY=1 */
	HOLDER_CLOSED,
};

/* What this process itself was given (LISTEN_FDS) is there from the beginning. */
void holder_store_init(struct holder_store *store);

/* One message from the worker's end of the socket. */
enum holder_news holder_store_read(struct holder_store *store, int socket);

/*
 * In the child: puts copies of all of them, and of socket behind them, where a worker
 * looks for them, and says so in the environment. 0 or a negative errno.
 */
int holder_store_hand_over(const struct holder_store *store, int socket);

#endif
