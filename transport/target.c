/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/vm_sockets.h>

#include "cleanup.h"
#include "packet.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("connect", "socket", "close", "setsockopt");

enum {
	/* Of "_4294967295", which is no shorter than ".seqpacket". */
	PORT_CHARS = sizeof("_4294967295") - 1,
	PEER_CHARS = sizeof("/4294967294.seqpacket") - 1,
	PATH_MAX_CHARS = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

int target_check(const struct routes *routes, struct error *err)
{
	size_t max = PATH_MAX_CHARS - PORT_CHARS;

	if (strlen(routes->uds) > max)
		return error_set(
			err, -ENAMETOOLONG,
			"the path %s is too long: at most %zu bytes leave room for "
			"the ports",
			routes->uds, max);
	max = PATH_MAX_CHARS - PEER_CHARS;
	if (routes->peers && strlen(routes->peers) > max)
		return error_set(
			err, -ENAMETOOLONG,
			"the path %s is too long: at most %zu bytes leave room for "
			"the guests",
			routes->peers, max);
	return 0;
}

bool target_peer_path(const char *peers, uint32_t cid, uint16_t type,
		      struct address *address)
{
	char path[sizeof(address->of.unix_path.sun_path)];
	int n = snprintf(path, sizeof(path), "%s/%u%s", peers, cid,
			 type == PACKET_SEQPACKET ? ".seqpacket" : "");

	return n > 0 && (size_t)n < sizeof(path) && address_set_path(address, path);
}

static bool port_path(const struct routes *routes, uint32_t port,
		      struct address *address)
{
	char path[sizeof(address->of.unix_path.sun_path)];
	int n = snprintf(path, sizeof(path), "%s_%u", routes->uds, port);

	return n > 0 && (size_t)n < sizeof(path) && address_set_path(address, path);
}

static int connect_to(const struct sockaddr *addr, socklen_t len, uint16_t type,
		      bool *pending)
{
	int kind = type == PACKET_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM;
	cleanup_close int fd =
		socket(addr->sa_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*pending = false;
	if (fd < 0)
		return -errno;
	if (connect(fd, addr, len) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		*pending = true;
	}
	return steal_fd(&fd);
}

static int dial_address(const struct address *address, uint16_t type, bool *pending)
{
	int fd;

	/* TCP has no messages. */
	if (type == PACKET_SEQPACKET && address->of.any.sa_family != AF_UNIX)
		return -EPROTOTYPE;
	fd = connect_to(&address->of.any, address->len, type, pending);
	if (fd >= 0)
		address_prepare(address->of.any.sa_family, fd);
	return fd;
}

static int dial_vsock(uint32_t cid, uint32_t port, uint16_t type, bool *pending)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = cid,
		.svm_port = port,
	};

	return connect_to((struct sockaddr *)&addr, sizeof(addr), type, pending);
}

int target_dial(const struct routes *routes, uint32_t peer_cid, uint32_t port,
		uint16_t type, unsigned int choice, bool *pending)
{
	const struct map *map = maps_find(&routes->connect, port);
	struct address address;

	if (peer_cid != PACKET_HOST_CID) {
		if (!routes->peers || choice)
			return -ERANGE;
		if (!target_peer_path(routes->peers, peer_cid, type, &address))
			return -ENAMETOOLONG;
		return dial_address(&address, type, pending);
	}
	if (map) {
		if (choice >= map->count)
			return -ERANGE;
		return dial_address(&map->address[choice], type, pending);
	}
	if (choice == 0) {
		if (!port_path(routes, port, &address))
			return -ENAMETOOLONG;
		return dial_address(&address, type, pending);
	}
	if (choice == 1 && routes->forward_cid)
		return dial_vsock(routes->forward_cid, port, type, pending);
	return -ERANGE;
}

bool target_has_more(const struct routes *routes, uint32_t peer_cid, uint32_t port,
		     unsigned int choice, int error)
{
	const struct map *map = maps_find(&routes->connect, port);

	if (peer_cid != PACKET_HOST_CID)
		return false;
	if (map)
		return choice + 1 < map->count;
	/* A socket that is served, and does not want this, is the guest's answer. */
	return choice == 0 && routes->forward_cid &&
	       (error == -ENOENT || error == -ECONNREFUSED);
}

const char *target_describe(const struct routes *routes, uint32_t peer_cid,
			    uint32_t port, uint16_t type, unsigned int choice,
			    char buf[static TARGET_TEXT_MAX])
{
	const struct map *map = maps_find(&routes->connect, port);

	if (peer_cid != PACKET_HOST_CID)
		snprintf(buf, TARGET_TEXT_MAX, "%s/%u%s", routes->peers, peer_cid,
			 type == PACKET_SEQPACKET ? ".seqpacket" : "");
	else if (map)
		snprintf(buf, TARGET_TEXT_MAX, "%s", map->text);
	else if (choice == 0)
		snprintf(buf, TARGET_TEXT_MAX, "%s_%u", routes->uds, port);
	else
		snprintf(buf, TARGET_TEXT_MAX, "port %u of CID %u", port,
			 routes->forward_cid);
	return buf;
}
