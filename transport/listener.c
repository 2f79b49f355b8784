/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "sandbox_calls.h"
#include "store.h"

SANDBOX_CALLS("accept4", "close", "eventfd2", "lstat", "newfstatat", "unlink",
	      "unlinkat");

enum {
	BACKLOG = 128
};

/* Removes a socket that nobody listens on; 0 also when there was nothing. */
static int remove_stale(const struct sockaddr_un *addr, int type, struct error *err)
{
	cleanup_close int fd = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return error_set(err, -errno, "cannot look at %s: %s", addr->sun_path,
				 strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode))
		return error_set(
			err, -EEXIST,
			"%s is there already and is no socket; remove it or name "
			"another path",
			addr->sun_path);
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s",
				 strerror(errno));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ||
	    errno == EAGAIN)
		return error_set(
			err, -EADDRINUSE,
			"another process listens on %s; stop it or name another "
			"path",
			addr->sun_path);
	if (errno != ECONNREFUSED)
		return error_set(
			err, -EADDRINUSE,
			"cannot tell whether %s is in use: %s; remove it if it is "
			"not",
			addr->sun_path, strerror(errno));
	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "cannot remove the stale socket %s: %s",
				 addr->sun_path, strerror(errno));
	log_info("the stale socket %s was removed", addr->sun_path);
	return 0;
}

static void begin(struct listener *listener, sa_family_t family, const char *name)
{
	*listener = (struct listener){.fd = -1, .spare_fd = -1, .family = family};
	snprintf(listener->name, sizeof(listener->name), "%s", name);
}

/* An eventfd only since it needs no path, which may be out of sight. */
static void hold_spare(struct listener *listener)
{
	listener->spare_fd = eventfd(0, EFD_CLOEXEC);
}

static void finish(struct listener *listener, const struct address *address, int type,
		   int fd)
{
	listener->fd = fd;
	hold_spare(listener);
	store_put_listener(&address->of.any, address->len, type, fd);
}

/* What came with this process: 1 when it is the one. */
static int inherit(struct listener *listener, const struct address *address, int type,
		   struct error *err)
{
	cleanup_close int fd = -1;
	struct stat st;
	bool ours;

	fd = store_take_listener(&address->of.any, address->len, type, &ours);
	if (fd < 0)
		return 0;
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return error_set(err, -errno, "cannot use the socket of %s: %s",
				 listener->name, strerror(errno));
	if (listener->family == AF_UNIX && lstat(listener->name, &st) == 0) {
		listener->dev = st.st_dev;
		listener->ino = st.st_ino;
	}
	listener->fd = steal_fd(&fd);
	listener->foreign = !ours;
	hold_spare(listener);
	return 1;
}

int listener_open(struct listener *listener, const char *path, struct error *err)
{
	return listener_open_unix(listener, path, SOCK_STREAM, err);
}

int listener_open_unix(struct listener *listener, const char *path, int type,
		       struct error *err)
{
	cleanup_close int fd = -1;
	struct address address;
	struct stat st;
	mode_t mask;
	int ret;

	begin(listener, AF_UNIX, path);
	if (!address_set_path(&address, path))
		return error_set(err, -ENAMETOOLONG,
				 "the socket path %s must have 1 to %zu bytes", path,
				 sizeof(address.of.unix_path.sun_path) - 1);
	ret = inherit(listener, &address, type, err);
	if (ret)
		return ret < 0 ? ret : 0;
	ret = remove_stale(&address.of.unix_path, type, err);
	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s",
				 strerror(errno));
	mask = umask(0177);
	ret = bind(fd, &address.of.any, address.len) < 0 ? -errno : 0;
	umask(mask);
	if (ret < 0)
		return error_set(err, ret, "cannot make the socket %s: %s", path,
				 strerror(-ret));
	if (listen(fd, BACKLOG) < 0 || lstat(path, &st) < 0) {
		ret = error_set(err, -errno, "cannot listen on %s: %s", path,
				strerror(errno));
		unlink(path);
		return ret;
	}
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	finish(listener, &address, type, steal_fd(&fd));
	return 0;
}

int listener_open_tcp(struct listener *listener, const struct address *address,
		      const char *name, struct error *err)
{
	cleanup_close int fd = -1;
	int on = 1, ret;

	begin(listener, address->of.any.sa_family, name);
	ret = inherit(listener, address, SOCK_STREAM, err);
	if (ret)
		return ret < 0 ? ret : 0;
	fd = socket(listener->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket for %s: %s", name,
				 strerror(errno));
	/* What is left of earlier connections does not keep the port. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* [::] is not 0.0.0.0 as well: each is asked for by its name. */
	if (listener->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, &address->of.any, address->len) < 0 || listen(fd, BACKLOG) < 0)
		return error_set(err, -errno, "cannot listen on %s: %s", name,
				 strerror(errno));
	finish(listener, address, SOCK_STREAM, steal_fd(&fd));
	return 0;
}

bool listener_take(struct listener *listener, const char *name)
{
	cleanup_close int fd = store_take(name);
	struct address address = {.len = sizeof(address.of)};
	int type = 0, listening = 0;
	socklen_t size = sizeof(int);

	if (fd < 0)
		return false;
	if (getsockname(fd, &address.of.any, &address.len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
	    address.of.any.sa_family != AF_UNIX || type != SOCK_STREAM || !listening ||
	    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		log_warning("the descriptor called \"%s\" is no Unix socket that "
			    "listens for streams; it is closed",
			    name);
		return false;
	}
	begin(listener, AF_UNIX, address.of.unix_path.sun_path);
	listener->fd = steal_fd(&fd);
	listener->foreign = true;
	hold_spare(listener);
	return true;
}

void listener_leave(struct listener *listener)
{
	listener->foreign = true;
	listener_close(listener);
}

void listener_close(struct listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (!listener->foreign && listener->family == AF_UNIX &&
	    lstat(listener->name, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->name);
	close(listener->fd);
	listener->fd = -1;
	if (listener->spare_fd >= 0)
		close(listener->spare_fd);
	listener->spare_fd = -1;
}

int listener_watch(struct listener *listener, struct loop *loop, enum loop_type type,
		   uint32_t id, struct error *err)
{
	int ret = loop_add(loop, listener->fd, EPOLLIN, type, id);

	if (ret < 0)
		return error_set(err, ret, "cannot watch %s: %s", listener->name,
				 strerror(-ret));
	listener->loop = loop;
	listener->type = type;
	listener->id = id;
	listener->rests_until = 0;
	return 0;
}

void listener_rest(struct listener *listener, int ms)
{
	loop_remove(listener->loop, listener->fd);
	listener->rests_until = loop_now() + (uint64_t)ms;
}

int listener_run(struct listener *listener, struct error *err)
{
	uint64_t now = listener->rests_until ? loop_now() : 0;

	if (now < listener->rests_until || !now)
		return 0;
	listener->rests_until = now + LISTENER_REST_MS;
	return listener_watch(listener, listener->loop, listener->type, listener->id,
			      err);
}

int listener_timeout(const struct listener *listener)
{
	uint64_t now;

	if (!listener->rests_until)
		return -1;
	now = loop_now();
	return listener->rests_until > now ? (int)(listener->rests_until - now) : 0;
}

/* A client that must not be left waiting is at least turned away. */
static int turn_away(struct listener *listener)
{
	int fd, saved = errno;

	if (listener->spare_fd < 0)
		return -saved;
	close(listener->spare_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	listener->spare_fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -saved;
	log_limited(LOG_LEVEL_WARNING,
		    "a client of %s is turned away: %s; raise the limit",
		    listener->name, strerror(saved));
	return -ECONNABORTED;
}

int listener_accept(struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int ret;

	if (fd >= 0) {
		address_prepare(listener->family, fd);
		return fd;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
		ret = turn_away(listener);
		break;
	case EINTR:
	case ECONNABORTED:
		return -ECONNABORTED;
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return -EAGAIN;
	default:
		ret = -errno;
	}
	if (ret != -ECONNABORTED) {
		log_limited(LOG_LEVEL_ERROR, "cannot accept on %s: %s; waiting",
			    listener->name, strerror(-ret));
		listener_rest(listener, LISTENER_REST_MS);
	}
	return ret;
}
