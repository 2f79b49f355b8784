/* SPDX-License-Identifier: Apache-2.0 */
#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cleanup.h"

enum {
	PORT_CHARS = sizeof("_4294967295") - 1
};

int dial_check(const char *uds, struct error *err)
{
	struct sockaddr_un addr;
	size_t max = sizeof(addr.sun_path) - 1 - PORT_CHARS;

	if (strlen(uds) > max)
		return error_set(
			err, -ENAMETOOLONG,
			"the path %s is too long: at most %zu bytes leave room for "
			"the ports",
			uds, max);
	return 0;
}

int dial_port(const char *uds, uint32_t port)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	cleanup_close int fd = -1;
	int n;

	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", uds, port);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return steal_fd(&fd);
}
