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
};

static struct door *next_door(struct doors *doors, enum conn_origin origin,
			      uint16_t type)
{
	struct door *door = &doors->door[doors->count++];

	*door = (struct door){.origin = origin, .type = type};
	return door;
}

static int watch(struct doors *doors, struct door *door, struct error *err)
{
	return listener_watch(&door->listener, doors->loop, LOOP_DOOR,
			      (uint32_t)(door - doors->door), err);
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

void doors_accept(struct doors *doors, uint32_t number, struct device *dev)
{
	struct bucket *rate;
	struct door *door;

	if (number >= doors->count)
		return;
	door = &doors->door[number];
	rate = device_connects(dev, door->origin);
	for (int i = 0; i < ACCEPTS; i++) {
		int fd;

		if (!bucket_ready(rate, dev->now)) {
			dev->conns.common.stats.accept_stalls++;
			log_limited(LOG_LEVEL_WARNING,
				    "those who connect to %s have to wait: "
				    "--connect-rate",
				    door->listener.name);
			listener_rest(&door->listener, bucket_wait(rate));
			return;
		}
		fd = listener_accept(&door->listener);
		if (fd == -ECONNABORTED)
			continue;
		if (fd < 0)
			return;
		incoming_accept(dev, fd, door->origin, door->type, door->port);
	}
}

int doors_run(struct doors *doors, struct error *err)
{
	for (size_t i = 0; i < doors->count; i++) {
		int ret = listener_run(&doors->door[i].listener, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int doors_timeout(const struct doors *doors)
{
	int least = -1;

	for (size_t i = 0; i < doors->count; i++)
		least = loop_sooner(least, listener_timeout(&doors->door[i].listener));
	return least;
}
