/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

enum {
	BACKLOG = 128
};

static int make_address(struct sockaddr_un *addr, const char *path, struct error *err)
{
	size_t len = strlen(path);

	if (!len || len >= sizeof(addr->sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "the socket path %s must have 1 to %zu bytes", path,
				 sizeof(addr->sun_path) - 1);
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(addr->sun_path, path, len);
	return 0;
}

/* Removes a socket that nobody listens on; 0 also when there was nothing. */
static int remove_stale(const struct sockaddr_un *addr, struct error *err)
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
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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

int listener_open(struct listener *listener, const char *path, struct error *err)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;
	struct stat st;
	mode_t mask;
	int ret;

	*listener = (struct listener){.fd = -1, .spare_fd = -1, .path = path};
	ret = make_address(&addr, path, err);
	if (ret < 0)
		return ret;
	ret = remove_stale(&addr, err);
	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s",
				 strerror(errno));
	mask = umask(0177);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
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
	listener->fd = steal_fd(&fd);
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return 0;
}

void listener_close(struct listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (lstat(listener->path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(listener->path);
	close(listener->fd);
	listener->fd = -1;
	if (listener->spare_fd >= 0)
		close(listener->spare_fd);
	listener->spare_fd = -1;
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
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -saved;
	log_limited(LOG_LEVEL_WARNING,
		    "a client of %s is turned away: %s; raise the limit",
		    listener->path, strerror(saved));
	return -ECONNABORTED;
}

int listener_accept(struct listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case EMFILE:
		return turn_away(listener);
	case EINTR:
	case ECONNABORTED:
		return -ECONNABORTED;
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return -EAGAIN;
	default:
		return -errno;
	}
}
