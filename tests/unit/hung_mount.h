/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system that hangs, as that of a dead server: FUSE, whose requests are read and
 * never answered. Who waits for it cannot be killed until it is let go.
 */
#ifndef HUNG_MOUNT_H
#define HUNG_MOUNT_H

#include "test_agent_common.h"

#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>

struct hung_mount {
	char path[PATH_MAX];
	pid_t server;
};

/* The first request is answered, without which there is no file system. */
static inline void hung_mount_serve(int fd)
{
	static char request[1 << 18];
	const struct fuse_in_header *in = (const struct fuse_in_header *)request;
	struct {
		struct fuse_out_header header;
		struct fuse_init_out init;
	} out = {0};

	/* The test's connections are not to outlive their close(). */
	if (dup2(fd, 3) < 0)
		_exit(1);
	closefrom(4);
	fd = 3;
	out.header.len = sizeof(out);
	out.init.major = FUSE_KERNEL_VERSION;
	out.init.minor = FUSE_KERNEL_MINOR_VERSION;
	out.init.max_write = 4096;
	while (read(fd, request, sizeof(request)) > 0) {
		out.header.unique = in->unique;
		if (in->opcode == FUSE_INIT &&
		    write(fd, &out, sizeof(out)) != sizeof(out))
			break;
	}
	_exit(0);
}

/* Mounts below the fixture. False: this machine does not let the test. */
static inline bool hung_mount_start(struct hung_mount *m, const struct fixture *f,
				    const char *name)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), ret;

	path_of(f, name, m->path);
	assert_int_equal(mkdir(m->path, 0755), 0);
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
	ret = fd < 0 ? -1 : mount("hung", m->path, "fuse", 0, options);
	if (ret) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	m->server = fork();
	assert_true(m->server >= 0);
	if (!m->server)
		hung_mount_serve(fd);
	close(fd);
	return true;
}

/* Whoever waits for it goes on, with an error. */
static inline void hung_mount_let_go(struct hung_mount *m)
{
	if (m->server <= 0)
		return;
	kill(m->server, SIGKILL);
	waitpid(m->server, NULL, 0);
	m->server = 0;
	umount2(m->path, MNT_DETACH);
}

/* For main(): what is mounted from now on is this program's and its agents' only. */
static inline bool hung_mount_prepare(void)
{
	return !unshare(CLONE_NEWNS) &&
	       !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

#endif
