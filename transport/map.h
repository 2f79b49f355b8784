/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports that lead somewhere of their own: "PORT=ADDRESS", as --listen and
 * --connect take it. Names are resolved here, once, and never later.
 */
#ifndef TRANSPORT_MAP_H
#define TRANSPORT_MAP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "endpoint.h"
#include "error.h"

enum {
	MAP_ADDRESSES_MAX = 4, /* that one name may have */
	MAPS_MAX = 64,
};

/* A socket's address, whatever its family. */
struct address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_un unix_path;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} of;
};

struct map {
	uint32_t port; /* the guest's, or the guest's peer's */
	char text[ENDPOINT_TEXT_MAX];
	size_t count;
	struct address address[MAP_ADDRESSES_MAX];
};

struct maps {
	struct map *map; /* owned */
	size_t count;
};

/*
 * Adds what "PORT=ADDRESS" says, where ADDRESS is unix:PATH or tcp:HOST:PORT.
 * several allows a port to be there already. Negative errno.
 */
int maps_add(struct maps *maps, const char *text, bool several, struct error *err);
/* NULL when the port has none. */
const struct map *maps_find(const struct maps *maps, uint32_t port);
void maps_free(struct maps *maps);

/* Puts a path into an address; false when it is too long. */
bool address_set_path(struct address *address, const char *path);

/* Of a TCP socket: what is written goes out at once, as the guest sent it. */
void address_prepare(sa_family_t family, int fd);

#endif
