/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vsock endpoint in front of a test's agent (test_agent_common.h), in a process of
 * its own: it takes "CONNECT 220" and joins the connection to the agent's socket. It is
 * the VM "vm1" of a registry of its own.
 */
#ifndef HYBRID_FRONT_H
#define HYBRID_FRONT_H

#include <poll.h>

#include "../../host-cli/joint.h"
#include "test_agent_common.h"

struct front {
	struct fixture *agent;
	pid_t pid;
};

static inline void front_join(const struct fixture *f, int fd)
{
	int agent = try_dial(f), ret = 0;
	struct pollfd p[JOINT_POLLS];
	struct joint j;
	bool local;
	char c = 0;

	while (c != '\n')
		if (read(fd, &c, 1) != 1)
			_exit(0);
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

static inline int start_front(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct front *front = calloc(1, sizeof(*front));
	char path[PATH_MAX];
	void *agent;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_non_null(front);
	assert_int_equal(start_agent(&agent), 0);
	front->agent = agent;
	path_of(agent, "run", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(setenv("VMCTL_RUN_DIR", path, 1), 0);
	path_of(agent, "run/vm1", path);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%.80s/run/vm1/vsock.sock",
		 front->agent->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(fd, 64), 0);
	fflush(NULL);
	front->pid = fork();
	if (!front->pid)
		front_serve(agent, fd);
	close(fd);
	*state = front;
	return 0;
}

static inline int stop_front(void **state)
{
	struct front *front = *state;
	void *agent = front->agent;
	int ret;

	kill(front->pid, SIGKILL);
	waitpid(front->pid, NULL, 0);
	ret = stop_agent(&agent);
	free(front);
	return ret;
}

#endif
