/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "sandbox_calls.h"

SANDBOX_CALLS("sendmsg");

enum {
	SEND_SECONDS = 5, /* before a manager that does not listen is given up */
};

static struct {
	int fd; /* -1: nobody */
	bool held;
	uint64_t watchdog; /* half of what it allows, ms; 0: none */
	uint64_t next;
} party = {.fd = -1};

static int dial(const char *path, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);
	cleanup_close int fd = -1;

	if (len < 2 || len > sizeof(addr.sun_path) || !strchr("/@", path[0]))
		return error_set(err, -EINVAL,
				 "NOTIFY_SOCKET=%s is neither a path nor an abstract "
				 "name",
				 path);
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return error_set(err, -errno,
				 "cannot reach the service manager at %s: %s", path,
				 strerror(errno));
	return steal_fd(&fd);
}

static int inherit(const char *number, struct error *err)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (*end || end == number || fd <= STDERR_FILENO || fd > INT32_MAX ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set(err, -EINVAL,
				 NOTIFY_HOLDER_ENV
				 "=%s is no descriptor; it is not for you to set",
				 number);
	party.held = true;
	return (int)fd;
}

/* The time that the manager allows, if it means this process. */
static uint64_t read_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	return strtoull(usec, NULL, 10) / 2000;
}

bool notify_has_manager(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID");

	if (!getenv("NOTIFY_SOCKET"))
		return false;
	if (!pid || strtol(pid, NULL, 10) == getpid())
		return true;
	log_info("the service manager started process %s and not this one: it is not "
		 "relied on",
		 pid);
	unsetenv("NOTIFY_SOCKET");
	return false;
}

int notify_init(struct error *err)
{
	const struct timeval patience = {.tv_sec = SEND_SECONDS};
	const char *holder = getenv(NOTIFY_HOLDER_ENV);
	const char *manager = getenv("NOTIFY_SOCKET");

	if (!holder && !manager)
		return 0;
	party.fd = holder ? inherit(holder, err) : dial(manager, err);
	if (party.fd < 0)
		return party.fd;
	setsockopt(party.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	party.watchdog = read_watchdog();
	return 0;
}

bool notify_is_on(void)
{
	return party.fd >= 0;
}

bool notify_is_held(void)
{
	return party.held;
}

bool notify_send(const char *text, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)text, strlen(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (party.fd < 0)
		return false;
	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(party.fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return true;
	log_limited(LOG_LEVEL_WARNING, "cannot tell the %s \"%.40s\": %s",
		    party.held ? "holder" : "service manager", text, strerror(errno));
	return false;
}

int notify_watchdog(uint64_t now)
{
	if (party.fd < 0 || !party.watchdog)
		return -1;
	if (now >= party.next) {
		notify_send("WATCHDOG=1", -1);
		party.next = now + party.watchdog;
	}
	return (int)(party.next - now);
}
