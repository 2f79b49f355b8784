/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>

#include "cleanup.h"
#include "dial.h"
#include "registry.h"

static int parse_unix(const char *path, struct endpoint *ep, struct error *err)
{
	ep->kind = ENDPOINT_UNIX;
	if (!*path)
		return error_set(err, -EINVAL, "unix: is followed by no path");
	if (strlen(path) >= sizeof(ep->path))
		return error_set(err, -ENAMETOOLONG,
				 "the socket path %s is too long (%zu bytes at most)",
				 path, sizeof(ep->path) - 1);
	strcpy(ep->path, path);
	return 0;
}

/* A decimal number of at most `max`, and nothing behind it. */
static int parse_number(const char *text, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (*text - '0');
		if (value > max)
			return -EINVAL;
	}
	*number = value;
	return 0;
}

static int parse_vsock(const char *text, struct endpoint *ep, struct error *err)
{
	uint64_t cid;

	ep->kind = ENDPOINT_VSOCK;
	if (parse_number(text, UINT32_MAX - 1, &cid) || !cid)
		return error_set(err, -EINVAL,
				 "vsock:%s: a CID is a number from 1 to %u", text,
				 UINT32_MAX - 1);
	ep->cid = (uint32_t)cid;
	return 0;
}

static int parse_tcp(const char *text, struct endpoint *ep, struct error *err)
{
	const char *host = text, *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	uint64_t port;

	ep->kind = ENDPOINT_TCP;
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len)) {
		return error_set(err, -EINVAL,
				 "tcp:%s: write an IPv6 address in brackets", text);
	}
	if (!len || len >= sizeof(ep->host) || parse_number(colon + 1, 65535, &port) ||
	    !port)
		return error_set(err, -EINVAL, "tcp:%s is not tcp:host:port", text);
	memcpy(ep->host, host, len);
	ep->host[len] = '\0';
	snprintf(ep->service, sizeof(ep->service), "%u", (unsigned int)port);
	return 0;
}

static const struct scheme {
	const char *prefix;
	int (*parse)(const char *text, struct endpoint *ep, struct error *err);
} schemes[] = {
	{"unix:", parse_unix},
	{"vsock:", parse_vsock},
	{"tcp:", parse_tcp},
};

static int parse_scheme(const char *text, struct endpoint *ep, struct error *err)
{
	size_t i;

	memset(ep, 0, sizeof(*ep));
	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i].prefix);

		if (!strncmp(text, schemes[i].prefix, len))
			return schemes[i].parse(text + len, ep, err);
	}
	return -ENOENT;
}

/* The address of a VM: CIDs 1 and 2 are none. */
static int parse_guest(const char *text, struct endpoint *ep, struct error *err)
{
	int ret = parse_scheme(text, ep, err);

	if (ret == 0 && ep->kind == ENDPOINT_VSOCK && ep->cid <= VMADDR_CID_HOST)
		return error_set(
			err, -EINVAL,
			"vsock:%u names no guest; a CID is a number from 3 to %u",
			ep->cid, UINT32_MAX - 1);
	return ret;
}

/* Reads <vm>/endpoint, one line. -ENOENT when there is none. */
static int read_endpoint_file(const char *name, struct endpoint *ep, struct error *err)
{
	char path[PATH_MAX], text[ENDPOINT_TEXT_MAX + 1];
	FILE *f;
	int fd, ret = registry_path(name, "endpoint", path, sizeof(path), err);

	if (ret)
		return ret;
	/* Without blocking, for the case that it is a FIFO. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	text[strcspn(text, "\r\n")] = '\0';
	ret = parse_guest(text, ep, err);
	if (ret == -ENOENT)
		return error_set(err, -EINVAL,
				 "%s holds no address (unix:, vsock: or tcp:)", path);
	return ret ? error_prefix(err, "%s", path) : 0;
}

static int lookup(const char *name, struct endpoint *ep, struct error *err)
{
	char path[PATH_MAX], dir[PATH_MAX];
	int ret;

	if (!registry_name_valid(name))
		return error_set(err, -EINVAL,
				 "'%s' is neither an address (unix:PATH, vsock:CID, "
				 "tcp:HOST:PORT) nor a VM's name",
				 name);
	ret = registry_path(name, "", path, sizeof(path), err);
	if (ret)
		return ret;
	if (access(path, F_OK)) {
		registry_dir(dir, sizeof(dir), NULL);
		return error_set(err, -ENOENT, "there is no VM of that name in %s",
				 dir);
	}
	ret = read_endpoint_file(name, ep, err);
	if (ret != -ENOENT)
		return ret;
	ret = registry_path(name, "vsock.sock", path, sizeof(path), err);
	return ret ? ret : parse_unix(path, ep, err);
}

int endpoint_parse(const char *text, struct endpoint *ep, struct error *err)
{
	int ret = parse_guest(text, ep, err);

	return ret == -ENOENT ? lookup(text, ep, err) : ret;
}

int endpoint_parse_address(const char *text, struct endpoint *ep, struct error *err)
{
	int ret = parse_scheme(text, ep, err);

	if (ret == -ENOENT)
		return error_set(err, -EINVAL,
				 "'%s' is no address (unix:PATH, tcp:HOST:PORT or "
				 "vsock:CID)",
				 text);
	return ret;
}

const char *endpoint_format(const struct endpoint *ep,
			    char buf[static ENDPOINT_TEXT_MAX])
{
	switch (ep->kind) {
	case ENDPOINT_UNIX:
		snprintf(buf, ENDPOINT_TEXT_MAX, "unix:%s", ep->path);
		break;
	case ENDPOINT_VSOCK:
		snprintf(buf, ENDPOINT_TEXT_MAX, "vsock:%u", ep->cid);
		break;
	case ENDPOINT_TCP:
		snprintf(buf, ENDPOINT_TEXT_MAX,
			 strchr(ep->host, ':') ? "tcp:[%s]:%s" : "tcp:%s:%s", ep->host,
			 ep->service);
		break;
	}
	return buf;
}

/* Connects a socket without waiting longer than the deadline; 0 or -errno. */
static int connect_by(int fd, const struct sockaddr *addr, socklen_t len,
		      deadline_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0, n;

	while (connect(fd, addr, len)) {
		if (errno == EINPROGRESS)
			break;
		/* A Unix socket whose backlog is full says EAGAIN, and cannot be
		 * polled. */
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (!deadline_left_ms(deadline))
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
	do {
		n = poll(&p, 1, deadline_left_ms(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!n)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

int endpoint_connect_unix(const char *path, deadline_t deadline, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	cleanup_close int fd = -1;
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "the socket path %s is too long (%zu bytes at most)",
				 path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "socket: %s", strerror(errno));
	ret = connect_by(fd, (struct sockaddr *)&addr, sizeof(addr), deadline);
	if (ret)
		return error_set(err, ret, "connecting to %s: %s", path,
				 strerror(-ret));
	return steal_fd(&fd);
}

int endpoint_look_up(const struct endpoint *ep, struct addrinfo **list,
		     struct error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	int ret;

	*list = NULL;
	if (ep->kind != ENDPOINT_TCP)
		return 0;
	ret = getaddrinfo(ep->host, ep->service, &hints, list);
	return ret ? error_set(err, -EHOSTUNREACH, "looking up %s: %s", ep->host,
			       gai_strerror(ret))
		   : 0;
}

socklen_t endpoint_address(const struct endpoint *ep, uint32_t port,
			   struct sockaddr_storage *addr)
{
	struct sockaddr_un *un = (struct sockaddr_un *)addr;
	struct sockaddr_vm *vm = (struct sockaddr_vm *)addr;

	memset(addr, 0, sizeof(*addr));
	switch (ep->kind) {
	case ENDPOINT_UNIX:
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, ep->path, sizeof(un->sun_path));
		return sizeof(*un);
	case ENDPOINT_VSOCK:
		vm->svm_family = AF_VSOCK;
		vm->svm_cid = ep->cid;
		vm->svm_port = port;
		return sizeof(*vm);
	case ENDPOINT_TCP:
		break;
	}
	return 0;
}

/* Goes on with a dial until it is done: its descriptor, or -errno. */
static int dial_by(struct dial *d, deadline_t deadline, struct error *err)
{
	int ret;

	while ((ret = dial_step(d, err)) == -EAGAIN) {
		struct pollfd p = {.fd = d->fd, .events = dial_events(d)};
		int left = deadline_left_ms(deadline), turn = dial_turn_ms(d);

		if (!left) {
			ret = dial_fail(d, -ETIMEDOUT, err);
			break;
		}
		if (turn >= 0 && (left < 0 || turn < left))
			left = turn;
		poll(&p, 1, p.events ? left : 1);
	}
	if (!ret)
		return d->fd;
	dial_end(d);
	return ret;
}

int endpoint_dial(const struct endpoint *ep, uint32_t port, deadline_t deadline,
		  struct error *err)
{
	struct addrinfo *list;
	struct dial d;
	int ret = endpoint_look_up(ep, &list, err);

	if (ret)
		return ret;
	dial_begin(&d, ep, port, list);
	ret = dial_by(&d, deadline, err);
	if (list)
		freeaddrinfo(list);
	return ret;
}
