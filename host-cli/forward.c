/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int forward_parse(const char *text, struct forward *f, struct error *err)
{
	const char *equals = strrchr(text, '=');
	char local[ENDPOINT_TEXT_MAX];
	int ret;

	memset(f, 0, sizeof(*f));
	f->listener = -1;
	if (!equals || (size_t)(equals - text) >= sizeof(local))
		return error_set(
			err, -EINVAL,
			"%s: give LOCAL=PORT, such as tcp:127.0.0.1:2222=22 or "
			"unix:/tmp/ssh.sock=22",
			text);
	snprintf(local, sizeof(local), "%.*s", (int)(equals - text), text);
	ret = endpoint_parse_address(local, &f->local, err);
	if (!ret && f->local.kind == ENDPOINT_VSOCK)
		ret = error_set(err, -EINVAL, "it cannot be a vsock: address");
	if (!ret)
		ret = port_parse(equals + 1, &f->port, err);
	return ret ? error_prefix(err, "%s", text) : 0;
}

/* A file that is no socket, or one that somebody serves, stays. */
static int clear_path(const char *path, struct error *err)
{
	struct error ignored;
	struct stat st;
	int fd;

	if (lstat(path, &st))
		return errno == ENOENT ? 0
				       : error_set(err, -errno, "%s: %s", path,
						   strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST, "%s is there, and is no socket", path);
	fd = endpoint_connect_unix(path, deadline_after_ms(1000), &ignored);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return error_set(err, -EADDRINUSE,
				 "another program listens on %s; name another path",
				 path);
	return unlink(path) ? error_set(err, -errno, "removing %s: %s", path,
					strerror(errno))
			    : 0;
}

static int bind_it(const struct forward *f, int fd, const struct sockaddr_storage *addr,
		   socklen_t len)
{
	int one = 1, ret;
	mode_t old;

	if (f->local.kind == ENDPOINT_TCP)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Whoever may open the file may talk to the guest. */
	old = umask(0177);
	ret = bind(fd, (const struct sockaddr *)addr, len) ? -errno : 0;
	umask(old);
	return ret;
}

int forward_listen(struct forward *f, struct error *err)
{
	struct sockaddr_storage addr;
	char text[ENDPOINT_TEXT_MAX];
	cleanup_close int fd = -1;
	socklen_t len;
	int ret = endpoint_address(&f->local, 0, &addr, &len, err);

	if (!ret && f->local.kind == ENDPOINT_UNIX)
		ret = clear_path(f->local.path, err);
	if (ret)
		return ret;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = fd < 0 ? -errno : bind_it(f, fd, &addr, len);
	f->made = !ret && f->local.kind == ENDPOINT_UNIX;
	if (!ret && listen(fd, SOMAXCONN))
		ret = -errno;
	if (ret)
		return error_set(err, ret, "listening on %s: %s; name another LOCAL",
				 endpoint_format(&f->local, text), strerror(-ret));
	f->listener = steal_fd(&fd);
	return 0;
}

void forward_close(struct forward *f)
{
	if (f->listener >= 0)
		close(f->listener);
	f->listener = -1;
	if (f->made)
		unlink(f->local.path);
	f->made = false;
}
