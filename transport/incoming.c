/* SPDX-License-Identifier: Apache-2.0 */
#include "incoming.h"

#include <sys/stat.h>
#include <unistd.h>

#include "conn_open.h"
#include "log.h"
#include "peer.h"
#include "sandbox_calls.h"
#include "target.h"

SANDBOX_CALLS("close", "lstat", "newfstatat");

/* Why nobody can be let in now; NULL: they can. */
static const char *find_obstacle(const struct device *dev, uint16_t type)
{
	if (!dev->running || dev->broken)
		return "the guest's driver is not up";
	if (type == PACKET_SEQPACKET && dev->rules.no_seqpacket)
		return "the guest's driver has no SOCK_SEQPACKET";
	if (type == PACKET_STREAM && dev->rules.no_stream)
		return "the guest's driver has no SOCK_STREAM";
	return NULL;
}

void incoming_accept(struct device *dev, int fd, enum conn_origin origin, uint16_t type,
		     uint32_t port)
{
	const char *obstacle = find_obstacle(dev, type);
	struct stats *stats = &dev->conns.common.stats;
	struct conn *conn;

	stats->asked_by_host++;
	if (obstacle) {
		stats->refused++;
		/* They come back every few milliseconds: once is enough. */
		if (!dev->told_down)
			log_info("a host program is turned away: %s", obstacle);
		dev->told_down = true;
		close(fd);
		return;
	}
	bucket_take(device_connects(dev, origin), 1);
	conn = device_new_conn(dev, type, origin);
	if (!conn) {
		close(fd);
		return;
	}
	conn->guest_port = port;
	/* A sibling's port is its own. */
	if (origin != ORIGIN_PEER && peer_is_privileged(fd, dev->privileged_group) &&
	    !conn_table_privilege(&dev->conns, conn))
		log_limited(LOG_LEVEL_WARNING,
			    "all ports below %d are taken: a privileged host program "
			    "gets another one",
			    CONN_TABLE_PRIVILEGED_END);
	conn_accept(conn, fd, origin, dev->now);
	device_watch(dev, conn);
	device_settle(dev, conn);
}

enum {
	/* All users that a user namespace does not know look like this one, nobody
	 * (Linux, include/linux/highuid.h). */
	OVERFLOW_UID = 65534,
};

/* NULL: it is who it claims to be. */
static const char *find_lie(struct device *dev, const struct conn *conn)
{
	struct address address;
	struct stat st;
	uid_t uid;

	if (conn->peer_cid < PACKET_GUEST_CID_MIN ||
	    conn->peer_cid > PACKET_GUEST_CID_MAX)
		return "that is no guest";
	if (conn->peer_cid == dev->routes->guest_cid)
		return "that is this guest";
	/* Who has made that socket is that sibling, whoever that may be. */
	if (!target_peer_path(dev->routes->peers, conn->peer_cid, PACKET_STREAM,
			      &address) ||
	    lstat(address.of.unix_path.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return "no such guest has a socket among the peers";
	if (!peer_uid(conn->fd, &uid) || uid != st.st_uid)
		return "that guest's socket is another user's";
	if (uid == OVERFLOW_UID)
		return "nobody's sockets are anybody's";
	if (conn_table_find(&dev->conns, conn->peer_cid, conn->host_port,
			    conn->guest_port))
		return "that one is connected already";
	return NULL;
}

void incoming_check_peer(struct device *dev, struct conn *conn)
{
	const char *lie = find_lie(dev, conn);

	if (!lie)
		return;
	log_limited(LOG_LEVEL_WARNING,
		    "who claims to be port %u of CID %u and asks for port %u is turned "
		    "away: %s",
		    conn->host_port, conn->peer_cid, conn->guest_port, lie);
	conn_turn_away(conn);
}
