/* SPDX-License-Identifier: Apache-2.0 */
#include "instance.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 4096,
	AT_ONCE = 32, /* requests without an answer */
};

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die_errno("cannot make a socket");
	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", path);
	return fd;
}

int unix_listen(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);

	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		die_errno("cannot listen at %s", path);
	return fd;
}

int unix_connect(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die_errno("cannot connect to %s", path);
	return fd;
}

void instance_open(struct instance *inst, const char *command)
{
	char path[sizeof(inst->backend.uds) + 16];

	if (command)
		backend_spawn(&inst->backend, command);
	else
		backend_use(&inst->backend);
	driver_start(&inst->driver, inst->backend.vhost_user);
	if (!command)
		backend_found(&inst->backend, inst->driver.front.peer);
	snprintf(path, sizeof(path), "%s_%d", inst->backend.uds, INSTANCE_PORT);
	inst->listener = unix_listen(path);
}

void instance_close(struct instance *inst)
{
	char path[sizeof(inst->backend.uds) + 16];

	driver_stop(&inst->driver);
	close(inst->listener);
	snprintf(path, sizeof(path), "%s_%d", inst->backend.uds, INSTANCE_PORT);
	unlink(path);
	backend_end(&inst->backend);
}

struct guest_conn *instance_connect(struct instance *inst, unsigned int index,
				    int *host_fd)
{
	if (!instance_fill(inst, index, 1, host_fd))
		die("the back-end refuses the guest's connection to %s_%d",
		    inst->backend.uds, INSTANCE_PORT);
	return driver_conn(&inst->driver, DRIVER_PORT + index);
}

unsigned int instance_fill(struct instance *inst, unsigned int index,
			   unsigned int count, int *host_fds)
{
	struct driver *d = &inst->driver;
	uint64_t opened = d->opened, refused = d->refused;
	unsigned int asked = 0, accepted = 0;

	while (accepted < count) {
		unsigned int answered =
			(unsigned int)(d->opened - opened + d->refused - refused);

		while (asked < count && asked - answered < AT_ONCE &&
		       d->refused == refused)
			driver_connect(d, DRIVER_PORT + index + asked++, INSTANCE_PORT);
		for (; accepted < d->opened - opened; accepted++) {
			host_fds[accepted] =
				accept4(inst->listener, NULL, NULL, SOCK_CLOEXEC);
			if (host_fds[accepted] < 0)
				die_errno("cannot accept the guest's connection");
		}
		/* The first one that is refused is the limit. */
		if (d->refused > refused && answered == asked)
			break;
		if (accepted < count)
			driver_turn(d, false);
	}
	driver_publish(d);
	return accepted;
}

void instance_disconnect(struct instance *inst, struct guest_conn *conn, int host_fd)
{
	driver_close(&inst->driver, conn);
	close(host_fd);
	while (conn->state != GUEST_CLOSED)
		driver_turn(&inst->driver, false);
	driver_publish(&inst->driver);
}
