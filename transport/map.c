/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool address_set_path(struct address *address, const char *path)
{
	struct sockaddr_un *un = &address->of.unix_path;
	size_t len = strlen(path);

	if (!len || len >= sizeof(un->sun_path))
		return false;
	*address = (struct address){.len = sizeof(*un)};
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len);
	return true;
}

void address_prepare(sa_family_t family, int fd)
{
	int on = 1;

	/* Without it small packets wait for the answer to the ones before. */
	if (family == AF_INET || family == AF_INET6)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* All addresses of a name, in the order in which they are to be tried. */
static int resolve(const struct endpoint *ep, struct map *map, struct error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list, *ai;
	int ret = getaddrinfo(ep->host, ep->service, &hints, &list);

	if (ret)
		return error_set(err, -EHOSTUNREACH, "cannot look up %s: %s", ep->host,
				 gai_strerror(ret));
	for (ai = list; ai && map->count < MAP_ADDRESSES_MAX; ai = ai->ai_next) {
		struct address *address = &map->address[map->count];

		if (ai->ai_addrlen > sizeof(address->of))
			continue;
		address->len = ai->ai_addrlen;
		memcpy(&address->of, ai->ai_addr, ai->ai_addrlen);
		map->count++;
	}
	freeaddrinfo(list);
	if (!map->count)
		return error_set(err, -EHOSTUNREACH, "%s has no address", ep->host);
	return 0;
}

static int parse(const char *text, struct map *map, struct error *err)
{
	unsigned long long port;
	struct endpoint ep;
	char *end;
	int ret;

	errno = 0;
	port = strtoull(text, &end, 10);
	/* 2^32 - 1 is VMADDR_PORT_ANY: nobody can have it. */
	if (errno || *text < '0' || *text > '9' || *end != '=' || port >= UINT32_MAX)
		return error_set(err, -EINVAL,
				 "PORT=ADDRESS was expected, with a port from 0 to %u",
				 UINT32_MAX - 1);
	ret = endpoint_parse_address(end + 1, &ep, err);
	if (ret < 0)
		return ret;
	*map = (struct map){.port = (uint32_t)port};
	endpoint_format(&ep, map->text);
	switch (ep.kind) {
	case ENDPOINT_UNIX:
		map->count = 1;
		/* An endpoint's path is a socket's. */
		address_set_path(&map->address[0], ep.path);
		return 0;
	case ENDPOINT_TCP:
		return resolve(&ep, map, err);
	case ENDPOINT_VSOCK:
		break;
	}
	return error_set(err, -EINVAL, "only unix: and tcp: addresses can be mapped");
}

int maps_add(struct maps *maps, const char *text, bool several, struct error *err)
{
	struct map *grown;
	struct map map;
	int ret = parse(text, &map, err);

	if (ret < 0)
		return ret;
	if (!several && maps_find(maps, map.port))
		return error_set(err, -EEXIST, "port %u has an address already",
				 map.port);
	if (maps->count == MAPS_MAX)
		return error_set(err, -ENOSPC, "there may be %d", MAPS_MAX);
	grown = realloc(maps->map, (maps->count + 1) * sizeof(map));
	if (!grown)
		return error_set(err, -ENOMEM, "out of memory");
	grown[maps->count++] = map;
	maps->map = grown;
	return 0;
}

const struct map *maps_find(const struct maps *maps, uint32_t port)
{
	for (size_t i = 0; i < maps->count; i++) {
		if (maps->map[i].port == port)
			return &maps->map[i];
	}
	return NULL;
}

void maps_free(struct maps *maps)
{
	free(maps->map);
	*maps = (struct maps){0};
}
