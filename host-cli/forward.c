/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
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

/* One of several addresses: IPv6 leaves IPv4 to the others. */
static int bind_it(int fd, const struct sockaddr *addr, socklen_t len, bool several)
{
	int one = 1, ret;
	mode_t old;

	if (addr->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (several && addr->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	/* Whoever may open the file may talk to the guest. */
	old = umask(0177);
	ret = bind(fd, addr, len) ? -errno : 0;
	umask(old);
	return ret;
}

static int listen_on(struct forward *f, const struct sockaddr *addr, socklen_t len,
		     bool several)
{
	cleanup_close int fd = -1;
	int ret;

	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = fd < 0 ? -errno : bind_it(fd, addr, len, several);
	f->made |= !ret && addr->sa_family == AF_UNIX;
	if (!ret && listen(fd, SOMAXCONN))
		ret = -errno;
	if (!ret)
		f->listener[f->listeners++] = steal_fd(&fd);
	return ret;
}

/* Some systems give an address of a name twice. */
static bool is_again(const struct addrinfo *list, const struct addrinfo *ai)
{
	for (; list != ai; list = list->ai_next)
		if (list->ai_addrlen == ai->ai_addrlen &&
		    !memcmp(list->ai_addr, ai->ai_addr, ai->ai_addrlen))
			return true;
	return false;
}

/* localhost may have an IPv6 address on a host that has no IPv6. */
static void warn_of_none(const struct forward *f, const struct addrinfo *ai, int ret,
			 struct report *r)
{
	char host[NI_MAXHOST] = "?", text[ENDPOINT_TEXT_MAX];

	getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0,
		    NI_NUMERICHOST);
	report_warn(r, "%s: not on %s: %s", endpoint_format(&f->local, text), host,
		    strerror(-ret));
}

static int listen_on_all(struct forward *f, const struct addrinfo *list,
			 struct report *r)
{
	const struct addrinfo *ai;
	int ret = 0;

	for (ai = list; ai; ai = ai->ai_next) {
		if (is_again(list, ai))
			continue;
		if (f->listeners == FORWARD_ADDRESSES_MAX)
			return -E2BIG;
		ret = listen_on(f, ai->ai_addr, ai->ai_addrlen, list->ai_next);
		if (ret && ret != -EADDRNOTAVAIL && ret != -EAFNOSUPPORT)
			return ret;
		if (ret && list->ai_next)
			warn_of_none(f, ai, ret, r);
	}
	return f->listeners ? 0 : ret;
}

int forward_listen(struct forward *f, struct report *r, struct error *err)
{
	struct sockaddr_storage addr;
	char text[ENDPOINT_TEXT_MAX];
	struct addrinfo *list;
	socklen_t len = endpoint_address(&f->local, 0, &addr);
	int ret = endpoint_look_up(&f->local, &list, err);

	if (!ret && f->local.kind == ENDPOINT_UNIX)
		ret = clear_path(f->local.path, err);
	if (ret)
		return ret;
	if (list) {
		ret = listen_on_all(f, list, r);
		freeaddrinfo(list);
	} else {
		ret = listen_on(f, (struct sockaddr *)&addr, len, false);
	}
	return ret ? error_set(err, ret, "listening on %s: %s; name another LOCAL",
			       endpoint_format(&f->local, text),
			       ret == -E2BIG ? "it has too many addresses"
					     : strerror(-ret))
		   : 0;
}

void forward_close(struct forward *f)
{
	while (f->listeners)
		close(f->listener[--f->listeners]);
	if (f->made)
		unlink(f->local.path);
	f->made = false;
}
