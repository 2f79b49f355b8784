/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors that outlive this process, by name: those that came with it
 * (LISTEN_FDS: sockets that the service manager listens on, and what an earlier
 * process had put into the store) and those that it puts there. Without a
 * supervisor nothing is kept, and that is no error.
 */
#ifndef TRANSPORT_STORE_H
#define TRANSPORT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
	STORE_MAX = 1024, /* descriptors that may come */
	STORE_NAME_MAX = 64,
};

/* Takes what came. Their environment variables are removed. */
void store_init(void);

/*
 * The descriptor of that name that came, now the caller's; -1 when none did. A
 * copy stays in the store until store_drop().
 */
int store_take(const char *name);

/*
 * The same for a socket that listens at this address, whatever its name. *ours: an
 * earlier process had made it, with store_put_listener().
 */
int store_take_listener(const struct sockaddr *addr, socklen_t len, int type,
			bool *ours);
bool store_put_listener(const struct sockaddr *addr, socklen_t len, int type, int fd);

/* Hands a copy of fd over; name is free. False when it did not arrive. */
bool store_put(const char *name, int fd);
void store_drop(const char *name);

/* Drops those that came with a name that begins so and were not taken. */
void store_drop_rest(const char *prefix);
/* Closes all others: nobody has a use for them. */
void store_close_rest(void);

#endif
