/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vsock endpoint in front of a test's agent (test_agent_common.h), in a process of
 * its own: it takes "CONNECT 220" and joins the connection to the agent's socket; other
 * ports are refused. It is the VM "vm1" of a registry of its own.
 */
#ifndef HYBRID_FRONT_H
#define HYBRID_FRONT_H

#include <poll.h>

#include "../../host-cli/joint.h"
#include "test_agent_common.h"

static pid_t front_pid;
static char front_address[128]; /* where it is, for who does not say "vm1" */

static inline void front_join(const struct fixture *f, int fd)
{
	struct pollfd p[JOINT_POLLS];
	int agent, ret = 0;
	struct joint j;
	char line[32];
	size_t n = 0;
	bool local;

	while (n + 1 < sizeof(line) && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	agent = strcmp(line, "CONNECT 220") ? -1 : try_dial(f);
	if (agent < 0 || write(fd, "OK 1024\n", 8) != 8 ||
	    joint_init(&j, fd, fd, agent))
		_exit(0);
	while (!ret) {
		joint_prepare(&j, p);
		if (poll(p, JOINT_POLLS, -1) >= 0)
			ret = joint_step(&j, p, &local);
	}
	_exit(0);
}

static inline void front_serve(const struct fixture *f, int listener)
{
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && !fork())
			front_join(f, fd);
		close(fd);
	}
}

/* In front of an agent that was started. */
static inline void open_front(const struct fixture *f)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char path[PATH_MAX];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	path_of(f, "run", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(setenv("VMCTL_RUN_DIR", path, 1), 0);
	path_of(f, "run/vm1", path);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%.80s/run/vm1/vsock.sock", f->dir);
	snprintf(front_address, sizeof(front_address), "unix:%s", un.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 64), 0);
	fflush(NULL);
	front_pid = fork();
	if (!front_pid)
		front_serve(f, fd);
	close(fd);
}

static inline void close_front(void)
{
	kill(front_pid, SIGKILL);
	waitpid(front_pid, NULL, 0);
}

static inline int start_front(void **state)
{
	int ret = start_agent(state);

	open_front(*state);
	return ret;
}

static inline int stop_front(void **state)
{
	close_front();
	return stop_agent(state);
}

/* The other end of start_front(): the agent was killed. */
static inline int bury_front(void **state)
{
	struct fixture *f = *state;

	close_front();
	waitpid(f->pid, NULL, 0);
	remove_tree(f->dir);
	free(f);
	return 0;
}

#endif
