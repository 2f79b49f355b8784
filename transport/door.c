/* SPDX-License-Identifier: Apache-2.0 */
#include "door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "incoming.h"
#include "log.h"

enum {
	ACCEPTS = 32, /* in one turn */
	RETRY_MS = 100,
};

static struct door *next_door(struct doors *doors, enum conn_origin origin,
			      uint16_t type)
{
	struct door *door = &doors->door[doors->count++];

	*door = (struct door){.origin = origin, .type = type};
	return door;
}

static int watch(struct doors *doors, const struct door *door, struct error *err)
{
	int ret = loop_add(doors->loop, door->listener.fd, EPOLLIN, LOOP_DOOR,
			   (uint32_t)(door - doors->door));

	if (ret < 0)
		return error_set(err, ret, "cannot watch %s: %s", door->listener.name,
				 strerror(-ret));
	return 0;
}

static int open_unix(struct doors *doors, enum conn_origin origin, uint16_t type,
		     const char *path, struct error *err)
{
	struct door *door = next_door(doors, origin, type);
	int ret = listener_open_unix(
		&door->listener, path,
		type == PACKET_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM, err);

	return ret < 0 ? ret : watch(doors, door, err);
}

/* One for streams and one for messages. */
static int open_pair(struct doors *doors, enum conn_origin origin, const char *path,
		     struct error *err)
{
	char messages[128];
	int ret = open_unix(doors, origin, PACKET_STREAM, path, err);

	if (ret < 0)
		return ret;
	snprintf(messages, sizeof(messages), "%s.seqpacket", path);
	return open_unix(doors, origin, PACKET_SEQPACKET, messages, err);
}

/* A name may have several addresses, and is listened on at each. */
static int open_map(struct doors *doors, const struct map *map, struct error *err)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct address *address = &map->address[i];
		struct door *door = next_door(doors, ORIGIN_MAP, PACKET_STREAM);
		int ret;

		door->port = map->port;
		if (address->of.any.sa_family == AF_UNIX)
			ret = listener_open(&door->listener,
					    address->of.unix_path.sun_path, err);
		else
			ret = listener_open_tcp(&door->listener, address, map->text,
						err);
		if (ret == 0)
			ret = watch(doors, door, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int doors_open(struct doors *doors, const struct routes *routes,
	       const struct maps *listen, struct loop *loop, struct error *err)
{
	size_t most = 4 + listen->count * MAP_ADDRESSES_MAX;
	char path[128];
	int ret;

	*doors = (struct doors){.loop = loop};
	doors->door = calloc(most, sizeof(*doors->door));
	if (!doors->door)
		return error_set(err, -ENOMEM, "out of memory");
	ret = open_pair(doors, ORIGIN_HOST, routes->uds, err);
	if (ret == 0 && routes->peers) {
		snprintf(path, sizeof(path), "%s/%u", routes->peers, routes->guest_cid);
		ret = open_pair(doors, ORIGIN_PEER, path, err);
	}
	for (size_t i = 0; ret == 0 && i < listen->count; i++)
		ret = open_map(doors, &listen->map[i], err);
	return ret;
}

void doors_close(struct doors *doors)
{
	for (size_t i = 0; i < doors->count; i++)
		listener_close(&doors->door[i].listener);
	free(doors->door);
	*doors = (struct doors){.count = 0};
}

void doors_leave(struct doors *doors)
{
	for (size_t i = 0; i < doors->count; i++)
		listener_leave(&doors->door[i].listener);
}

/* What waits there waits on, and is not reported all the time. */
static void rest(struct doors *doors, struct door *door, int ms)
{
	loop_remove(doors->loop, door->listener.fd);
	door->retry_at = loop_now() + (uint64_t)ms;
}

void doors_accept(struct doors *doors, uint32_t number, struct device *dev)
{
	struct door *door;

	if (number >= doors->count)
		return;
	door = &doors->door[number];
	for (int i = 0; i < ACCEPTS; i++) {
		int fd;

		if (!bucket_ready(&dev->connects, dev->now)) {
			dev->conns.common.stats.accept_stalls++;
			log_limited(LOG_LEVEL_WARNING,
				    "those who connect to %s have to wait: "
				    "--connect-rate",
				    door->listener.name);
			rest(doors, door, bucket_wait(&dev->connects));
			return;
		}
		fd = listener_accept(&door->listener);
		if (fd == -EAGAIN)
			return;
		if (fd == -ECONNABORTED)
			continue;
		if (fd < 0) {
			/* The shortage stays reported: not to spin, look later. */
			log_limited(LOG_LEVEL_ERROR, "cannot accept on %s: %s; waiting",
				    door->listener.name, strerror(-fd));
			rest(doors, door, RETRY_MS);
			return;
		}
		incoming_accept(dev, fd, door->origin, door->type, door->port);
	}
}

int doors_run(struct doors *doors, struct error *err)
{
	for (size_t i = 0; i < doors->count; i++) {
		struct door *door = &doors->door[i];
		int ret;

		if (!door->retry_at || loop_now() < door->retry_at)
			continue;
		door->retry_at = 0;
		ret = watch(doors, door, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int doors_timeout(const struct doors *doors)
{
	int least = -1;

	for (size_t i = 0; i < doors->count; i++) {
		const struct door *door = &doors->door[i];
		uint64_t now;
		int left;

		if (!door->retry_at)
			continue;
		now = loop_now();
		left = door->retry_at > now ? (int)(door->retry_at - now) : 0;
		if (least < 0 || left < least)
			least = left;
	}
	return least;
}
